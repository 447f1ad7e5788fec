"""The state table of section 7, from AUTHORISED on: one test per row."""

import pytest

from payments.facts import Fact
from payments.payment import State
from tests.unit.payments.stories import Row, after, page, seen

AUTH: list[Fact] = page("auth")
SALE: list[Fact] = page()
A = seen("T1", "auth", "A")
H = seen("T1", "sale", "H")
S = seen("T1", "sale", "A")
V = seen("T1", "auth", "V")
WHOLE = {"authorised": "115", "captured": "115"}
HELD = {"authorised": "115"}
FREED = {"authorised": "115", "released": "115"}
PART = {"authorised": "115", "captured": "40"}
CAPTURED = after("T1", "T2", "capture", "A", "40.00")
EARLY, LATE = "2026-08-06T10:00:00.000Z", "2026-08-07T10:00:00.000Z"

HOLDS = [
    Row("ON_HOLD, API capture refused E/120", SALE, [H, after("T1", "T2", "capture", "E", code="120")],
        State.ON_HOLD, HELD),
    Row("ON_HOLD, (capture,A) prev, whole", SALE, [H, after("T1", "T2", "capture", "A")], State.PAID, WHOLE),
    Row("ON_HOLD, (sale,A) prev, whole", SALE, [H, after("T1", "T2", "sale", "A")], State.PAID, WHOLE),
    Row("ON_HOLD, (capture,A) prev, part", SALE, [H, CAPTURED], State.PART_CAPTURED, PART),
    Row("ON_HOLD, (sale,A) prev, part", SALE, [H, after("T1", "T2", "sale", "A", "40.00")], State.PART_CAPTURED, PART),
    Row("ON_HOLD, (void,A) prev", SALE, [H, after("T1", "T2", "void", "A")], State.VOIDED, FREED),
    Row("ON_HOLD, (release,A) prev", SALE, [H, after("T1", "T2", "release", "A")], State.VOIDED, FREED),
    Row("ON_HOLD, (·,V)", SALE, [H, seen("T1", "sale", "V")], State.VOIDED, FREED),
    Row("ON_HOLD, (·,A): the hold was lifted", SALE, [H, S], State.PAID, WHOLE),
    Row("ON_HOLD, (·,X)", SALE, [H, seen("T1", "sale", "X")], State.EXPIRED),
]  # fmt: skip

CAPTURES = [
    Row("AUTHORISED, (capture,A), sum < authorised", AUTH, [A, CAPTURED], State.PART_CAPTURED, PART),
    Row("AUTHORISED, (sale,A) prev, sum < authorised", AUTH, [A, after("T1", "T2", "sale", "A", "40.00")],
        State.PART_CAPTURED, PART),
    Row("AUTHORISED, one capture as answer, `capture` and `sale`", AUTH,
        [A, CAPTURED, after("T1", "T2", "sale", "A", "40.0"), after("T1", "T2", "capture", "A", "40", profile_id=None)],
        State.PART_CAPTURED, PART),
    Row("PART_CAPTURED, (capture,A), sum = authorised", AUTH, [A, CAPTURED, after("T1", "T3", "capture", "A", "75")],
        State.PAID, WHOLE),
    Row("PART_CAPTURED, (capture,A), sum > authorised", AUTH, [A, CAPTURED, after("T1", "T3", "capture", "A", "76")],
        State.REVIEW, {"authorised": "115", "captured": "116"}, review="exceed authorised"),
    Row("AUTHORISED, (capture,D)", AUTH, [A, after("T1", "T2", "capture", "D")], State.AUTHORISED, HELD),
    Row("PART_CAPTURED, (capture,E)", AUTH, [A, CAPTURED, after("T1", "T3", "capture", "E")],
        State.PART_CAPTURED, PART),
    Row("a capture before its authorisation, part", AUTH, [CAPTURED], State.AWAITING_PAYER, parked=("T2",)),
    Row("a capture while the page's query lags, part", AUTH, [seen("T1", "auth", "P", "0", code="600"), CAPTURED],
        State.AWAITING_PAYER, parked=("T2",)),
    Row("a capture before its authorisation, whole", AUTH, [after("T1", "T2", "capture", "A")], State.PAID, WHOLE),
    Row("a capture that was undone", AUTH, [A, CAPTURED, after("T1", "T2", "capture", "V", "40.00")],
        State.REVIEW, HELD, review="undone"),
    Row("a part captured of what failed", AUTH, [seen("T1", "auth", "D"), CAPTURED], State.REVIEW,
        {"authorised": "40", "captured": "40"}, ("late_success",), review="amount differs"),
    Row("AUTHORISED, an extended hold", AUTH, [A, after("T1", "T2", "authext", "A")], State.AUTHORISED, HELD),
]  # fmt: skip

