from pathlib import Path

import pytest
from hypothesis import given
from payments.case_kinds import CASE_KINDS, CaseKind, kind_of

from payments.assessment import assess
from payments.cases import Case
from payments.facts import Fact, FollowUpStarted, ReviewSettled, TransactionObserved
from payments.payment import fold
from tests.unit.payments.stories import after, page, seen
from tests.unit.payments.test_any_order import BEFORE, MANY, SAID

DOCS = Path(__file__).parents[3] / "docs" / "operations.md"

#: Claims: what is not judged from observations but stated, by a notice, an adoption or the ladder.
CLAIMS = [
    "refund op-1: nothing found within a day",
    "a notice with another amount",
    "a notice in another currency",
    "a notice from another profile",
    "a notice for another cart",
    "a notice whose query names another cart",
    "a signed notice that no query confirms",
    "the CMS says paid, PayTabs does not know the reference",
]

CAPTURE = FollowUpStarted(
    operation_id="op-9", cart_id="op-T2", action="capture", tran_ref="T1", amount="115.00", currency="SAR"
)
GIVEN_UP = ReviewSettled(reason="capture op-9: nothing found within a day", note="n", by="b", operation_id="op-9")


class TestKinds:
    """Every case has a row that says what it means and what to do."""

    @MANY
    @given(before=BEFORE, said=SAID)
    def test_judged(self, before: list[Fact], said: list[TransactionObserved]) -> None:
        """Whatever PayTabs says, the case that comes of it is of a known kind."""
        for reason in assess(fold([*before, *said])).review:
            assert kind_of(reason), reason

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (after("T1", "T2", "refund", "A"), "T2: a refund where a capture was asked"),
            (after("T7", "T2", "capture", "A"), "T2: acts on another transaction than the capture named"),
            (after("T1", "T2", "capture", "A", "40.00"), "T2: amount differs from the capture's"),
            (after("T1", "T2", "capture", "A"), "T2: a capture that was given up and happened all the same"),
        ],
    )
    def test_follow_ups(self, said: TransactionObserved, reason: str) -> None:
        """So is what differs from a follow-up of ours, or happened although it was given up."""
        told = [*page("auth"), CAPTURE, GIVEN_UP, seen("T1", "auth", "A"), seen("T7", "auth", "A"), said]
        reasons = assess(fold(told)).review
        assert reason in reasons
        assert [one for one in reasons if kind_of(one) is None] == []

    @pytest.mark.parametrize("reason", CLAIMS)
    def test_claims(self, reason: str) -> None:
        """So is every claim, and of one kind only."""
        assert sum(kind.matches(reason) for kind in CASE_KINDS) == 1

    def test_unlisted(self) -> None:
        """Other words are of no kind."""
        assert kind_of("the moon is full") is None


class TestDocs:
    """docs/operations.md has the same table."""

    @pytest.mark.parametrize("kind", CASE_KINDS, ids=lambda kind: kind.reasons[0])
    def test_row(self, kind: CaseKind) -> None:
        """Word by word."""
        reasons = ", ".join(f"`{text}`" for text in kind.reasons)
        assert f"| {reasons} | {kind.means} | {kind.to_do} |" in DOCS.read_text().splitlines()


class TestCase:
    """What a case says of itself."""

    def test_id(self) -> None:
        """Its id is eight digits made from the payment and the reason, the same in every version."""
        case = Case("65f0c0ffee65f0c0ffee65f0", "a notice with another amount", ())
        assert case.case_id == "b8cfc2a7"
        assert Case(case.payment_id, case.reason, ("other evidence",), "op-1").case_id == case.case_id
        assert Case(case.payment_id[::-1], case.reason, ()).case_id != case.case_id

    @pytest.mark.parametrize(
        ("reason", "evidence", "tran_ref"),
        [
            ("TST2621800000102: amount differs from the payment's", (), "TST2621800000102"),
            ("a notice with another amount", ("TST2621800000102 sale A (delivery ab)",), "TST2621800000102"),
            ("the CMS says paid, PayTabs does not know the reference", ("TST0000000000001",), "TST0000000000001"),
            ("refund op-1: nothing found within a day", ("cart nw-1",), None),
            ("paid twice: TST2621800000102 and TST2621800000103 both stand", (), None),
        ],
    )
    def test_tran_ref(self, reason: str, evidence: tuple[str, ...], tran_ref: str | None) -> None:
        """It names the one transaction that it is about, where there is one."""
        assert Case("65f0c0ffee65f0c0ffee65f0", reason, evidence).tran_ref == tran_ref
