"""The state table of section 7, from NEW to the end of an attempt: one test per row."""

from typing import Any

import pytest

from payments.facts import (
    AttemptNotSent,
    AttemptRefused,
    CartRetired,
    Fact,
    OutcomeUnknown,
    PaymentAdopted,
    ReviewRaised,
)
from payments.payment import State
from tests.support.reasons import about
from tests.unit.payments.stories import CREATED, PROFILE, Row, after, amended, opened, page, seen, sent

WHOLE = {"authorised": "115", "captured": "115"}
HELD = {"authorised": "115"}
NAMED: Any = {"operation_id": "op-1", "cart_id": "cart-1"}
SENT: list[Fact] = [CREATED, sent()]
DEFERRED = seen("T1", "payment request", "P", "0", code="4411")

ADOPTED = PaymentAdopted(
    amount="115.00", currency="SAR", profile_id=PROFILE, tran_ref="T1", operation_id="adopt-1"
)  # fmt: skip

CLAIM = ReviewRaised(**about("a notice with another amount"), evidence="T1 sale A", delivery_id="d1")

SENDING = [
    Row("nothing happened", [], [], State.NEW),
    Row("created only", [CREATED], [], State.NEW),
    Row("NEW, send create", SENT, [], State.SENT),
    Row("NEW, the call did not happen", [*SENT, AttemptNotSent(**NAMED, detail="dns")], [], State.NEW),
    Row("SENT?, redirect answer", page(), [], State.AWAITING_PAYER, tran_ref="T1"),
    Row("SENT?, error envelope", [*SENT, AttemptRefused(**NAMED, code=2, detail="code_2")], [], State.ERROR),
    Row("SENT?, unknown outcome or code 4", [*SENT, OutcomeUnknown(**NAMED, detail="timeout")], [], State.SENT),
    Row("SENT?, late page", [*SENT, OutcomeUnknown(**NAMED, detail="lost"), opened()], [], State.AWAITING_PAYER),
]

