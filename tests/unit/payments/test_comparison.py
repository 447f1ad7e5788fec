from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from payments.comparison import TOO_EARLY, VERDICT, Finding, Kind, compare
from payments.facts import Fact, FollowUpStarted, TransactionObserved
from payments.ledgers import OurLedger, TheirLedger, ledger_questions, their_ledger
from payments.movements import merge
from payments.operations import Operation, Send, Status
from payments.payment import fold
from payments.questions import Question
from paytabs.answers import Answer, Outcome
from paytabs.transactions import Transaction
from tests.unit.payments.stories import CREATED, after, opened, page, seen, sent
from tests.unit.payments.test_any_order import BEFORE, MANY, stories

NOW = datetime(2026, 8, 6, 10, 0, tzinfo=UTC)
PAID: list[Fact] = [*page(), seen("T1", "sale", "A")]
HELD: list[Fact] = [*page("auth"), seen("T1", "auth", "A")]
UNPAID = seen("T1", "sale", "P", "0", code="600")


def operation(status: Status = Status.SUCCEEDED, cart_id: str = "cart-9", tran_ref: str | None = None) -> Operation:
    """Return a refund that was sent under a cart."""
    return Operation(
        operation_id="op-9", payment_id="0" * 24, kind="refund", params={}, status=status, open=False,
        sends=(Send(cart_id, NOW),), due_at=None, lease_until=None, attempts=1, tran_ref=tran_ref,
        redirect_url=None, error=None, correlation_id="c", requested_by=None, created_at=NOW, poll_from=NOW,
    )  # fmt: skip


def ours(history: Iterable[Fact], *rows: Operation, recent: Iterable[TransactionObserved] = ()) -> OurLedger:
    """Return our ledger of a payment."""
    return OurLedger(fold(history), rows, frozenset(recent))


def theirs(*said: TransactionObserved, silent: dict[Question, str] | None = None) -> TheirLedger:
    """Return what PayTabs shows."""
    return TheirLedger(frozenset(said), silent or {})


def differences(history: Iterable[Fact], *said: TransactionObserved) -> list[tuple[Kind, str | None, tuple[str, ...]]]:
    """Return what does not agree: kind, reference and fields."""
    found = compare(ours(history), theirs(*said))
    return [(one.kind, one.tran_ref, one.fields) for one in found if one.kind is not Kind.AGREEING]


def current(said: Iterable[TransactionObserved]) -> list[TransactionObserved]:
    """Return what a query would say now: of each transaction what stands."""
    stands = {ref: entry.status for ref, entry in merge(said).items()}
    return [one for one in said if one.status == stands[one.tran_ref]]


def follow_up(**named: str) -> Fact:
    """Return that a follow-up of 40.00 was sent."""
    return FollowUpStarted(**named, amount="40.00", currency="SAR")


def answer(*shown: TransactionObserved) -> Answer:
    """Return an answer that shows transactions."""
    found = tuple(
        Transaction(
            tran_ref=one.tran_ref, previous_tran_ref=one.previous_tran_ref, tran_type=one.tran_type,
            cart_id=one.cart_id, response_status=one.status, tran_total=Decimal(one.amount or "0"), tran_currency="SAR",
        )
        for one in shown
    )  # fmt: skip
    return Answer(Outcome.SUCCEEDED, "found" if found else "empty", transactions=found)


@st.composite
def altered(draw: st.DrawFn, said: list[TransactionObserved]) -> tuple[str, list[TransactionObserved]]:
    """Alter one entry of a ledger in a way that matters; give its reference as well."""
    ref = draw(st.sampled_from(sorted({one.tran_ref for one in said})))
    entry = merge(said)[ref]
    no_money = st.sampled_from(["P", "D", "E", "C", "X"])
    changes: dict[str, st.SearchStrategy[Any]] = {
        "amount": st.just(f"{entry.amount + 1:f}"),
        "currency": st.just("USD"),
        "tran_type": st.just("capture" if entry.kind == "refund" else "refund"),
        "status": no_money if entry.status == "A" else st.just("A"),
    }
    if entry.previous:
        changes["previous_tran_ref"] = st.just("T9")
    field = draw(st.sampled_from(sorted(changes)))
    value = draw(changes[field])
    event(f"{field} of {entry.kind} {entry.status}")
    return ref, [replace(one, **{field: value}) if one.tran_ref == ref else one for one in said]


