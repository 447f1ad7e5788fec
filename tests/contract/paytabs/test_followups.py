from decimal import Decimal
from typing import Any

import pytest

from paytabs.responses import Outcome
from tests.contract.paytabs.shop import Shop, has_status, transaction_of, until


class TestMoved:
    """What a follow-up does, and how it is told."""

    @pytest.mark.parametrize(
        ("currency", "amount", "part"), [("SAR", "100.00", "30.01"), ("KWD", "1.250", "0.125"), ("JPY", "1500", "1")]
    )
    def test_capture_refund_release(self, shop: Shop, currency: str, amount: str, part: str) -> None:
        """A part is taken, given back in two parts, and the rest is freed: to the last digit of each currency."""
        held = shop.held(amount, currency)
        captured = shop.follow_up("capture", held, part)
        assert (captured.outcome, captured.detail) == (Outcome.SUCCEEDED, "completed")
        capture = transaction_of(captured)
        assert (capture.tran_type, capture.previous_tran_ref) == ("capture", held.tran_ref)
        assert (capture.tran_total, capture.tran_currency) == (Decimal(part), currency)
        refunded = transaction_of(shop.follow_up("refund", capture, part))
        assert (refunded.tran_type, refunded.previous_tran_ref) == ("refund", capture.tran_ref)
        rest = str(Decimal(amount) - Decimal(part))
        assert shop.follow_up("release", held, rest).outcome is Outcome.SUCCEEDED
        assert shop.balance(held) == {
            "authorised": Decimal(amount),
            "captured": Decimal(part),
            "released": Decimal(rest),
            "refunded": Decimal(part),
            "refund_pending": Decimal(0),
        }

    def test_found_by_its_cart(self, shop: Shop) -> None:
        """A follow-up whose answer was lost is found by the cart it was given, with what it acted upon."""
        paid = shop.paid()
        request = shop.follow_up_request("refund", paid, "40.00")
        shop.sandbox.fault("/payment/request", "cut_after_accept")
        lost = shop.client.follow_up(request)
        assert (lost.outcome, lost.detail) == (Outcome.UNKNOWN, "connection_lost")
        (found,) = shop.client.query_cart(request.cart_id).transactions
        assert (found.tran_type, found.response_status, found.tran_total) == ("refund", "A", Decimal(40))
        assert found.previous_tran_ref == paid.tran_ref
        assert shop.balance(paid)["refunded"] == Decimal(40)

    @pytest.mark.parametrize("kind", ["http_500", "http_500_json_code", "http_502_html", "http_429", "html_200"])
    def test_never_resent(self, shop: Shop, kind: str) -> None:
        """A mood of the gateway leaves a refund unknown after exactly one request."""
        paid = shop.paid()
        request = shop.follow_up_request("refund", paid, "40.00")
        shop.sandbox.fault("/payment/request", kind)
        assert shop.client.follow_up(request).outcome is Outcome.UNKNOWN
        assert len(shop.sandbox.requests("/payment/request", cart_id=request.cart_id)) == 1

    def test_void(self, shop: Shop) -> None:
        """A void frees the whole."""
        held = shop.held()
        answer = shop.follow_up("void", held, "100.00")
        assert (answer.outcome, transaction_of(answer).tran_type) == (Outcome.SUCCEEDED, "void")
        assert shop.balance(held)["released"] == Decimal(100)

    def test_pending_refund(self, shop: Shop) -> None:
        """A refund that waits for approval is pending under its own reference, until that says otherwise."""
        shop.sandbox.switch(refund_approval="manual")
        paid = shop.paid()
        asked = shop.follow_up("refund", paid, "100.00")
        assert asked.outcome is Outcome.PENDING
        refund = transaction_of(asked)
        assert shop.client.query_tran(refund.tran_ref).outcome is Outcome.PENDING
        shop.sandbox.dashboard(refund.tran_ref, "approve")
        assert shop.client.query_tran(refund.tran_ref).outcome is Outcome.SUCCEEDED

    def test_rejected_refund(self, shop: Shop) -> None:
        """And one that is not approved ends as a refusal; nothing was given back."""
        shop.sandbox.switch(refund_approval="manual")
        paid = shop.paid()
        refund = transaction_of(shop.follow_up("refund", paid, "100.00"))
        shop.sandbox.dashboard(refund.tran_ref, "reject")
        assert shop.client.query_tran(refund.tran_ref).outcome is Outcome.REFUSED
        assert shop.balance(paid)["refunded"] == Decimal(0)