PAYING = [
    Row("SENT?, (sale,A)", SENT, [seen("T1", "sale", "A")], State.PAID, WHOLE, tran_ref="T1"),
    Row("SENT? unknown, (sale,A) found by cart", [*SENT, OutcomeUnknown(**NAMED, detail="reset")],
        [seen("T9", "sale", "A", profile_id=None)], State.PAID, WHOLE, tran_ref="T9"),
    Row("AWAITING_PAYER, (sale,A)", page(), [seen("T1", "sale", "A")], State.PAID, WHOLE),
    Row("AWAITING_PAYER, (sale,P/600) then A", page(),
        [seen("T1", "sale", "P", "0", code="600"), seen("T1", "sale", "A")], State.PAID, WHOLE),
    Row("AWAITING_PAYER, (sale,P/600): nobody has paid yet", page(), [seen("T1", "sale", "P", "0", code="600")],
        State.AWAITING_PAYER),
    Row("AWAITING_PAYER, (sale,P/600) also thinly", page(),
        [seen("T1", "sale", "P", "0", code="600"), seen("T1", "sale", "P", None)], State.AWAITING_PAYER),
    Row("SENT?, (sale,A) prev of a token's origin", SENT, [after("T0", "T1", "sale", "A", cart_id="cart-1")],
        State.PAID, WHOLE),
    Row("AWAITING_PAYER, (sale,A) of the page itself, prev of a token's origin", page(),
        [after("T0", "T1", "sale", "A", cart_id="cart-1")], State.PAID, WHOLE),
    Row("SENT?, (sale,A) prev of a declined attempt that made the token", [*page(), sent(2)],
        [seen("T1", "sale", "D"), after("T1", "T2", "sale", "A", cart_id="cart-2")], State.PAID, WHOLE),
    Row("AWAITING_PAYER, (auth,A)", page("auth"), [seen("T1", "auth", "A")], State.AUTHORISED, HELD),
    Row("AWAITING_PAYER, (register,A)", page("register"), [seen("T1", "register", "A", "1.00")], State.REGISTERED),
    Row("AWAITING_PAYER, (register,A) and its release", page("register"),
        [seen("T1", "register", "A", "1.00"), after("T1", "T2", "release", "A", "1.00")], State.REGISTERED),
    Row("AWAITING_PAYER, (register,V)", page("register"), [seen("T1", "register", "V", "1.00")], State.REGISTERED),
    Row("AWAITING_PAYER, (register,V) before its A", page("register"),
        [seen("T1", "register", "V", None), seen("T1", "register", "A", "1.00")], State.REGISTERED),
    Row("AWAITING_PAYER, (register,D)", page("register"), [seen("T1", "register", "D", None)], State.DECLINED),
    Row("REGISTERED, new page", [*page("register"), *page(number=2)], [seen("T1", "register", "A", "1.00")],
        State.AWAITING_PAYER),
    Row("REGISTERED, (sale,A) of the card that it registered", [*page("register"), sent(2)],
        [seen("T1", "register", "A", "1.00"), after("T1", "T2", "sale", "A", cart_id="cart-2")], State.PAID, WHOLE),
    Row("REGISTERED, (sale,D)", [*page("register"), sent(2)],
        [seen("T1", "register", "A", "1.00"), after("T1", "T2", "sale", "D", cart_id="cart-2")], State.DECLINED),
    Row("DECLINED, (register,A)", [*page(), seen("T1", "sale", "D"), *page("register", 2)],
        [seen("T2", "register", "A", "1.00", cart_id="cart-2")], State.REGISTERED),
    Row("AWAITING_PAYER, (sale,H)", page(), [seen("T1", "sale", "H")], State.ON_HOLD, HELD),
    Row("AWAITING_PAYER, (auth,H) though a sale was asked", page(),
        [seen("T1", "auth", "H", original_tran_type="sale"), seen("T1", "sale", "H")], State.ON_HOLD, HELD),
    Row("AWAITING_PAYER, (payment request,P)", page(), [DEFERRED], State.PENDING_OFFLINE),
    Row("AWAITING_PAYER, (sale,P) with a payer reference", page(), [seen("T1", "sale", "P", "0", code="4411")],
        State.PENDING_OFFLINE),
    Row("AWAITING_PAYER, (payment request,P) of a page seen unpaid before", page(),
        [seen("T1", "sale", "P", "0", code="600"), DEFERRED], State.PENDING_OFFLINE),
    Row("AWAITING_PAYER, (payment request,P), new reference with prev", page(),
        [after("T1", "T2", "payment request", "P", "0", code="4411")], State.PENDING_OFFLINE),
    Row("AWAITING_PAYER, (·,D)", page(), [seen("T1", "sale", "D", code="316")], State.DECLINED),
    Row("AWAITING_PAYER, (·,E)", page(), [seen("T1", "sale", "E", code="200")], State.ERROR),
    Row("AWAITING_PAYER, (·,C)", page(), [seen("T1", "sale", "C", code="321")], State.CANCELLED),
    Row("AWAITING_PAYER, (·,X)", page(), [seen("T1", "sale", "X", code="355")], State.EXPIRED),
    Row("bank_check 300", page(), [seen("T1", "sale", "D", code="300")], State.DECLINED, flags=("bank_check",)),
    Row("bank_check 300 beside a thin D", page(), [seen("T1", "sale", "D", code="300"), seen("T1", "sale", "D")],
        State.DECLINED, flags=("bank_check",)),
    Row("bank_check 400", page(), [seen("T1", "sale", "E", code="400")], State.ERROR, flags=("bank_check",)),
    Row("bank_check 401", page(), [seen("T1", "sale", "E", code="401")], State.ERROR, flags=("bank_check",)),
    Row("no bank_check for D/400", page(), [seen("T1", "sale", "D", code="400")], State.DECLINED),
]  # fmt: skip