RELEASES = [
    Row("AUTHORISED, (void,A)", AUTH, [A, after("T1", "T2", "void", "A")], State.VOIDED, FREED),
    Row("AUTHORISED, (release,A) for the whole", AUTH, [A, after("T1", "T2", "release", "A")], State.VOIDED, FREED),
    Row("AUTHORISED, one void told as `void` and `release`", AUTH,
        [A, after("T1", "T2", "void", "A"), after("T1", "T2", "release", "A", original_tran_type="void")],
        State.VOIDED, FREED),
    Row("AUTHORISED, (·,V) on the auth", AUTH, [A, V], State.VOIDED, FREED),
    Row("AUTHORISED, (·,V) on the auth and its (void,A)", AUTH, [A, V, after("T1", "T2", "void", "A")],
        State.VOIDED, FREED),
    Row("AUTHORISED, (·,V) without an amount", AUTH, [A, seen("T1", "auth", "V", "0")], State.VOIDED, FREED),
    Row("AUTHORISED, (release,A) for a part", AUTH, [A, after("T1", "T2", "release", "A", "15.00")],
        State.AUTHORISED, {"authorised": "115", "released": "15"}),
    Row("AUTHORISED, (void,A) carried out for a part", AUTH,
        [A, after("T1", "T2", "void", "A", "15.00"), after("T1", "T2", "release", "A", "15.00")],
        State.AUTHORISED, {"authorised": "115", "released": "15"}),
    Row("AUTHORISED, (release,E)", AUTH, [A, after("T1", "T2", "release", "E")], State.AUTHORISED, HELD),
    Row("PART_CAPTURED, (release,A) for the remainder", AUTH, [A, CAPTURED, after("T1", "T3", "release", "A", "75")],
        State.PAID, PART | {"released": "75"}),
    Row("PART_CAPTURED, (void,A) for the remainder", AUTH, [A, CAPTURED, after("T1", "T3", "void", "A", "75")],
        State.PAID, PART | {"released": "75"}),
    Row("PART_CAPTURED, (release,A) for more than the remainder", AUTH,
        [A, CAPTURED, after("T1", "T3", "release", "A", "76")], State.REVIEW, PART | {"released": "76"},
        review="exceed authorised"),
    Row("PART_CAPTURED, (·,V) on the auth: what became of the capture is not known", AUTH, [A, CAPTURED, V],
        State.REVIEW, PART | {"released": "115"}, review="exceed authorised"),
    Row("(·,V) first", SALE, [seen("T1", "sale", "V")], State.VOIDED, FREED),
    Row("(·,V) first, before A and D", SALE, [seen("T1", "sale", "V"), S, seen("T1", "sale", "D")],
        State.VOIDED, FREED),
    Row("PAID, (void,A) prev on the sale", SALE, [S, after("T1", "T2", "void", "A")], State.VOIDED, FREED),
    Row("PAID, (·,V) on the sale", SALE, [S, seen("T1", "sale", "V")], State.VOIDED, FREED),
    Row("PAID, (void,A) for a part of the sale", SALE, [S, after("T1", "T2", "void", "A", "15.00")],
        State.REVIEW, WHOLE | {"released": "15"}, review="exceed authorised"),
]  # fmt: skip