class TestLaws:
    """Whatever a payment has come to."""

    @MANY
    @given(before=BEFORE, said=stories())
    def test_itself(self, before: list[Fact], said: list[TransactionObserved]) -> None:
        """A ledger compared with itself agrees, entry by entry."""
        found = compare(ours([*before, *said]), theirs(*current(said)))
        assert {one.kind for one in found} == {Kind.AGREEING}
        assert len(found) == len({one.tran_ref for one in found}) >= len({one.tran_ref for one in said})

    @MANY
    @given(before=BEFORE, said=stories(), data=st.data())
    def test_one_alteration(self, before: list[Fact], said: list[TransactionObserved], data: st.DataObject) -> None:
        """One altered entry is found, by its reference, and no other entry is blamed."""
        ref, changed = data.draw(altered(current(said)))
        (found,) = (one for one in compare(ours([*before, *said]), theirs(*changed)) if one.kind is not Kind.AGREEING)
        assert (found.kind, found.tran_ref) == (Kind.DIFFERING, ref)
        assert found.fields

    @MANY
    @given(before=BEFORE, said=stories(), data=st.data())
    def test_one_missing(self, before: list[Fact], said: list[TransactionObserved], data: st.DataObject) -> None:
        """An entry that PayTabs does not show is only ours, and one that it shows in addition is only theirs."""
        shown = current(said)
        ref = data.draw(st.sampled_from(sorted({one.tran_ref for one in shown})))
        assume(not merge(shown)[ref].awaits_payer)
        extra = after("T1", "T8", "refund", "A", "1.00")
        changed = [*(one for one in shown if one.tran_ref != ref), extra]
        found = compare(ours([*before, *said]), theirs(*changed))
        assert {(one.kind, one.tran_ref) for one in found if one.kind is not Kind.AGREEING} == {
            (Kind.ONLY_OURS, ref), (Kind.ONLY_THEIRS, "T8"),
        }  # fmt: skip

    @MANY
    @given(before=BEFORE, said=stories(), data=st.data())
    def test_silence(self, before: list[Fact], said: list[TransactionObserved], data: st.DataObject) -> None:
        """Whatever is not answered counts as such, and never as equal or as only ours."""
        mine = ours([*before, *said])
        silent = data.draw(st.sets(st.sampled_from(ledger_questions(mine)), min_size=1))
        refs = {one.value for one in silent if one.by == "tran_ref"}
        shown = [one for one in current(said) if one.tran_ref not in refs]
        found = compare(mine, theirs(*shown, silent=dict.fromkeys(silent, "timeout")))
        assert {one.question for one in found if one.kind is Kind.UNANSWERED} == silent
        assert not [one for one in found if one.tran_ref in refs and one.kind is not Kind.UNANSWERED]


