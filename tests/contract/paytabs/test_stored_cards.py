from decimal import Decimal

import pytest

from paytabs.operations import ManagedFormRequest
from paytabs.responses import Outcome
from tests.contract.paytabs.shop import Shop, has_status, transaction_of, until


class TestOnOurInitiative:
    """A stored card is charged while its payer is not there."""

    @pytest.mark.parametrize("tran_type", ["sale", "auth"])
    def test_charged(self, shop: Shop, tran_type: str) -> None:
        """The answer is the result, and a query says the same."""
        token, origin = shop.stored_card()
        answer = shop.charge(token, tran_ref=origin, tran_type=tran_type)
        charge = transaction_of(answer)
        assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "completed")
        assert (charge.tran_type, charge.tran_total) == (tran_type, Decimal("49.00"))
        assert shop.client.query_tran(charge.tran_ref).outcome is Outcome.SUCCEEDED

    def test_origin_left_out(self, shop: Shop) -> None:
        """The token alone will do."""
        token, _ = shop.stored_card()
        assert shop.charge(token).outcome is Outcome.SUCCEEDED

    def test_other_origin(self, shop: Shop) -> None:
        """Another transaction than the one that made the token is refused, and nothing is charged."""
        token, _ = shop.stored_card()
        other = shop.paid()
        answer = shop.charge(token, tran_ref=other.tran_ref)
        assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, "code_2")

    def test_unknown(self, shop: Shop) -> None:
        """A token nobody has is refused."""
        assert shop.charge("2C4656BF67A3E43DC6BE93FE00000001").outcome is Outcome.DID_NOT_HAPPEN

    def test_declined(self, shop: Shop) -> None:
        """A refusal within an answer is REFUSED, though the answer came with 200 and a reference."""
        token, _ = shop.stored_card()
        shop.sandbox.switch(amount_cap=40)
        answer = shop.charge(token)
        assert (answer.outcome, transaction_of(answer).response_code) == (Outcome.REFUSED, "325")

    @pytest.mark.parametrize("kind", ["cut_after_accept", "cut_mid_body", "truncated_json", "http_500"])
    def test_lost_answer(self, shop: Shop, kind: str) -> None:
        """A charge whose answer was lost is unknown after one request, and the cart tells that it happened."""
        token, _ = shop.stored_card()
        cart_id = f"op-{kind}"
        shop.sandbox.fault("/payment/request", kind)
        assert shop.charge(token, cart_id=cart_id).outcome is Outcome.UNKNOWN
        assert len(shop.sandbox.requests("/payment/request", cart_id=cart_id)) == 1
        booked = shop.sandbox.ledger(cart_id=cart_id)
        found = shop.client.query_cart(cart_id).transactions
        assert [entry.tran_ref for entry in found] == [entry["tran_ref"] for entry in booked]


class TestPayerAtHand:
    """A stored card is charged while its payer is there."""

    @pytest.mark.parametrize("setting", ["redirect", "completed"])
    def test_charged(self, shop: Shop, setting: str) -> None:
        """The payer may have to act on a page first: then nothing is charged before that."""
        token, _ = shop.stored_card()
        shop.sandbox.switch(stored_card_with_payer=setting)
        answer = shop.charge(token, "ecom", return_url="http://127.0.0.1:1/payments/return")
        charge = transaction_of(answer)
        if setting == "redirect":
            assert (answer.outcome, answer.detail, charge.is_page) == (Outcome.PENDING, "redirect", True)
            assert shop.balance(charge)["captured"] == Decimal(0)
            shop.sandbox.pay(charge.tran_ref, "authorised")
        else:
            assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "completed")
        until(lambda: shop.client.query_tran(charge.tran_ref), has_status("A"))
        assert shop.balance(charge)["captured"] == Decimal("49.00")


class TestManagedForm:
    """What the payer typed into PayTabs' fields on our page is charged under a one-use token."""

    @pytest.mark.parametrize(
        ("card", "outcome"),
        [("authorised", Outcome.SUCCEEDED), ("declined", Outcome.REFUSED), ("held", Outcome.PENDING)],
    )
    def test_charged(self, shop: Shop, card: str, outcome: Outcome) -> None:
        """The answer is the card's result."""
        answer = shop.client.charge(ManagedFormRequest(**shop.cart(), payment_token=shop.fill_form(card)))
        assert (answer.outcome, answer.detail) == (outcome, "completed")

    def test_three_ds(self, shop: Shop) -> None:
        """A card that wants its payer's word leads to a page; nothing is charged before that."""
        answer = shop.client.charge(ManagedFormRequest(**shop.cart(), payment_token=shop.fill_form("three_ds")))
        page = transaction_of(answer)
        assert (answer.outcome, page.is_page) == (Outcome.PENDING, True)
        assert shop.balance(page)["captured"] == Decimal(0)

    def test_once(self, shop: Shop) -> None:
        """The token works once."""
        token = shop.fill_form("authorised")
        assert shop.client.charge(ManagedFormRequest(**shop.cart(), payment_token=token)).outcome is Outcome.SUCCEEDED
        again = shop.client.charge(ManagedFormRequest(**shop.cart(), payment_token=token))
        assert (again.outcome, again.error_code) == (Outcome.DID_NOT_HAPPEN, 2)

    def test_kept(self, shop: Shop) -> None:
        """A card typed in once can be stored for later."""
        request = ManagedFormRequest(**shop.cart(), payment_token=shop.fill_form("authorised"), tokenise=2)
        answer = shop.client.charge(request)
        token = transaction_of(answer).token
        assert token is not None
        assert shop.charge(token).outcome is Outcome.SUCCEEDED


class TestToken:
    """What is behind a token, and how it is forgotten."""

    def test_registered(self, shop: Shop) -> None:
        """A card that was only verified moved no money and left a token."""
        registered = shop.paid(tran_type="register", cart_amount="1.00")
        assert registered.token is not None
        assert shop.balance(registered)["captured"] == Decimal(0)
        assert shop.client.query_token(registered.token).outcome is Outcome.SUCCEEDED

    def test_query(self, shop: Shop) -> None:
        """The masked card and the transaction that made the token."""
        token, origin = shop.stored_card()
        answer = shop.client.query_token(token)
        card = transaction_of(answer)
        assert (answer.outcome, card.tran_ref) == (Outcome.SUCCEEDED, origin)
        assert (card.card_scheme, card.payment_description) == ("Visa", "4111 11## #### 1111")

    @pytest.mark.parametrize("http_status", [400, 200, 404])
    def test_delete(self, shop: Shop, http_status: int) -> None:
        """A deleted token is not found any more, and no charge with it happens, under each status of a refusal."""
        shop.sandbox.switch(code2_http_status=http_status)
        token, _ = shop.stored_card()
        assert shop.client.delete_token(token).detail == "deleted"
        for answer in (shop.client.query_token(token), shop.client.delete_token(token)):
            assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, "not_found")
        assert shop.charge(token).outcome is Outcome.DID_NOT_HAPPEN

    @pytest.mark.parametrize("kind", ["cut_after_accept", "http_500", "http_502_html"])
    def test_delete_in_doubt(self, shop: Shop, kind: str) -> None:
        """A deletion whose answer was lost is repeated within the call, and ends as gone."""
        token, _ = shop.stored_card()
        shop.sandbox.fault("/payment/token/delete", kind)
        answer = shop.client.delete_token(token)
        assert answer.outcome is Outcome.SUCCEEDED
        assert answer.detail in {"deleted", "already_gone"}
        assert shop.client.query_token(token).detail == "not_found"