EXPIRIES = [
    Row("AUTHORISED, (·,X) on the auth, later", AUTH,
        [seen("T1", "auth", "A", occurred_at=EARLY), seen("T1", "auth", "X", occurred_at=LATE)], State.EXPIRED),
    Row("AUTHORISED, (·,X) on the auth, earlier: a late success", AUTH,
        [seen("T1", "auth", "X", occurred_at=EARLY), seen("T1", "auth", "A", occurred_at=LATE)],
        State.AUTHORISED, HELD, ("late_success",)),
    Row("AUTHORISED, (·,X) on the auth, no time: rank decides", AUTH,
        [seen("T1", "auth", "X"), seen("T1", "auth", "A", occurred_at=LATE)],
        State.AUTHORISED, HELD, ("late_success",)),
    Row("PART_CAPTURED, (·,X) on the auth, later: what was captured stays", AUTH,
        [seen("T1", "auth", "A", occurred_at=EARLY), seen("T1", "auth", "X", occurred_at=LATE), CAPTURED],
        State.PART_CAPTURED, PART),
    Row("PAID, (sale,X) later does not undo a sale", SALE,
        [seen("T1", "sale", "A", occurred_at=EARLY), seen("T1", "sale", "X", occurred_at=LATE)],
        State.PAID, WHOLE, ("late_success",)),
]  # fmt: skip

REFUNDS = [
    Row("REFUNDED, (·,V) on the sale that was refunded whole", SALE,
        [S, seen("T1", "sale", "V"), after("T1", "T2", "refund", "A")], State.REFUNDED, WHOLE | {"refunded": "115"}),
    Row("REFUNDED in parts, (·,V) on the sale", SALE,
        [S, seen("T1", "sale", "V"), after("T1", "T2", "refund", "A", "15"), after("T1", "T3", "refund", "A", "100")],
        State.REFUNDED, WHOLE | {"refunded": "115"}),
    Row("REFUNDED, (·,V) on the capture that was refunded whole", AUTH,
        [A, CAPTURED, after("T1", "T2", "capture", "V", "40.00"), after("T2", "T3", "refund", "A", "40.00")],
        State.PART_CAPTURED, PART | {"refunded": "40"}),
    Row("VOIDED sale, refunded in part: nobody knows what came back", SALE,
        [S, seen("T1", "sale", "V"), after("T1", "T2", "refund", "A", "15")], State.REVIEW, FREED | {"refunded": "15"},
        review="refunds exceed captured"),
    Row("PAID, (refund,P)", SALE, [S, after("T1", "T2", "refund", "P", "15.00")], State.PAID,
        WHOLE | {"refund_pending": "15"}),
    Row("PAID, (refund,P) then A", SALE,
        [S, after("T1", "T2", "refund", "P", "15.00"), after("T1", "T2", "refund", "A", "15.00")],
        State.PART_REFUNDED, WHOLE | {"refunded": "15"}),
    *(
        Row(f"PAID, (refund,P) then {status}", SALE,
            [S, after("T1", "T2", "refund", "P", "15.00"), after("T1", "T2", "refund", status, "15.00")],
            State.PAID, WHOLE)
        for status in "DECX"
    ),
    Row("PAID, (refund,A), sum < captured", SALE, [S, after("T1", "T2", "refund", "A", "15.00")],
        State.PART_REFUNDED, WHOLE | {"refunded": "15"}),
    Row("PART_REFUNDED, (refund,P)", SALE,
        [S, after("T1", "T2", "refund", "A", "15.00"), after("T1", "T3", "refund", "P", "100.00")],
        State.PART_REFUNDED, WHOLE | {"refunded": "15", "refund_pending": "100"}),
    Row("PART_REFUNDED, (refund,A), sum = captured", SALE,
        [S, after("T1", "T2", "refund", "A", "15.00"), after("T1", "T3", "refund", "A", "100.00")],
        State.REFUNDED, WHOLE | {"refunded": "115"}),
    Row("PART_REFUNDED, (refund,A), sum > captured", SALE,
        [S, after("T1", "T2", "refund", "A", "15.00"), after("T1", "T3", "refund", "A", "101.00")],
        State.REVIEW, WHOLE | {"refunded": "116"}, review="refunds exceed"),
    Row("PAID, refunds done and pending exceed captured", SALE,
        [S, after("T1", "T2", "refund", "A", "15.00"), after("T1", "T3", "refund", "P", "101.00")],
        State.REVIEW, WHOLE | {"refunded": "15", "refund_pending": "101"}, review="refunds exceed"),
    Row("PART_CAPTURED, (refund,A) of the capture", AUTH, [A, CAPTURED, after("T2", "T3", "refund", "A", "40.00")],
        State.PART_CAPTURED, PART | {"refunded": "40"}),
    Row("PART_CAPTURED, (refund,P)", AUTH, [A, CAPTURED, after("T2", "T3", "refund", "P", "40.00")],
        State.PART_CAPTURED, PART | {"refund_pending": "40"}),
    Row("part captured, the rest released, all refunded", AUTH,
        [A, CAPTURED, after("T1", "T3", "release", "A", "75"), after("T2", "T4", "refund", "A", "40.00")],
        State.REFUNDED, PART | {"released": "75", "refunded": "40"}),
    Row("AUTHORISED, a refund of what was not captured", AUTH, [A, after("T1", "T2", "refund", "A", "15.00")],
        State.REVIEW, HELD | {"refunded": "15"}, review="refunds exceed"),
    Row("DECLINED, a refund all the same", SALE,
        [seen("T1", "sale", "D"), after("T1", "T2", "refund", "A", "15.00")], State.REVIEW,
        review="although it failed"),
    Row("PAID, a refund undone", SALE,
        [S, after("T1", "T2", "refund", "A", "15.00"), after("T1", "T2", "refund", "V", "15.00")], State.PAID, WHOLE),
    Row("dashboard: a refund we did not send, under another cart", SALE,
        [S, after("T1", "T2", "refund", "A", "15.00", cart_id="by-hand")], State.PART_REFUNDED,
        WHOLE | {"refunded": "15"}),
    Row("dashboard: a capture we did not send, under the same cart", AUTH,
        [A, after("T1", "T2", "capture", "A", "40.00", cart_id="cart-1")], State.PART_CAPTURED, PART),
]  # fmt: skip

