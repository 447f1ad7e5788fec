"""When a page has ended: every answer of PayTabs, at every time, for every way of paying; and never too early."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from payments.assessment import assess
from payments.facts import PAGE_ENDED, CartRetired, Fact, InvoiceOpened, PaymentAdopted, TransactionObserved
from payments.observing import observations
from payments.operations import Operation, OperationsLedger, Send, Status
from payments.page_ends import ANSWER_TIME, PageDesk, Why
from payments.page_times import PageTimes, end_of, method_of, takes_cards
from payments.payment import State, fold
from paytabs.responses import Answer, Outcome, Transaction
from tests.unit.payments.stories import CREATED, PROFILE, Row, opened, page, seen, sent

OPENED = datetime(2026, 8, 6, 10, 0, tzinfo=UTC)
TIMES = PageTimes(20, timedelta(minutes=10), timedelta(hours=3))
END = OPENED + timedelta(minutes=20)
MOMENT = timedelta(milliseconds=1)

#: The times at which PayTabs is asked, in their order.
ASKED = (
    END - MOMENT, END, END + TIMES.margin - MOMENT, END + TIMES.margin,
    END + TIMES.other_margin - MOMENT, END + TIMES.other_margin,
)  # fmt: skip


def says(status: str | None = None, code: str | None = None, **more: Any) -> Answer:
    """Return what PayTabs says of the page when it knows it."""
    known: dict[str, Any] = {
        "tran_ref": "T1", "tran_type": "sale", "cart_id": "cart-1", "cart_currency": "SAR", "profile_id": PROFILE,
        "cart_amount": Decimal("115.00"), "tran_total": Decimal("115.00"),
    }  # fmt: skip
    seen_now = Transaction(**(known | more), response_status=status, response_code=code)
    return Answer(Outcome.PENDING, "completed", transaction=seen_now)


NOT_FOUND = Answer(Outcome.DID_NOT_HAPPEN, "not_found", error_code=2)
UNKNOWN_TO_PAYTABS = {"code 2": NOT_FOUND, "code 113": replace(NOT_FOUND, error_code=113)}

#: How a method was named before: in no answer or notice, or as a card, or as something else.
EARLIER: dict[str | None, list[TransactionObserved]] = {
    None: [],
    "card": [seen("T1", "sale", "P", code="600", payment_method="card")],
    "stcpay": [seen("T1", "sale", "P", code="600", payment_method="stcpay")],
}

#: By answer and method: at each of the times of `ASKED`, whether the page has not ended (-), was never visited (N), or
#: is not found any more (F); and the state of the payment.
CELLS: dict[tuple[str, str | None], tuple[str, State]] = {
    ("P 600", None): ("---NNN", State.AWAITING_PAYER),
    ("P 600", "card"): ("------", State.AWAITING_PAYER),
    ("P 600", "stcpay"): ("------", State.AWAITING_PAYER),
    ("P 600 by card", None): ("------", State.AWAITING_PAYER),
    ("P 600 by stcpay", None): ("------", State.AWAITING_PAYER),
    ("code 2", None): ("---FFF", State.AWAITING_PAYER),
    ("code 2", "card"): ("---FFF", State.AWAITING_PAYER),
    ("code 2", "stcpay"): ("-----F", State.AWAITING_PAYER),
    ("code 113", None): ("---FFF", State.AWAITING_PAYER),
    ("code 113", "card"): ("---FFF", State.AWAITING_PAYER),
    ("code 113", "stcpay"): ("-----F", State.AWAITING_PAYER),
    ("its link alone", None): ("------", State.AWAITING_PAYER),
    ("P with a reference", None): ("------", State.PENDING_OFFLINE),
    ("P with a reference", "card"): ("------", State.PENDING_OFFLINE),
    ("P with a reference", "stcpay"): ("------", State.PENDING_OFFLINE),
    ("P without a code", None): ("------", State.PENDING_OFFLINE),
    ("a payment request", None): ("------", State.PENDING_OFFLINE),
    ("H", None): ("------", State.ON_HOLD),
    ("H", "stcpay"): ("------", State.ON_HOLD),
    ("A", None): ("------", State.PAID),
    ("X", None): ("------", State.EXPIRED),
    ("X", "stcpay"): ("------", State.EXPIRED),
    ("D", None): ("------", State.DECLINED),
    ("E", None): ("------", State.ERROR),
    ("C", None): ("------", State.CANCELLED),
}

ANSWERS: dict[str, Answer] = {
    **UNKNOWN_TO_PAYTABS,
    "P 600": says("P", "600"),
    "P 600 by card": says("P", "600", payment_method="Visa", card_scheme="Visa"),
    "P 600 by stcpay": says("P", "600", payment_method="STCPay"),
    "its link alone": says(redirect_url="https://pay.example/1"),
    "P with a reference": says("P", "44112233"),
    "P without a code": says("P"),
    "a payment request": says("P", "600", tran_type="payment request"),
    "H": says("H", "G1"), "A": says("A", "G1"), "X": says("X", "355"), "D": says("D", "310"), "E": says("E", "401"),
    "C": says("C", "321"),
}  # fmt: skip


def desk(now: datetime = END) -> PageDesk:
    """Return a desk to which the database says that it is so late."""
    return PageDesk(cast("OperationsLedger", SimpleNamespace(now=lambda: now)), TIMES)


def row(kind: str = "create_page", **changes: Any) -> Operation:
    """Return the row of a page that was opened."""
    known = Operation(
        operation_id="op-1", payment_id="0" * 24, kind=kind, params={"methods": ["all"], "paypage_ttl": 20},
        status=Status.PENDING, open=True, sends=(Send("cart-1", OPENED),), due_at=None, lease_until=None, attempts=1,
        tran_ref="T1", redirect_url="https://pay.example/1", error=None, correlation_id="c", requested_by=None,
        created_at=OPENED, poll_from=OPENED, page_expires_at=END,
    )  # fmt: skip
    return replace(known, **changes)


def why(subject: Operation, told: list[Fact], answers: list[Answer], asked_at: datetime) -> Why | None:
    """Return why a page has ended, its payment having counted the answers."""
    payment = fold([*told, *(fact for answer in answers for fact in observations(answer))])
    return desk().why_ended(subject, payment, assess(payment), answers, asked_at)


def pattern(subject: Operation, told: list[Fact], answers: list[Answer], times: tuple[datetime, ...] = ASKED) -> str:
    """Write why a page has ended at each of some times."""
    letters = {None: "-", Why.NEVER_VISITED: "N", Why.NOT_FOUND: "F"}
    return "".join(letters[why(subject, told, answers, moment)] for moment in times)


class TestTable:
    """What PayTabs says, when it was asked, and by what the payer was paying."""

    @pytest.mark.parametrize(("said", "method"), CELLS, ids=str)
    def test_cell(self, said: str, method: str | None) -> None:
        """Every cell; the payment's state is PayTabs' word."""
        ends, state = CELLS[said, method]
        told = [*page(), *EARLIER[method]]
        assert pattern(row(), told, [ANSWERS[said]]) == ends
        assert assess(fold([*told, *observations(ANSWERS[said])])).base_state is state

    @pytest.mark.parametrize("said", UNKNOWN_TO_PAYTABS)
    @pytest.mark.parametrize(
        "before",
        [
            seen("T1", "sale", "P", code="44112233"), seen("T1", "sale", "H"), seen("T1", "payment request", "P"),
            seen("T9", "sale", "P", code="44112233"), seen("T1", "sale", "?"),
        ],
    )  # fmt: skip
    def test_known_before(self, before: TransactionObserved, said: str) -> None:
        """A voucher, a hold, or a word that nobody knows stands, though PayTabs has forgotten the page."""
        assert pattern(row(), [*page(), before], [ANSWERS[said]]) == "------"

    @pytest.mark.parametrize(("methods", "ends"), [
        (["all"], "---FFF"), (["card", "sadad"], "---FFF"), (["-tabby"], "---FFF"), ([], "---FFF"),
        (["sadad"], "-----F"), (["stcpay", "tabby", "-card"], "-----F"),
    ])  # fmt: skip
    def test_asked_for(self, methods: list[str], ends: str) -> None:
        """A page that takes no cards is one of another method, whatever is said of it."""
        subject = row(params={"methods": methods, "paypage_ttl": 20})
        assert pattern(subject, page(), [NOT_FOUND]) == ends


class TestWhichRows:
    """Only what a payer holds a link to can end by time."""

    @pytest.mark.parametrize(("changes", "ends"), [
        ({}, "---FFF"),
        ({"kind": "charge_token"}, "---FFF"), ({"kind": "managed_form"}, "---FFF"),
        ({"kind": "charge_token", "redirect_url": None}, "------"),
        ({"kind": "managed_form", "redirect_url": None}, "------"),
        ({"redirect_url": None}, "------"),
        ({"status": Status.UNKNOWN}, "------"), ({"status": Status.SENDING}, "------"),
        ({"status": Status.NEW}, "------"), ({"status": Status.REVIEW}, "------"),
        ({"open": False, "status": Status.FAILED}, "------"),
        ({"page_expires_at": None}, "------"),
        ({"kind": "refund", "page_expires_at": None}, "------"),
    ])  # fmt: skip
    def test_row(self, changes: dict[str, Any], ends: str) -> None:
        """By kind and status: a charge without a link, or of unknown outcome, never ends."""
        assert pattern(row(**changes), page(), [NOT_FOUND]) == ends

    def test_unknown_outcome(self) -> None:
        """Nor does one whose attempt is in doubt, whatever its row says."""
        assert pattern(row("charge_token"), [CREATED, sent()], [NOT_FOUND]) == "------"

    def test_adopted(self) -> None:
        """One of the CMS's old code has neither a link nor a cart of ours, and ends all the same."""
        adopted = PaymentAdopted(
            amount="115.00", currency="SAR", profile_id=PROFILE, tran_ref="T1", operation_id="op-1"
        )
        subject = row("adopt", redirect_url=None, sends=(), params={"transaction": "sale", "asked": {}})
        assert pattern(subject, [adopted], [NOT_FOUND]) == "---FFF"
        assert pattern(subject, [adopted], [says("P", "600", cart_id="theirs")]) == "---NNN"

    def test_invoice(self) -> None:
        """A page that was opened in an invoice's last moment has its own life after it, and then the margin."""
        told = [CREATED, sent(), InvoiceOpened(operation_id="op-1", cart_id="cart-1", invoice_id=7)]
        subject = row("create_invoice", tran_ref=None, params={"paypage_ttl": 20})
        times = (END + TIMES.margin, END + timedelta(minutes=30) - MOMENT, END + timedelta(minutes=30))
        empty = Answer(Outcome.SUCCEEDED, "empty")
        assert pattern(subject, told, [empty], times) == "--F"
        assert pattern(replace(subject, page_expires_at=None), told, [empty], times) == "---"

    def test_two_carts(self) -> None:
        """What stands under an earlier cart of the same operation keeps it open."""
        told = [*page(), CartRetired(operation_id="op-1", cart_id="cart-1", reason="nothing_found"),
                replace(sent(), cart_id="cart-9"), replace(opened(tran_ref="T9"), cart_id="cart-9"),
                seen("T1", "sale", "P", code="44112233")]  # fmt: skip
        subject = row(sends=(Send("cart-1", OPENED, OPENED), Send("cart-9", OPENED)), tran_ref="T9")
        assert pattern(subject, told, [NOT_FOUND]) == "------"