class TestRefused:
    """What PayTabs refuses is a refusal to us, however it is told, and moves nothing."""

    @pytest.mark.parametrize("told", ["answer", "envelope"])
    @pytest.mark.parametrize(
        ("first", "tran_type", "amount", "members"),
        [
            ("paid", "refund", "100.01", {}),
            ("paid", "capture", "1.00", {}),
            ("paid", "release", "1.00", {}),
            ("paid", "void", "100.00", {}),
            ("held", "capture", "100.01", {}),
            ("held", "refund", "1.00", {}),
            ("held", "release", "100.01", {}),
            ("held", "capture", "1.00", {"cart_currency": "USD"}),
            ("held", "void", "100.00", {"tran_ref": "TST0000000000000"}),
        ],
    )
    def test_told(
        self, shop: Shop, *, told: str, first: str, tran_type: str, amount: str, members: dict[str, Any]
    ) -> None:
        """As an answer of status E with 200 it is REFUSED, as an error envelope it did not happen."""
        shop.sandbox.switch(followup_refusals=told)
        root = shop.paid() if first == "paid" else shop.held()
        before = shop.balance(root)
        answer = shop.follow_up(tran_type, root, amount, **members)
        if told == "answer":
            assert (answer.outcome, answer.http_status) == (Outcome.REFUSED, 200)
            refused = transaction_of(answer)
            assert refused.response_status == "E"
            assert refused.tran_ref != root.tran_ref
        else:
            assert answer.outcome is Outcome.DID_NOT_HAPPEN
            assert answer.error_code == (206 if "cart_currency" in members else 2)
        assert shop.balance(root) == before

    def test_on_hold(self, shop: Shop) -> None:
        """Money that risk screening holds is not ours to take: E with 120, a code with a meaning."""
        held = shop.paid("held", tran_type="auth")
        answer = shop.follow_up("capture", held, "100.00")
        assert (answer.outcome, transaction_of(answer).response_code) == (Outcome.REFUSED, "120")

    def test_balance_too_low(self, shop: Shop) -> None:
        """A refund for which the merchant has not the money is declined, not pending."""
        shop.sandbox.switch(merchant_balance=10)
        answer = shop.follow_up("refund", shop.paid(), "100.00")
        assert (answer.outcome, transaction_of(answer).response_code) == (Outcome.REFUSED, "342")

    def test_two_parts_too_much(self, shop: Shop) -> None:
        """Two refunds that together exceed what was taken: the second is refused."""
        paid = shop.paid()
        assert shop.follow_up("refund", paid, "60.00").outcome is Outcome.SUCCEEDED
        assert shop.follow_up("refund", paid, "60.00").outcome is Outcome.REFUSED
        assert shop.balance(paid)["refunded"] == Decimal(60)


