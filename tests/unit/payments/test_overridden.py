from dataclasses import replace
from datetime import UTC, datetime

import pytest

from payments.assessment import Assessment, assess
from payments.events import Context, from_document, seal
from payments.facts import (
    CartRetired,
    Fact,
    FollowUpStarted,
    PageOpened,
    PageOverridden,
    PaymentAdopted,
    TransactionObserved,
)
from payments.payment import AttemptStatus, State, fold
from tests.unit.payments.stories import PROFILE, Row, opened, overridden, page, seen, sent

UNPAID = seen("T1", "sale", "P", "0", code="600")
DEFERRED = seen("T1", "payment request", "P", code="4411")
ADOPTED = PaymentAdopted(amount="115.00", currency="SAR", profile_id=PROFILE, tran_ref="T1", operation_id="adopt-1")


def judged(*told: Fact) -> Assessment:
    """Return the verdict over facts."""
    return assess(fold(told))


ROWS = [
    Row("nothing is said of it", [*page(), overridden()], [], State.NEW),
    Row("still unpaid", [*page(), overridden()], [UNPAID], State.NEW),
    Row("its payer got a reference", [*page(), overridden()], [DEFERRED], State.NEW),
    Row("declined", [*page(), overridden()], [seen("T1", "sale", "D", code="300")], State.DECLINED,
        flags=("bank_check",)),
    Row("paid", [*page(), overridden()], [UNPAID, seen("T1", "sale", "A")], State.PAID,
        {"authorised": "115.00", "captured": "115.00"}, tran_ref="T1"),
    Row("paid under another reference of its cart", [*page(), overridden()], [UNPAID, seen("T7", "sale", "A")],
        State.PAID, {"authorised": "115.00", "captured": "115.00"}, tran_ref="T7"),
    Row("held", [*page(), overridden()], [seen("T1", "sale", "H")], State.ON_HOLD, {"authorised": "115.00"}),
    Row("another is open", [*page(), overridden(), *page(number=2)], [UNPAID], State.AWAITING_PAYER, tran_ref="T2"),
    Row("declined beside another that is open", [*page(), overridden(), *page(number=2)],
        [seen("T1", "sale", "D")], State.AWAITING_PAYER, tran_ref="T2"),
    Row("unpaid beside another that is paid", [*page(), overridden(), *page(number=2)],
        [UNPAID, seen("T2", "sale", "A", cart_id="cart-2")], State.PAID,
        {"authorised": "115.00", "captured": "115.00"}, tran_ref="T2"),
    Row("paid beside another that is paid", [*page(), overridden(), *page(number=2)],
        [seen("T1", "sale", "A"), seen("T2", "sale", "A", cart_id="cart-2")], State.REVIEW,
        {"authorised": "230.00", "captured": "230.00"}, review="paid twice: T1 and T2 both stand"),
]  # fmt: skip


class TestVerdict:
    """An overridden page stands in nobody's way, and its money counts all the same."""

    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
    def test_row(self, row: Row) -> None:
        """Whatever is said of it, in any order."""
        row.check()

    @pytest.mark.parametrize("said", [[], [UNPAID], [DEFERRED]])
    def test_set_aside(self, said: list[TransactionObserved]) -> None:
        """While it is open it is no leg of the payment's, and it is known that it is open."""
        verdict = judged(*page(), overridden(), *said)
        assert verdict.legs == ()
        (leg,) = verdict.legs_of("op-1")
        assert (leg.operation_id, leg.cart_id, leg.tran_ref, leg.overridden) == ("op-1", "cart-1", "T1", True)

    def test_only_the_one(self) -> None:
        """Another open page of the same payment keeps standing in the way."""
        verdict = judged(*page(), *page(number=2), overridden())
        assert [leg.operation_id for leg in verdict.legs] == ["op-2"]
        assert [leg.operation_id for leg in verdict.set_aside] == ["op-1"]

    def test_adopted(self) -> None:
        """One of the CMS's old code has no cart that we know: it is known by its operation."""
        fact = PageOverridden(operation_id="adopt-1", tran_ref="T1", by="omar", note="nobody has the link")
        assert (judged(ADOPTED).state, judged(ADOPTED, fact).state) == (State.AWAITING_PAYER, State.NEW)
        assert judged(ADOPTED, fact, seen("T1", "sale", "A", cart_id="theirs")).state is State.PAID


class TestFold:
    """The fact among the others."""

    @pytest.mark.parametrize("late", [opened(), CartRetired(operation_id="op-1", cart_id="cart-1", reason="late")])
    def test_stays(self, late: PageOpened | CartRetired) -> None:
        """What was set aside stays so, however late something else is heard of its sending."""
        payment = fold([*page(), overridden(), late])
        assert [one.status for one in payment.attempts] == [AttemptStatus.OVERRIDDEN]

    def test_other_operation(self) -> None:
        """An operation that has been sent twice is set aside by the cart that is named, and nothing else is."""
        again = replace(sent(), cart_id="cart-9")
        capture = FollowUpStarted(
            operation_id="op-1", cart_id="cart-1", action="capture", tran_ref="T1", amount="1.00", currency="SAR"
        )
        payment = fold([*page(), again, capture, overridden()])
        assert [one.status for one in payment.attempts] == [AttemptStatus.OVERRIDDEN, AttemptStatus.STARTED]
        assert [one.status for one in payment.follow_ups] == [AttemptStatus.STARTED]

    def test_read_back(self) -> None:
        """It is stored and read back as it was, with a cart and without."""
        for fact in (overridden(), PageOverridden(operation_id="adopt-1", by="omar", note="why")):
            event = seal(
                "65f0c0ffee65f0c0ffee65f0",
                None,
                fact,
                datetime(2026, 8, 6, tzinfo=UTC),
                Context(correlation_id="c", source="test"),
            )
            assert from_document(event.to_document()).fact == fact