class TestEnds:
    """When a page is over, by what was asked for."""

    @pytest.mark.parametrize(("kind", "params", "end"), [
        ("create_page", {"paypage_ttl": 35}, OPENED + timedelta(minutes=35)),
        ("create_page", {}, OPENED + timedelta(minutes=20)),
        ("charge_token", {"paypage_ttl": 35}, OPENED + timedelta(minutes=20)),
        ("managed_form", {}, OPENED + timedelta(minutes=20)), ("adopt", {}, OPENED + timedelta(minutes=20)),
        ("create_invoice", {"invoice": {"expiry_date": "2026-08-07T10:00:00+03:00"}},
         datetime(2026, 8, 7, 7, tzinfo=UTC)),
        ("create_invoice", {"invoice": {"expiry_date": "2026-08-07T10:00:00Z"}}, datetime(2026, 8, 7, 10, tzinfo=UTC)),
        ("create_invoice", {"invoice": {"expiry_date": "2026-08-07T10:00:00"}}, None),
        ("create_invoice", {"invoice": {"expiry_date": "soon"}, "paypage_ttl": 5}, None),
        ("create_invoice", {"invoice": {}}, None), ("create_invoice", {}, None),
        ("create_invoice", {"invoice": "(removed)"}, None),
        ("refund", {}, None), ("capture", {}, None),
    ])  # fmt: skip
    def test_end(self, kind: str, params: dict[str, Any], end: datetime | None) -> None:
        """Kind by kind."""
        assert end_of(kind, params, OPENED) == end

    @pytest.mark.parametrize(("method", "scheme", "named"), [
        (None, None, None), ("", "", None), ("Visa", "Visa", "card"), ("MasterCard", None, "card"),
        (None, "Mada", "card"),
        ("American Express", None, "card"), ("ApplePay", None, "card"), ("STCPay", "STCPay", "stcpay"),
        ("Sadad", "", "sadad"), ("Something new", None, "something new"),
    ])  # fmt: skip
    def test_method(self, method: str | None, scheme: str | None, named: str | None) -> None:
        """Names of cards are one; a name that nobody here knows is no card's."""
        assert method_of(method, scheme) == named

    def test_takes_cards(self) -> None:
        """Only names that are there say that a page takes none."""
        assert [takes_cards(one) for one in ([], ["all"], ["-mada"], ["sadad"], ["mada"], ["sadad", "-x"])] == [
            True, True, True, False, True, False,
        ]  # fmt: skip

    def test_only_unfinished(self) -> None:
        """By what somebody paid decides nothing, and is not kept with what is final."""
        for status in "AHVDEXC":
            (fact,) = observations(says(status, "G1", payment_method="Visa"))
            assert fact.payment_method is None
        (fact,) = observations(says("P", "600", payment_method="Visa"))
        assert fact.payment_method == "card"


