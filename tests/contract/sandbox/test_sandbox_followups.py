"""Captures, voids, releases and refunds by API: new transactions, sums that hold, refusals as normal answers."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sandbox.signing import sign_body


def result(answer: dict[str, Any]) -> tuple[str, str]:
    """Give status and code of a completed answer."""
    shown = answer["payment_result"]
    return shown["response_status"], shown["response_code"]


def refused(desk: Any, tran_ref: str, kind: str, amount: object, **changes: Any) -> str:
    """Ask for what must not work; gives the code of the E, which is a transaction and moves nothing."""
    moves = desk.ledger()["movements"]
    answer = desk.followed(tran_ref, kind, amount, **changes)
    status, code = result(answer)
    assert status == "E"
    assert answer["previous_tran_ref"] == tran_ref
    assert desk.ledger()["movements"] == moves
    assert desk.query(tran_ref=answer["tran_ref"]).json()["payment_result"]["response_code"] == code
    return code


class TestCapture:
    """Taking what is held."""

    def test_answer(self, desk: Any) -> None:
        """A capture is a completed answer of its own cart and reference, with the customer and card of the auth."""
        auth = desk.paid(tran_type="auth")
        done = desk.followed(auth, "capture", 100, cart_id="op-1", customer_ref="R-1")
        assert (done["tran_type"], done["previous_tran_ref"], done["cart_id"]) == ("Capture", auth, "op-1")
        assert (done["cart_amount"], done["tran_total"], done["tran_currency"]) == ("100.00", "100.00", "SAR")
        assert done["customer_details"]["email"] == "buyer@example.test"
        assert done["payment_info"]["payment_description"] == "4111 11## #### 1111"
        assert (done["paymentChannel"], done["serviceId"], done["customer_ref"]) == ("Transaction API", 1, "R-1")
        assert done["tran_ref"] != auth
        assert "original_tran_type" not in done
        (entry,) = desk.query(cart_id="op-1").json()
        assert entry["tran_ref"] == done["tran_ref"]

    def test_several(self, desk: Any) -> None:
        """Captures add up to what was authorised and not a fils more; the auth stays A."""
        auth = desk.paid(tran_type="auth")
        assert result(desk.followed(auth, "capture", 100))[0] == "A"
        assert refused(desk, auth, "capture", 15.51) == "991"
        assert result(desk.followed(auth, "capture", 15.5))[0] == "A"
        assert refused(desk, auth, "capture", 0.01) == "991"
        assert desk.balance(auth) == {"authorised": "115.50", "captured": "115.50"}
        assert result(desk.query(tran_ref=auth).json())[0] == "A"

    @pytest.mark.parametrize("kind", ["capture", "void", "release"])
    def test_held(self, desk: Any, kind: str) -> None:
        """A held one is 120 until a human decides."""
        assert refused(desk, desk.paid("held"), kind, 115.5) == "120"

    @pytest.mark.parametrize(
        ("card", "tran_type", "kind"),
        [("authorised", "sale", "capture"), ("declined", "auth", "capture"), ("pending", "sale", "release")],
    )
    def test_wrong_state(self, desk: Any, card: str, tran_type: str, kind: str) -> None:
        """What is not an authorised auth cannot be captured or released."""
        assert refused(desk, desk.paid(card, tran_type=tran_type), kind, 115.5) == "992"

    def test_concurrently(self, desk: Any) -> None:
        """Of 20 captures of a tenth at once, ten go through."""
        auth = desk.paid(tran_type="auth", cart_amount=100)
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: desk.followed(auth, "capture", 10), range(20)))
        assert sorted(result(one)[0] for one in answers) == ["A"] * 10 + ["E"] * 10
        assert desk.balance(auth)["captured"] == "100.00"


class TestVoid:
    """Undoing, and freeing."""

    def test_void(self, desk: Any) -> None:
        """A void frees all, the auth becomes V and takes nothing more."""
        auth = desk.paid(tran_type="auth")
        done = desk.followed(auth, "void", 115.5)
        assert (done["tran_type"], *result(done)[:1]) == ("Void", "A")
        assert desk.balance(auth) == {"authorised": "115.50", "released": "115.50"}
        assert result(desk.query(tran_ref=auth).json())[0] == "V"
        assert refused(desk, auth, "capture", 1) == "992"
        assert refused(desk, auth, "void", 115.5) == "992"

    def test_original_unchanged_switch(self, desk: Any) -> None:
        """By switch the auth stays A and still takes nothing more."""
        desk.switch(void_changes_original=False)
        auth = desk.paid(tran_type="auth")
        desk.followed(auth, "void", 115.5)
        assert result(desk.query(tran_ref=auth).json())[0] == "A"
        assert refused(desk, auth, "capture", 1) == "991"

    def test_release(self, desk: Any) -> None:
        """A release frees a part, the rest can be captured; a void then frees what is left."""
        auth = desk.paid(tran_type="auth")
        assert desk.followed(auth, "release", 15.5)["tran_type"] == "Release"
        assert refused(desk, auth, "release", 100.01) == "991"
        assert desk.followed(auth, "void", 100)["tran_type"] == "Void"
        assert desk.balance(auth) == {"authorised": "115.50", "released": "115.50"}

    def test_partial(self, desk: Any) -> None:
        """A void of a part is carried out as a release, and only a query says what was asked."""
        auth = desk.paid(tran_type="auth")
        done = desk.followed(auth, "void", 15.5)
        assert (done["tran_type"], "original_tran_type" in done) == ("Release", False)
        assert desk.query(tran_ref=done["tran_ref"]).json()["original_tran_type"] == "Void"
        assert result(desk.query(tran_ref=auth).json())[0] == "A"
        desk.switch(partial_void="refused")
        assert refused(desk, auth, "void", 15.5) == "991"

    def test_after_capture(self, desk: Any) -> None:
        """After a capture a void is refused, or by switch frees the rest and leaves the auth A."""
        auth = desk.paid(tran_type="auth")
        desk.followed(auth, "capture", 100)
        assert refused(desk, auth, "void", 15.5) == "992"
        desk.switch(void_after_capture="frees_rest")
        assert result(desk.followed(auth, "void", 15.5))[0] == "A"
        assert desk.balance(auth) == {"authorised": "115.50", "captured": "100.00", "released": "15.50"}
        assert result(desk.query(tran_ref=auth).json())[0] == "A"

    def test_sale(self, desk: Any) -> None:
        """A sale cannot be voided, or by switch until the end of the day, which gives the money back."""
        first, second = desk.paid(), desk.paid()
        assert refused(desk, first, "void", 115.5) == "992"
        desk.switch(void_of_sale="allowed")
        assert refused(desk, first, "void", 1) == "991"
        assert result(desk.followed(first, "void", 115.5))[0] == "A"
        assert desk.balance(first) == {"authorised": "115.50", "released": "115.50"}
        assert result(desk.query(tran_ref=first).json())[0] == "V"
        desk.switch(void_of_sale="refused")
        assert refused(desk, second, "void", 115.5) == "992"


class TestRefund:
    """Giving back."""

    def test_several(self, desk: Any) -> None:
        """Refunds add up to what was paid and not a fils more; the sale stays A."""
        sale = desk.paid()
        done = desk.followed(sale, "refund", 100)
        assert (done["tran_type"], done["previous_tran_ref"], done["tran_total"]) == ("Refund", sale, "100.00")
        assert refused(desk, sale, "refund", 15.51) == "118"
        assert result(desk.followed(sale, "refund", 15.5))[0] == "A"
        assert refused(desk, sale, "refund", 0.01) == "118"
        assert desk.balance(sale) == {"authorised": "115.50", "captured": "115.50", "refunded": "115.50"}
        assert result(desk.query(tran_ref=sale).json())[0] == "A"

    def test_of_capture(self, desk: Any) -> None:
        """Of an auth, each capture is refunded within its own amount, the auth never."""
        auth = desk.paid(tran_type="auth")
        first = desk.followed(auth, "capture", 40)["tran_ref"]
        second = desk.followed(auth, "capture", 60)["tran_ref"]
        assert refused(desk, auth, "refund", 10) == "992"
        assert refused(desk, first, "refund", 50) == "118"
        assert result(desk.followed(second, "refund", 50))[0] == "A"
        assert desk.balance(auth) == {"authorised": "115.50", "captured": "100.00", "refunded": "50.00"}

    @pytest.mark.parametrize("decision", ["approve", "reject"])
    def test_pending(self, desk: Any, receiver: Any, until: Any, decision: str) -> None:
        """With manual approval a refund waits as P and counts; it is decided on its own reference and told again."""
        desk.switch(refund_approval="manual")
        sale = desk.paid()
        done = desk.followed(sale, "refund", 100, callback=receiver.url)
        assert result(done) == ("P", "600")
        assert desk.balance(sale) == {"authorised": "115.50", "captured": "115.50", "refund_pending": "100.00"}
        assert refused(desk, sale, "refund", 15.51) == "118"
        expected = {"approve": "A", "reject": "D"}[decision]
        decided = desk.post("dashboard", tran_ref=done["tran_ref"], action=decision).json()
        assert (decided["tran_ref"], decided["status"]) == (done["tran_ref"], expected)
        assert result(desk.query(tran_ref=done["tran_ref"]).json())[0] == expected
        rest = {"refunded": "100.00"} if decision == "approve" else {}
        assert desk.balance(sale) == {"authorised": "115.50", "captured": "115.50", **rest}
        until(lambda: len(receiver.deliveries) == 2)
        assert [one["payment_result"]["response_status"] for one in receiver.notices()] == ["P", expected]
        assert {one["tran_ref"] for one in receiver.notices()} == {done["tran_ref"]}
        assert desk.post("dashboard", tran_ref=done["tran_ref"], action="approve").status_code == 409
        assert result(desk.followed(sale, "refund", 15.5))[0] == "P"

    @pytest.mark.parametrize(("decision", "refundable"), [("approve", 15.5), ("reject", 115.5)])
    def test_pending_new_reference(self, desk: Any, decision: str, refundable: float) -> None:
        """By switch the decision is a new transaction with the pending one as its previous, counted once."""
        desk.switch(refund_approval="manual", refund_resolution="new")
        sale = desk.paid()
        waiting = desk.followed(sale, "refund", 100)["tran_ref"]
        decided = desk.post("dashboard", tran_ref=waiting, action=decision).json()
        assert (decided["previous_tran_ref"], decided["tran_type"]) == (waiting, "Refund")
        assert result(desk.query(tran_ref=waiting).json())[0] == "P"
        assert "refund_pending" not in desk.balance(sale)
        assert refused(desk, sale, "refund", refundable + 0.01) == "118"
        assert result(desk.followed(sale, "refund", refundable))[0] == "P"

    def test_full_refund_switch(self, desk: Any) -> None:
        """By switch the sale turns to V when all of it was given back."""
        desk.switch(full_refund_changes_original=True)
        sale = desk.paid()
        desk.followed(sale, "refund", 100)
        assert result(desk.query(tran_ref=sale).json())[0] == "A"
        desk.followed(sale, "refund", 15.5)
        assert result(desk.query(tran_ref=sale).json())[0] == "V"
        assert desk.balance(sale)["refunded"] == "115.50"

    def test_merchant_balance(self, desk: Any) -> None:
        """A refund that the merchant's balance does not cover is D/342 and moves nothing."""
        desk.switch(merchant_balance=50)
        sale = desk.paid()
        assert result(desk.followed(sale, "refund", 50.01)) == ("D", "342")
        assert result(desk.followed(sale, "refund", 50))[0] == "A"
        assert desk.balance(sale)["refunded"] == "50.00"

    @pytest.mark.parametrize(("flags", "codes"), [("KA", ["990", "990"]), ("KAR", ["991"]), ("KARP", ["A", "992"])])
    def test_method(self, desk: Any, flags: str, codes: list[str]) -> None:
        """The payment method may allow no refund, full ones only, or one only."""
        desk.switch(method_flags=flags)
        sale = desk.paid()
        statuses = [result(desk.followed(sale, "refund", 50)) for _ in codes]
        assert [code if status == "E" else status for status, code in statuses] == codes