class TestOtherWords:
    """What PayTabs calls otherwise and means the same."""

    @pytest.mark.parametrize(
        ("known", "called"),
        [
            (after("T1", "T2", "capture", "A", "40.00"), "sale"),
            (after("T1", "T2", "void", "A"), "release"),
            (after("T1", "T2", "release", "A", "40.00"), "void"),
        ],
    )
    def test_names(self, known: TransactionObserved, called: str) -> None:
        """A capture called a sale, a void carried out as a release."""
        held = seen("T1", "auth", "A")
        assert differences([*HELD, known], held, replace(known, tran_type=called)) == []

    @pytest.mark.parametrize("shown", [[], [UNPAID]])
    def test_open_page(self, shown: list[TransactionObserved]) -> None:
        """A page that nobody has paid, whether PayTabs shows it or not."""
        assert differences(page(), *shown) == []
        assert differences([*page(), UNPAID], *shown) == []

    def test_thin(self) -> None:
        """What a thin answer leaves out contradicts nothing."""
        thin = seen("T1", "sale", "A", None, currency=None, cart_id=None, profile_id=None)
        assert differences(PAID, thin) == []

    def test_undone(self) -> None:
        """An original shown as voided, when we know what voided it."""
        voided = after("T1", "T2", "void", "A")
        assert differences([*HELD, voided], seen("T1", "auth", "V"), voided) == []

    def test_lapsed(self) -> None:
        """An authorisation that expired after it was given."""
        given_at, gone_at = "2026-08-06T10:00:00.000Z", "2026-08-20T10:00:00.000Z"
        lapsed = seen("T1", "auth", "X", occurred_at=gone_at)
        known = [*page("auth"), seen("T1", "auth", "A", occurred_at=given_at), lapsed]
        assert differences(known, lapsed) == []

    def test_failed_page(self) -> None:
        """A page that failed for us and is still shown as unpaid: no money in either."""
        assert differences([*page(), seen("T1", "sale", "C")], UNPAID) == []

    def test_two_failures(self) -> None:
        """Two words for a failure, once both are known."""
        declined, expired = seen("T1", "sale", "D"), seen("T1", "sale", "X")
        assert differences([*page(), declined, expired], expired) == []
        assert differences([*page(), declined, expired], declined) == []
        assert differences([*page(), declined], expired) == [(Kind.DIFFERING, "T1", ("status",))]

    @pytest.mark.parametrize("status", ["C", "X", "D", "E", "V", "P"])
    def test_zero(self, status: str) -> None:
        """Zero, and the amount that was asked, where nothing moved."""
        known = seen("T1", "sale", status, code="4411")
        assert differences([*page(), known], replace(known, amount="0")) == []

    def test_parent_told_by_us(self) -> None:
        """What our own record tells of a capture: the answer had left out what it acts on."""
        sent_capture = {"operation_id": "op-2", "cart_id": "op-T2", "action": "capture", "tran_ref": "T1"}
        known = seen("T2", "capture", "A", "40.00", cart_id="op-T2")
        asked = follow_up(**sent_capture)
        shown = replace(known, previous_tran_ref="T1")
        assert differences([*HELD, asked, known], seen("T1", "auth", "A"), shown) == []