class TestOpenQuestions:
    """What nobody states about follow-ups, either way."""

    @pytest.mark.parametrize(("covered", "refunds"), [(True, 1), (False, 2)])
    def test_duplicate_filter(self, shop: Shop, *, covered: bool, refunds: int) -> None:
        """The filter may not protect us: without it the same request twice gives the money back twice."""
        shop.sandbox.switch(duplicate_filter_followups=covered)
        paid = shop.paid()
        request = shop.follow_up_request("refund", paid, "10.00")
        first, second = shop.client.follow_up(request), shop.client.follow_up(request)
        assert first.outcome is Outcome.SUCCEEDED
        assert second.outcome is (Outcome.UNKNOWN if covered else Outcome.SUCCEEDED)
        assert (second.error_code == 4) is covered
        assert shop.balance(paid)["refunded"] == 10 * refunds
        assert len(shop.client.query_cart(request.cart_id).transactions) == refunds

    @pytest.mark.parametrize("resolution", ["same", "new"])
    def test_refund_resolution(self, shop: Shop, resolution: str) -> None:
        """A pending refund ends on its own reference, or under a new one that the cart or the pending one leads to."""
        shop.sandbox.switch(refund_approval="manual", refund_resolution=resolution)
        paid = shop.paid()
        request = shop.follow_up_request("refund", paid, "100.00")
        pending = transaction_of(shop.client.follow_up(request))
        done = shop.sandbox.dashboard(pending.tran_ref, "approve")
        answer = until(lambda: shop.client.query_tran(done["tran_ref"]), has_status("A"))
        assert transaction_of(answer).tran_total == Decimal(100)
        assert (done["tran_ref"] == pending.tran_ref) is (resolution == "same")
        still = shop.client.query_tran(pending.tran_ref).outcome
        assert still is (Outcome.SUCCEEDED if resolution == "same" else Outcome.PENDING)
        assert shop.balance(paid)["refunded"] == Decimal(100)

    @pytest.mark.parametrize(("changes", "outcome"), [(True, Outcome.REFUSED), (False, Outcome.SUCCEEDED)])
    def test_original_after_void(self, shop: Shop, outcome: Outcome, *, changes: bool) -> None:
        """After a void the original says V, which is no success, or goes on saying A."""
        shop.sandbox.switch(void_changes_original=changes)
        held = shop.held()
        assert shop.follow_up("void", held, "100.00").outcome is Outcome.SUCCEEDED
        assert shop.client.query_tran(held.tran_ref).outcome is outcome

    @pytest.mark.parametrize(("changes", "status"), [(True, "V"), (False, "A")])
    def test_original_after_full_refund(self, shop: Shop, status: str, *, changes: bool) -> None:
        """After a refund of the whole the original may say V as well."""
        shop.sandbox.switch(full_refund_changes_original=changes)
        paid = shop.paid()
        assert shop.follow_up("refund", paid, "100.00").outcome is Outcome.SUCCEEDED
        assert transaction_of(shop.client.query_tran(paid.tran_ref)).response_status == status

    @pytest.mark.parametrize("carried_out", [True, False])
    def test_partial_void(self, shop: Shop, *, carried_out: bool) -> None:
        """A void of a part is carried out as a release, and a query says what was asked; or it is refused."""
        shop.sandbox.switch(partial_void="release" if carried_out else "refused")
        answer = shop.follow_up("void", shop.held(), "30.00")
        if not carried_out:
            assert answer.outcome is Outcome.REFUSED
            return
        release = transaction_of(answer)
        assert (answer.outcome, release.tran_type) == (Outcome.SUCCEEDED, "release")
        asked = transaction_of(shop.client.query_tran(release.tran_ref))
        assert (asked.tran_type, asked.original_tran_type) == ("release", "void")

    @pytest.mark.parametrize(("setting", "released"), [("refused", Decimal(0)), ("frees_rest", Decimal(70))])
    def test_void_after_capture(self, shop: Shop, setting: str, released: Decimal) -> None:
        """A void after a capture is refused, or frees the rest."""
        shop.sandbox.switch(void_after_capture=setting)
        held = shop.held()
        assert shop.follow_up("capture", held, "30.00").outcome is Outcome.SUCCEEDED
        answer = shop.follow_up("void", held, "70.00")
        assert answer.outcome is (Outcome.SUCCEEDED if released else Outcome.REFUSED)
        assert shop.balance(held)["released"] == released

    @pytest.mark.parametrize(("setting", "outcome"), [("refused", Outcome.REFUSED), ("allowed", Outcome.SUCCEEDED)])
    def test_void_of_sale(self, shop: Shop, setting: str, outcome: Outcome) -> None:
        """A sale may be voided until the day ends, or not at all."""
        shop.sandbox.switch(void_of_sale=setting)
        assert shop.follow_up("void", shop.paid(), "100.00").outcome is outcome