OFFLINE = [
    Row("PENDING_OFFLINE, (sale,A) prev", page(), [DEFERRED, after("T1", "T2", "sale", "A", cart_id="cart-1")],
        State.PAID, WHOLE, tran_ref="T2"),
    Row("PENDING_OFFLINE, (sale,A) prev, the request not seen", page(),
        [after("T1", "T2", "sale", "A", cart_id="cart-1")], State.PAID, WHOLE, tran_ref="T2"),
    Row("PENDING_OFFLINE, (sale,A) prev, and its refund, the request not seen", page(),
        [after("T1", "T2", "sale", "A"), after("T2", "T3", "refund", "A", "15.00")],
        State.PART_REFUNDED, WHOLE | {"refunded": "15"}),
    Row("PENDING_OFFLINE, (sale,A) prev of a request that has the page as prev", page(),
        [after("T1", "T2", "payment request", "P", "0", code="4411"), after("T2", "T3", "sale", "A")],
        State.PAID, WHOLE, tran_ref="T3"),
    Row("PENDING_OFFLINE, (sale,A) prev, another amount", page(), [DEFERRED, after("T1", "T2", "sale", "A", "15.00")],
        State.REVIEW, {"authorised": "15", "captured": "15"}, review="amount differs"),
    Row("PENDING_OFFLINE, (sale,A) prev, twice", page(),
        [DEFERRED, after("T1", "T2", "sale", "A"), after("T1", "T3", "sale", "A")],
        State.REVIEW, {"authorised": "230", "captured": "230"}, review="settled more than once"),
    Row("PENDING_OFFLINE, (·,X), same tran_ref", page(), [DEFERRED, seen("T1", "payment request", "X")],
        State.EXPIRED),
    Row("PENDING_OFFLINE, (·,X), new tran_ref, prev", page(), [DEFERRED, after("T1", "T2", "payment request", "X")],
        State.EXPIRED),
    Row("PENDING_OFFLINE, (·,X), new tran_ref, no prev", page(), [DEFERRED, seen("T2", "sale", "X")], State.EXPIRED),
    Row("PENDING_OFFLINE, the page itself expires beside the request", page(),
        [seen("T1", "sale", "X"), seen("T2", "payment request", "P", "0", code="4411")], State.PENDING_OFFLINE),
    Row("PENDING_OFFLINE, (sale,D) prev", page(), [DEFERRED, after("T1", "T2", "sale", "D")], State.DECLINED),
    Row("PENDING_OFFLINE, (sale,E) prev", page(), [DEFERRED, after("T1", "T2", "sale", "E", code="401")],
        State.ERROR, flags=("bank_check",)),
    Row("PENDING_OFFLINE, (sale,D) prev then (sale,A) prev", page(),
        [DEFERRED, after("T1", "T2", "sale", "D"), after("T1", "T3", "sale", "A")], State.PAID, WHOLE),
    Row("PENDING_OFFLINE, (sale,H) prev", page(), [DEFERRED, after("T1", "T2", "sale", "H")], State.ON_HOLD, HELD),
    Row("EXPIRED offline, (sale,A) prev all the same", page(),
        [seen("T1", "payment request", "X"), after("T1", "T2", "sale", "A")], State.PAID, WHOLE,
        flags=("late_success",)),
]  # fmt: skip

AGAIN = [
    *(
        Row(f"a failed attempt, (sale,A) on the same tran_ref: {status}", page(),
            [seen("T1", "sale", status), seen("T1", "sale", "A")], State.PAID, WHOLE, ("late_success",))
        for status in "DEXC"
    ),
    Row("a failed attempt, (auth,A) on the same tran_ref", page("auth"),
        [seen("T1", "auth", "D"), seen("T1", "auth", "A")], State.AUTHORISED, HELD, ("late_success",)),
    Row("a failed attempt, new page", [*page(), seen("T1", "sale", "D"), sent(2)], [], State.SENT),
    Row("a failed attempt, new page opened", [*page(), *page(number=2)], [seen("T1", "sale", "D")],
        State.AWAITING_PAYER, tran_ref="T2"),
    Row("a failed attempt, new page paid", [*page(), *page(number=2)],
        [seen("T1", "sale", "C"), seen("T2", "sale", "A", cart_id="cart-2")], State.PAID, WHOLE, tran_ref="T2"),
    Row("two attempts failed: the later one tells", [*page(), *page(number=2)],
        [seen("T1", "sale", "C"), seen("T2", "sale", "E", cart_id="cart-2")], State.ERROR),
    Row("paid twice: two attempts", [*page(), *page(number=2)],
        [seen("T1", "sale", "D"), seen("T1", "sale", "A"), seen("T2", "sale", "A", cart_id="cart-2")],
        State.REVIEW, {"authorised": "230", "captured": "230"}, ("late_success",), review="paid twice"),
    Row("paid twice, one of them refunded", [*page(), *page(number=2)],
        [seen("T1", "sale", "A"), seen("T2", "sale", "A", cart_id="cart-2"), after("T1", "T3", "refund", "A")],
        State.PAID, {"authorised": "230", "captured": "230", "refunded": "115"}, tran_ref="T2"),
    Row("PAID, (sale,A), new tran_ref, no prev", page(), [seen("T1", "sale", "A"), seen("T2", "sale", "A")],
        State.REVIEW, {"authorised": "230", "captured": "230"}, review="paid twice"),
    Row("PAID, (sale,A), new tran_ref, no prev, foreign cart", page(),
        [seen("T1", "sale", "A"), seen("T2", "sale", "A", cart_id="foreign")],
        State.REVIEW, {"authorised": "230", "captured": "230"}, review="no known attempt"),
    Row("one page, another tran_ref declined: the page is open until PayTabs says", page(),
        [seen("T2", "sale", "D")], State.AWAITING_PAYER),
    Row("one page, another tran_ref declined, the page's expired", page(),
        [seen("T2", "sale", "D"), seen("T1", "sale", "X")], State.DECLINED),
    Row("money of the first attempt went back, the second is open", [*page(), *page(number=2)],
        [seen("T1", "sale", "V")], State.AWAITING_PAYER, {"authorised": "115", "released": "115"}),
]  # fmt: skip