class TestRefusals:
    """What is against the rules."""

    def test_each(self, desk: Any) -> None:
        """An unknown transaction, another currency and an unsupported type have codes of their own."""
        auth = desk.paid(tran_type="auth")
        assert refused(desk, "TST0000000000000", "capture", 1) == "993"
        assert refused(desk, auth, "capture", 1, cart_currency="USD") == "994"
        assert refused(desk, auth, "authext", 115.5) == "990"
        assert refused(desk, desk.opened()["tran_ref"], "refund", 1) == "992"

    def test_envelope_switch(self, desk: Any) -> None:
        """By switch a refusal is an error envelope, 206 for the currency, and no transaction."""
        desk.switch(followup_refusals="envelope")
        auth = desk.paid(tran_type="auth")
        before = desk.ledger()["transactions"]
        answers = [desk.follow(auth, "capture", 115.51), desk.follow(auth, "capture", 1, cart_currency="USD")]
        assert [(one.status_code, one.json()["code"]) for one in answers] == [(400, 2), (400, 206)]
        assert desk.ledger()["transactions"] == before

    def test_refused_can_be_repeated(self, desk: Any) -> None:
        """A refusal does not count for the duplicate filter, a success does, unless the filter spares follow-ups."""
        auth = desk.paid(tran_type="auth")
        assert [desk.follow(auth, "capture", 200, cart_id="op-1").status_code for _ in range(2)] == [200, 200]
        assert [desk.follow(auth, "capture", 10, cart_id="op-2").status_code for _ in range(2)] == [200, 409]
        desk.switch(duplicate_filter_followups=False)
        assert desk.follow(auth, "capture", 10, cart_id="op-2").status_code == 200
        assert desk.balance(auth)["captured"] == "20.00"

    def test_counted_by_switch(self, desk: Any) -> None:
        """By switch a refusal counts for the filter."""
        desk.switch(refused_counts_for_filter=True)
        auth = desk.paid(tran_type="auth")
        assert [desk.follow(auth, "capture", 200, cart_id="op-1").status_code for _ in range(2)] == [200, 409]

    def test_refused_follower_does_not_settle(self, desk: Any) -> None:
        """A refused act upon something pending leaves it pending."""
        ref = desk.paid("pending")
        assert refused(desk, ref, "refund", 1) == "992"
        assert desk.post("dashboard", tran_ref=ref, action="settle").json()["status"] == "A"