def ended(number: int = 1) -> CartRetired:
    """Tell that a page has ended."""
    named = {"operation_id": f"op-{number}", "cart_id": f"cart-{number}", "tran_ref": f"T{number}"}
    return CartRetired(**named, reason=PAGE_ENDED, why="not_found")


UNPAID = seen("T1", "sale", "P", code="600")

ROWS = [
    Row("nothing more is said", [*page(), ended()], [], State.AWAITING_PAYER, tran_ref="T1"),
    Row("still unpaid", [*page(), ended()], [UNPAID], State.AWAITING_PAYER, tran_ref="T1"),
    Row("expired after all", [*page(), ended()], [UNPAID, seen("T1", "sale", "X")], State.EXPIRED, tran_ref="T1"),
    Row("declined after all", [*page(), ended()], [seen("T1", "sale", "D")], State.DECLINED, tran_ref="T1"),
    Row("a voucher after all", [*page(), ended()], [UNPAID, seen("T1", "sale", "P", code="4411")],
        State.PENDING_OFFLINE, tran_ref="T1"),
    Row("held after all", [*page(), ended()], [seen("T1", "sale", "H")], State.ON_HOLD, {"authorised": "115.00"}),
    Row("paid after all", [*page(), ended()], [UNPAID, seen("T1", "sale", "A")], State.PAID,
        {"authorised": "115.00", "captured": "115.00"}, tran_ref="T1"),
    Row("paid under another reference of its cart", [*page(), ended()], [UNPAID, seen("T7", "sale", "A")],
        State.PAID, {"authorised": "115.00", "captured": "115.00"}, tran_ref="T7"),
    Row("another is open", [*page(), ended(), *page(number=2)], [UNPAID], State.AWAITING_PAYER, tran_ref="T2"),
    Row("another was declined", [*page(), ended(), *page(number=2)],
        [UNPAID, seen("T2", "sale", "D", cart_id="cart-2")], State.DECLINED, tran_ref="T2"),
    Row("after one that was declined", [*page(), *page(number=2), ended(2)], [seen("T1", "sale", "D")],
        State.AWAITING_PAYER, tran_ref="T2"),
    Row("another is paid", [*page(), ended(), *page(number=2)], [UNPAID, seen("T2", "sale", "A", cart_id="cart-2")],
        State.PAID, {"authorised": "115.00", "captured": "115.00"}, tran_ref="T2"),
    Row("both are paid", [*page(), ended(), *page(number=2)],
        [seen("T1", "sale", "A"), seen("T2", "sale", "A", cart_id="cart-2")], State.REVIEW,
        {"authorised": "230.00", "captured": "230.00"}, review="paid twice: T1 and T2 both stand"),
]  # fmt: skip