CARTS = [
    Row("retired, nothing found", [*SENT, CartRetired(**NAMED, reason="nothing_found")], [], State.NEW),
    Row("retired, its page unpaid", [*SENT, CartRetired(**NAMED, reason="x"), opened(), sent(2)],
        [seen("T1", "sale", "P", "0", code="600")], State.SENT),
    Row("retired, its page expired while the new one is out", [*SENT, CartRetired(**NAMED, reason="x"), sent(2)],
        [seen("T1", "sale", "X")], State.SENT),
    Row("retired, a late answer does not revive it", [*SENT, CartRetired(**NAMED, reason="x"), opened()], [],
        State.NEW),
    Row("retired, paid all the same", [*SENT, CartRetired(**NAMED, reason="x"), sent(2), opened(2)],
        [seen("T1", "sale", "A")], State.PAID, WHOLE, tran_ref="T1"),
    Row("retired, both paid", [*SENT, CartRetired(**NAMED, reason="x"), sent(2), opened(2)],
        [seen("T1", "sale", "A"), seen("T2", "sale", "A", cart_id="cart-2")],
        State.REVIEW, {"authorised": "230", "captured": "230"}, review="paid twice"),
    Row("adopted, not asked yet", [ADOPTED], [], State.AWAITING_PAYER, tran_ref="T1"),
    Row("adopted, paid under the old code's cart", [ADOPTED], [seen("T1", "sale", "A", cart_id="old")],
        State.PAID, WHOLE),
    Row("adopted, declined", [ADOPTED], [seen("T1", "sale", "D", cart_id="old")], State.DECLINED),
    Row("adopted, another amount", [ADOPTED], [seen("T1", "sale", "A", "15.00", cart_id="old")], State.REVIEW,
        {"authorised": "15", "captured": "15"}, review="amount differs"),
    Row("amended, the second attempt has the new amount",
        [*page(), amended("200.00"), sent(2, amount="200.00"), opened(2)],
        [seen("T1", "sale", "D"), seen("T2", "sale", "A", "200.00", cart_id="cart-2")],
        State.PAID, {"authorised": "200", "captured": "200"}),
    Row("amended, the first attempt paid late with its own amount",
        [*page(), amended("200.00"), sent(2, amount="200.00")],
        [seen("T1", "sale", "D"), seen("T1", "sale", "A")], State.PAID, WHOLE, ("late_success",)),
    Row("amended currency, a refund of the first attempt in its own", [*page(), amended("30.00", "USD")],
        [seen("T1", "sale", "A"), after("T1", "T2", "refund", "A", "15.00")],
        State.PART_REFUNDED, WHOLE | {"refunded": "15"}),
    Row("claim on an open payment", [*page(), CLAIM], [], State.REVIEW, review="another amount"),
    Row("claim on a failed payment", [*page(), CLAIM], [seen("T1", "sale", "D")], State.REVIEW,
        review="another amount"),
    Row("claim beside the genuine notice", [*page(), CLAIM], [seen("T1", "sale", "A")], State.PAID, WHOLE,
        review="another amount"),
    Row("claim on a refunded payment", [*page(), CLAIM], [seen("T1", "sale", "A"), after("T1", "T2", "refund", "A")],
        State.REFUNDED, WHOLE | {"refunded": "115"}, review="another amount"),
]  # fmt: skip


@pytest.mark.parametrize("row", [*SENDING, *PAYING, *OFFLINE, *AGAIN, *CARTS], ids=lambda row: row.name)
class TestAttempts:
    """From NEW to the end of an attempt."""

    def test_row(self, row: Row) -> None:
        """The verdict is the row's, for every order and repetition of what PayTabs said."""
        row.check()