class TestDifferences:
    """What has to be noticed."""

    @pytest.mark.parametrize(
        ("known", "shown", "fields"),
        [
            (page(), seen("T1", "sale", "A"), ("status",)),
            (page(), seen("T1", "sale", "X"), ("status",)),
            (page(), seen("T1", "payment request", "P", code="4411"), ("type",)),
            ([*page(), seen("T1", "sale", "D")], seen("T1", "sale", "A"), ("status",)),
            (PAID, UNPAID, ("status",)),
            (PAID, seen("T1", "sale", "D"), ("status",)),
            (PAID, seen("T1", "sale", "V"), ("status",)),
            (PAID, seen("T1", "auth", "A"), ("type",)),
            (PAID, seen("T1", "sale", "Q"), ("status",)),
            (PAID, seen("T1", "sale", "A", "115.001"), ("amount",)),
            (PAID, seen("T1", "sale", "A", currency="USD"), ("currency",)),
            (PAID, seen("T1", "gift", "A"), ("type",)),
            (PAID, seen("T1", "sale", "A", profile_id=1), (VERDICT,)),
            ([*page(), seen("T1", "sale", "D")], seen("T1", "sale", "D", code="300"), (VERDICT,)),
            ([*HELD, seen("T1", "auth", "V")], seen("T1", "auth", "A"), ("status",)),
        ],
    )
    def test_fields(self, known: list[Fact], shown: TransactionObserved, fields: tuple[str, ...]) -> None:
        """The field that differs is named; without one, that the payment would be judged otherwise."""
        assert differences(known, shown) == [(Kind.DIFFERING, "T1", fields)]

    def test_both_sides(self) -> None:
        """The finding shows both entries, and the operation that asked for it."""
        row = replace(operation(cart_id="cart-1"), kind="create_page")
        (found,) = compare(ours(PAID, row), theirs(seen("T1", "sale", "A", "40.00")))
        assert (found.ours, found.theirs) == (merge([seen("T1", "sale", "A")])["T1"], found.theirs)
        assert found.theirs is not None
        assert (found.theirs.amount, found.operation_id) == (Decimal("40.00"), "op-9")

    def test_follower(self) -> None:
        """A refund at the dashboard is only theirs."""
        refund = after("T1", "T2", "refund", "A", "40.00", cart_id="cart-1")
        assert differences(PAID, seen("T1", "sale", "A"), refund) == [(Kind.ONLY_THEIRS, "T2", ())]

    def test_other_void(self) -> None:
        """An original shown as voided without our knowing why differs."""
        assert differences(HELD, seen("T1", "auth", "V")) == [(Kind.DIFFERING, "T1", ("status",))]


class TestOperations:
    """What was booked as done."""

    def test_phantom(self) -> None:
        """An operation booked as succeeded of which nothing is shown anywhere is only ours."""
        found = compare(ours(PAID, operation()), theirs(seen("T1", "sale", "A")))
        assert [one for one in found if one.kind is not Kind.AGREEING] == [
            Finding(Kind.ONLY_OURS, None, "op-9")
        ]  # fmt: skip

    @pytest.mark.parametrize("status", [Status.REFUSED, Status.UNKNOWN, Status.PENDING, Status.FAILED])
    def test_not_done(self, status: Status) -> None:
        """What was not booked as done need not be shown."""
        found = compare(ours(PAID, operation(status)), theirs(seen("T1", "sale", "A")))
        assert {one.kind for one in found} == {Kind.AGREEING}

    def test_silent(self) -> None:
        """Nothing is said of an operation while its cart's question is not answered."""
        silent = {Question("cart_id", "cart-9"): "timeout"}
        found = compare(ours(PAID, operation()), theirs(seen("T1", "sale", "A"), silent=silent))
        assert {one.kind for one in found} == {Kind.AGREEING, Kind.UNANSWERED}

    def test_unpaid_and_booked(self) -> None:
        """A page that is booked as paid, of which nothing was heard and nothing is shown, is only ours."""
        booked = replace(operation(cart_id="cart-1", tran_ref="T1"), kind="create_page")
        (found,) = compare(ours(page(), booked), theirs())
        assert (found.kind, found.tran_ref, found.operation_id) == (Kind.ONLY_OURS, "T1", "op-9")

    def test_at_the_desk(self) -> None:
        """What staff do stands in the cart of what they act on, and is not that operation's."""
        row = replace(operation(cart_id="op-T2", tran_ref=None), kind="capture")
        desk = after("T2", "T3", "refund", "A", "1.00", cart_id="op-T2")
        shown = theirs(seen("T1", "auth", "A"), desk)
        found = {one.tran_ref: one for one in compare(ours(HELD, row), shown)}
        assert (found["T3"].kind, found["T3"].operation_id) == (Kind.ONLY_THEIRS, None)
        assert (found[None].kind, found[None].operation_id) == (Kind.ONLY_OURS, "op-9")

    def test_one_finding(self) -> None:
        """A refund of ours that PayTabs does not know is found once, with its operation."""
        refund = after("T1", "T2", "refund", "A", "40.00", cart_id="cart-9")
        found = compare(ours([*PAID, refund], operation(tran_ref="T2")), theirs(seen("T1", "sale", "A")))
        assert [(one.kind, one.tran_ref, one.operation_id) for one in found if one.kind is not Kind.AGREEING] == [
            (Kind.ONLY_OURS, "T2", "op-9")
        ]