class TestVerdict:
    """An ended page stands in nobody's way, its money counts, and what outlives it stands in the way again."""

    @pytest.mark.parametrize("told", ROWS, ids=lambda one: one.name)
    def test_row(self, told: Row) -> None:
        """Whatever is said of it, in any order."""
        told.check()

    @pytest.mark.parametrize(("said", "free"), [
        ([], True), ([UNPAID], True), ([seen("T1", "sale", "P", code="4411")], False),
        ([seen("T1", "sale", "H")], False), ([seen("T1", "sale", "A")], False), ([seen("T1", "sale", "?")], False),
    ])  # fmt: skip
    def test_free(self, said: list[Fact], *, free: bool) -> None:
        """Another attempt may begin beside it only while nothing but its end is known."""
        assert assess(fold([*page(), ended(), *said])).page_has_ended is free

    def test_open(self) -> None:
        """A page that is open has not ended, nor has one beside an ended one."""
        assert not assess(fold(page())).page_has_ended
        assert not assess(fold([*page(), ended(), *page(number=2)])).page_has_ended

    def test_stays(self) -> None:
        """Late word of its sending does not open it again."""
        for late in (opened(), CartRetired(operation_id="op-1", cart_id="cart-1", reason="late")):
            assert assess(fold([*page(), ended(), late])).page_has_ended