LATE_AND_ODD = [
    *(
        Row(f"PAID, (sale,{status}) of the same tran_ref", SALE, [S, seen("T1", "sale", status)], State.PAID, WHOLE,
            flags)
        for status, flags in (("P", ()), ("D", ("late_success",)), ("E", ("late_success",)), ("C", ("late_success",)))
    ),
    Row("REFUNDED, (·,D) of the same tran_ref", SALE, [S, seen("T1", "sale", "D"), after("T1", "T2", "refund", "A")],
        State.REFUNDED, WHOLE | {"refunded": "115"}, ("late_success",)),
    Row("VOIDED, (·,E) of the same tran_ref", AUTH, [V, seen("T1", "auth", "E")], State.VOIDED, FREED),
    Row("any, prev unknown to us", SALE, [S, after("T7", "T8", "refund", "A", "15.00")], State.PAID, WHOLE,
        parked=("T8",)),
    Row("any, prev missing on a follow-up", SALE, [S, seen("T8", "refund", "A", "15.00")], State.PAID, WHOLE,
        parked=("T8",)),
    Row("any, prev known later", AUTH,
        [A, after("T7", "T8", "refund", "A", "15.00"), after("T1", "T7", "capture", "A")], State.PART_REFUNDED,
        WHOLE | {"refunded": "15"}),
    Row("any, prev in a circle", SALE,
        [S, after("T8", "T7", "refund", "A", "15.00"), after("T7", "T8", "refund", "A", "15.00")], State.REVIEW, WHOLE,
        review="circle", parked=("T7", "T8")),
    Row("any, its own prev", SALE, [S, after("T7", "T7", "refund", "A", "15.00")], State.REVIEW, WHOLE,
        review="circle", parked=("T7",)),
    Row("any, another amount", SALE, [seen("T1", "sale", "A", "114.99")], State.REVIEW,
        {"authorised": "114.99", "captured": "114.99"}, review="amount differs"),
    Row("any, another amount held", SALE, [seen("T1", "sale", "H", "114.99")], State.REVIEW, {"authorised": "114.99"},
        review="amount differs"),
    Row("any, another amount voided", SALE, [seen("T1", "sale", "V", "114.99")], State.REVIEW,
        {"authorised": "114.99", "released": "114.99"}, review="amount differs"),
    Row("any, two amounts", SALE, [S, seen("T1", "sale", "A", "114.99")], State.REVIEW, WHOLE,
        review="contradicting amounts"),
    Row("any, no amount", SALE, [seen("T1", "sale", "A", None)], State.REVIEW, review="amount missing"),
    Row("any, a capture of nothing", AUTH, [A, after("T1", "T2", "capture", "A", "0")], State.REVIEW, HELD,
        review="amount missing"),
    Row("any, an amount below zero", SALE, [S, after("T1", "T2", "refund", "P", "-5.00")], State.REVIEW,
        WHOLE | {"refund_pending": "-5"}, review="below zero"),
    Row("any, another currency", SALE, [seen("T1", "sale", "A", currency="USD")], State.REVIEW, WHOLE,
        review="currency differs"),
    Row("any, another currency of a follow-up", SALE, [S, after("T1", "T2", "refund", "A", "15", currency="USD")],
        State.REVIEW, WHOLE | {"refunded": "15"}, review="currency differs"),
    Row("any, another profile", SALE, [seen("T1", "sale", "A", profile_id=1)], State.REVIEW, WHOLE,
        review="profile differs"),
    Row("any, another profile of a decline", SALE, [seen("T1", "sale", "D", profile_id=1)], State.REVIEW,
        review="profile differs"),
    Row("any, another cart", SALE, [seen("T1", "sale", "A", cart_id="other")], State.REVIEW, WHOLE,
        review="cart differs"),
    Row("any, two carts", SALE, [S, seen("T1", "sale", "A", cart_id="other")], State.REVIEW, WHOLE,
        review="cart differs"),
    Row("any, unknown status", SALE, [seen("T1", "sale", "Z")], State.REVIEW, review="unknown status 'Z'"),
    Row("any, unknown status beside a known one", SALE, [S, seen("T1", "sale", "Z")], State.REVIEW, WHOLE,
        review="unknown status 'Z'"),
    Row("any, unknown type", SALE, [S, after("T1", "T2", "gift", "A", "5.00")], State.REVIEW, WHOLE,
        review="unknown transaction type 'gift'"),
    Row("any, no type", SALE, [seen("T1", "", "A")], State.REVIEW, HELD, review="type missing"),
    Row("any, no type beside a known one", SALE, [S, seen("T1", "", "A")], State.PAID, WHOLE),
    Row("any, contradicting types", SALE, [S, seen("T1", "refund", "A")], State.REVIEW, parked=("T1",),
        review="contradicting transaction types"),
    Row("any, two parents", AUTH, [A, CAPTURED, after("T9", "T2", "capture", "A", "40.00")], State.REVIEW, HELD,
        review="contradicting previous", parked=("T2",)),
    Row("any, a sale where a verification was asked", page("register"), [S], State.REVIEW, WHOLE,
        review="a sale where a register was asked"),
    Row("any, a verification where a sale was asked", SALE, [seen("T1", "register", "A")], State.REVIEW,
        review="a register where a sale was asked"),
    Row("any, a payment request that succeeds itself", SALE, [seen("T1", "payment request", "A")], State.REVIEW, HELD,
        review="cannot be authorised itself"),
]  # fmt: skip

ROWS = [*HOLDS, *CAPTURES, *RELEASES, *EXPIRIES, *REFUNDS, *LATE_AND_ODD]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
class TestMoney:
    """From AUTHORISED on."""

    def test_row(self, row: Row) -> None:
        """The verdict is the row's, for every order and repetition of what PayTabs said."""
        row.check()