class TestTooEarly:
    """A query may lag behind what was said a moment ago."""

    @pytest.mark.parametrize("shown", [[], [UNPAID]])
    def test_less(self, shown: list[TransactionObserved]) -> None:
        """Nothing follows from its saying less."""
        paid = seen("T1", "sale", "A")
        (found,) = compare(ours(PAID, recent=[paid]), theirs(*shown))
        assert (found.kind, found.tran_ref, found.detail) == (Kind.UNANSWERED, "T1", TOO_EARLY)

    def test_more(self) -> None:
        """What it says in addition counts at once."""
        unpaid = ours([*page(), UNPAID], recent=[UNPAID])
        (found,) = compare(unpaid, theirs(seen("T1", "sale", "A")))
        assert found.kind is Kind.DIFFERING

    def test_the_same(self) -> None:
        """What was said a moment ago and is said again is no lag."""
        paid, declined = seen("T1", "sale", "A"), seen("T1", "sale", "D")
        (found,) = compare(ours([*page(), paid, declined], recent=[declined]), theirs(declined))
        assert found.kind is Kind.DIFFERING


class TestQuestions:
    """What has to be asked, and what of the answers belongs to the payment."""

    def test_all(self) -> None:
        """Every reference and every cart, each once; also those that only an operation's row names."""
        history = [*PAID, follow_up(operation_id="op-f", cart_id="cart-f", action="refund", tran_ref="T1")]
        mine = ours(history, operation(cart_id="cart-9", tran_ref="T7"))
        assert ledger_questions(mine) == [
            Question("tran_ref", "T1"), Question("tran_ref", "T7"),
            Question("cart_id", "cart-1"), Question("cart_id", "cart-9"), Question("cart_id", "cart-f"),
        ]  # fmt: skip

    def test_second_page(self) -> None:
        """Pages that nobody has paid are asked about by their reference."""
        mine = ours([*page(), sent(2), opened(2)])
        assert {one.value for one in ledger_questions(mine)} == {"T1", "T2", "cart-1", "cart-2"}

    def test_unknown_parent(self) -> None:
        """What a transaction acts on is asked about when it is not known."""
        orphan = after("T7", "T8", "refund", "A", "40.00")
        assert Question("tran_ref", "T7") in ledger_questions(ours([*PAID, orphan]))

    def test_origin_of_a_token(self) -> None:
        """The transaction that made a token is another payment's: it is not asked about."""
        charged = seen("T1", "sale", "A", previous_tran_ref="T0")
        mine = ours([CREATED, sent(), charged])
        assert {one.value for one in ledger_questions(mine)} == {"T1", "cart-1"}

    def test_strangers(self) -> None:
        """In a cart that is not ours alone only our transactions count, and what acts on them."""
        adopted = seen("T1", "sale", "A", cart_id="INV-1")
        mine = ours([*page(), adopted])
        refund = after("T1", "T2", "refund", "P", "40.00", cart_id="INV-1")
        approved = after("T2", "T3", "refund", "A", "40.00", cart_id="INV-1")
        stranger = seen("T5", "sale", "A", cart_id="INV-1")
        shown = their_ledger(mine, {Question("cart_id", "INV-1"): answer(stranger, approved, refund, adopted)}, {})
        assert set(shown.entries) == {"T1", "T2", "T3"}

    def test_own_cart(self) -> None:
        """Whatever is in a cart of ours is ours."""
        stray = seen("T5", "sale", "A")
        assert set(their_ledger(ours(PAID), {Question("cart_id", "cart-1"): answer(stray)}, {}).entries) == {"T5"}