@dataclass(frozen=True)
class Life:
    """A page at PayTabs, in seconds since it was made there; our end is counted from the answer, `lag` later."""

    lag: float
    payer: str
    acted_at: float
    speaks_early: bool
    dead: Answer

    def payable(self, at: float) -> bool:
        """Return whether somebody can still pay it."""
        late = {"nobody": 0.0, "card": 600.0, "stcpay": 10_800.0, "voucher": 1e9}[self.payer]
        return at < 1_200 + late

    def says(self, at: float) -> Answer:
        """Return what a query says of it."""
        acted = self.payer != "nobody" and at >= self.acted_at
        if acted and self.payer == "voucher":
            return says("P", "44112233")
        if self.payable(at) and not (self.speaks_early and at >= 1_200 and self.payer == "card"):
            return says("P", "600", payment_method="STCPay" if acted and self.payer == "stcpay" else None)
        return self.dead


LIVES = st.builds(
    Life,
    lag=st.floats(0, 15),
    payer=st.sampled_from(["nobody", "card", "stcpay", "voucher"]),
    acted_at=st.floats(0, 1_199),
    speaks_early=st.booleans(),
    dead=st.sampled_from([NOT_FOUND, UNKNOWN_TO_PAYTABS["code 113"], says("P", "600"), says("X", "355")]),
)


#: Any time, and above all those around a page's end and both margins.
MOMENTS = st.floats(0, 20_000) | st.builds(
    float.__add__, st.sampled_from([1_200.0, 1_800.0, 12_000.0]), st.floats(-40, 40)
)


class TestNeverTwo:
    """Whoever pays how and when, and whatever PayTabs says when: no page ends that somebody can still pay."""

    @given(life=LIVES, asked=st.lists(MOMENTS, min_size=1, max_size=8))
    def test_never(self, life: Life, asked: list[float]) -> None:
        """Asked at any times, in their order."""
        made = END - timedelta(minutes=20) - timedelta(seconds=life.lag)
        told: list[Fact] = page()
        for seconds in sorted(asked):
            answer = life.says(seconds)
            told += observations(answer)
            payment = fold(told)
            verdict = assess(payment)
            reason = desk().why_ended(row(), payment, verdict, [answer], made + timedelta(seconds=seconds))
            event(f"ended: {reason}")
            closed = row(open=False, status=Status.REFUSED)
            at = desk(made + timedelta(seconds=seconds))
            expired = verdict.state is State.EXPIRED and at.late_payer_until(closed, payment, verdict) is None
            if reason is not None or expired:
                assert not life.payable(seconds)
                return


class TestLook:
    """What is told of a page, by the database's clock."""

    @pytest.mark.parametrize(("now", "state", "url"), [
        (OPENED, "open", True), (END - MOMENT, "open", True), (END, "over", False),
        (END + TIMES.other_margin, "over", False),
    ])  # fmt: skip
    def test_look(self, now: datetime, state: str, *, url: bool) -> None:
        """A link until the end and none from then on; both times always."""
        payment = fold(page())
        look = desk(now).look(row(), payment, assess(payment))
        assert (look.state, bool(look.redirect_url)) == (state, url)
        assert (look.expires_at, look.new_page_at) == (END, END + TIMES.margin)

    @pytest.mark.parametrize(("now", "state"), [
        (END - ANSWER_TIME - MOMENT, "ended"), (END - ANSWER_TIME, "over"), (END, "over"),
        (END + TIMES.margin - MOMENT, "over"), (END + TIMES.margin, "ended"),
    ])  # fmt: skip
    def test_expired(self, now: datetime, state: str) -> None:
        """What PayTabs calls expired waits for a payer in the middle of it, unless it was said before its end."""
        payment = fold([*page(), *observations(ANSWERS["X"])])
        closed = row(open=False, status=Status.REFUSED)
        look = desk(now).look(closed, payment, assess(payment))
        assert (look.state, look.redirect_url) == (state, None)
        assert look.new_page_at == (END + TIMES.margin if state == "over" else now)
        assert desk(now).looks_after(closed, payment, assess(payment)) == (
            [END + TIMES.margin - now] if state == "over" else []
        )

    def test_waits(self) -> None:
        """It has to be looked at when it is over, and when it may have ended; then no more for that."""
        payment = fold(page())
        waits = {OPENED: [timedelta(minutes=20), timedelta(minutes=30)], END: [TIMES.margin], END + TIMES.margin: []}
        for now, expected in waits.items():
            assert desk(now).looks_after(row(), payment, assess(payment)) == expected