class TestNotices:
    """Who hears of it."""

    def test_own_callback(self, desk: Any, receiver: Any, until: Any) -> None:
        """A follow-up is told to its own callback, else to the original's; the body has its previous and its cart."""
        desk.switch(capture_reported_as="capture")
        auth = desk.paid(tran_type="auth", callback=f"{receiver.url}/original")
        until(lambda: len(receiver.deliveries) == 1)
        desk.followed(auth, "capture", 10, cart_id="op-1", callback=f"{receiver.url}/own")
        until(lambda: len(receiver.deliveries) == 2)
        desk.followed(auth, "release", 10, cart_id="op-2")
        until(lambda: len(receiver.deliveries) == 3)
        told = list(zip([one["path"] for one in receiver.deliveries], receiver.notices(), strict=True))[1:]
        assert [(path, body["tran_type"], body["cart_id"], body["previous_tran_ref"]) for path, body in told] == [
            ("/own", "Capture", "op-1", auth),
            ("/original", "Release", "op-2", auth),
        ]

    def test_refusals(self, desk: Any, receiver: Any, until: Any) -> None:
        """A refusal is told as E, or by switch not at all."""
        sale = desk.paid()
        desk.followed(sale, "refund", 999, callback=receiver.url)
        until(lambda: receiver.deliveries)
        assert receiver.notices()[0]["payment_result"]["response_status"] == "E"
        desk.switch(refused_followup_notices=False)
        desk.followed(sale, "refund", 999, callback=receiver.url)
        desk.followed(sale, "refund", 1, callback=receiver.url)
        until(lambda: len(receiver.deliveries) == 2)
        assert receiver.notices()[1]["payment_result"]["response_status"] == "A"

    def test_notice_key(self, desk: Any, receiver: Any, until: Any) -> None:
        """By switch notices bear the signature of an old key."""
        desk.switch(notice_key="SOLDKEY000-AAAA2222BB-CCCC3333DD")
        desk.paid(callback=receiver.url)
        until(lambda: receiver.deliveries)
        (delivery,) = receiver.deliveries
        assert delivery["signature"] == sign_body(delivery["body"], "SOLDKEY000-AAAA2222BB-CCCC3333DD")
