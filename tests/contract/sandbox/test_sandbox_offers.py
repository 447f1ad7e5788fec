"""What is taken where it is not simply what was asked, and entries that no page of ours made."""

from typing import Any

import pytest
import requests

from tests.contract.sandbox.facts import paid


class TestOffers:
    """Discounts, filters, donations and other currencies."""

    def test_books(self, desk: Any) -> None:
        """What is taken is what was discounted, and no more than that is refunded."""
        discounts = [{"discount_cards": "4111", "discount_percent": 10, "discount_title": "Ten"}]
        ref = paid(desk, cart_amount=99.99, card_discounts=discounts)["tran_ref"]
        assert desk.balance(ref) == {"authorised": "89.99", "captured": "89.99"}
        assert desk.followed(ref, "refund", 90)["payment_result"]["response_code"] == "118"
        assert desk.followed(ref, "refund", 89.99)["payment_result"]["response_status"] == "A"

    def test_other_cards(self, desk: Any) -> None:
        """Other cards pay the whole; those of the filter are let through."""
        discounts = [{"discount_cards": "5123", "discount_amount": 10}]
        answer = paid(desk, cart_amount=700, card_discounts=discounts, card_filter="4111,5555")
        assert (answer["tran_total"], answer["payment_result"]["response_status"]) == ("700.00", "A")

    def test_filtered_takes_nothing(self, desk: Any) -> None:
        """A card that is not let through is charged nothing, through the bank's step neither."""
        for card in ("authorised", "three_ds"):
            ref = desk.paid(card, card_filter="5555")
            assert desk.status(ref) == ("D", "354")
        assert desk.charges() == []

    def test_currency_books(self, desk: Any) -> None:
        """The books and refunds of a payment in another currency are in the cart's."""
        desk.switch(alt_currency_rate=3)
        ref = paid(desk, cart_amount=100, alt_currency="USD")["tran_ref"]
        assert desk.balance(ref)["captured"] == "100.00"
        refund = desk.followed(ref, "refund", 100)
        assert (refund["tran_currency"], refund["tran_total"]) == ("SAR", "100.00")

    def test_donation(self, desk: Any) -> None:
        """The payer gives what they choose within the range, or what was asked."""
        members = {"donation_mode": True, "cart_min": 5, "cart_max": "200"}
        page = desk.opened(**members)
        assert 'id="donation"' in requests.get(page["redirect_url"], timeout=5).text
        for wrong in ("4.99", "200.01", "much", "-1", "10.001"):
            answer = desk.submit(page["redirect_url"], donation=wrong)
            assert (answer.status_code, 'id="donation-error"' in answer.text) == (422, True)
            assert desk.post("pay", tran_ref=page["tran_ref"], amount=wrong).status_code == 400
        assert desk.submit(page["redirect_url"], donation="7.5").status_code == 200
        assert desk.query(tran_ref=page["tran_ref"]).json()["tran_total"] == "7.50"
        assert desk.query(tran_ref=desk.paid(**members)).json()["tran_total"] == "115.50"

    @pytest.mark.parametrize(
        "members",
        [
            {"card_filter": ["4111"]},
            {"card_filter": "411"},
            {"card_filter": "4111;5555"},
            {"card_discounts": {"discount_cards": "4111"}},
            {"card_discounts": [{"discount_cards": "4111"}]},
            {"card_discounts": [{"discount_cards": "4111", "discount_amount": 1, "discount_percent": 1}]},
            {"card_discounts": [{"discount_cards": "4111", "discount_amount": 115.5}]},
            {"card_discounts": [{"discount_cards": "4111", "discount_percent": 100}]},
            {"card_discounts": [{"discount_cards": "x", "discount_amount": 1}]},
            {"donation_mode": True, "cart_min": 10, "cart_max": 9},
            {"donation_mode": True, "cart_min": "some"},
            {"plugin_info": "NestCMS"},
            {"invoice": "one"},
        ],
        ids=str,
    )
    def test_refused(self, desk: Any, members: dict[str, Any]) -> None:
        """What cannot be meant is code 2."""
        answer = desk.create(**members)
        assert (answer.status_code, answer.json()["code"]) == (400, 2)
        assert desk.ledger()["transactions"] == []

    def test_unknown_currency(self, desk: Any) -> None:
        """Another currency that there is not is code 206."""
        assert desk.create(alt_currency="DOGE").json()["code"] == 206


class TestByHand:
    """Entries of the dashboard."""

    def test_empty_cart(self, desk: Any) -> None:
        """A sale by hand has an empty cart, in a query as well, and is refunded like any."""
        ref = desk.post("sale", amount="20.00").json()["tran_ref"]
        answer = desk.query(tran_ref=ref).json()
        assert (answer["cart_id"], answer["paymentChannel"]) == ("", "Dashboard")
        assert desk.followed(ref, "refund", 20)["payment_result"]["response_status"] == "A"

    def test_refused(self, desk: Any) -> None:
        """An amount or a card that is none is refused."""
        for members in ({}, {"amount": 0}, {"amount": 1, "card": "gold"}, {"amount": 1, "currency": "XXX"}):
            assert desk.post("sale", **members).status_code == 400

    def test_no_cart_from_outside(self, desk: Any) -> None:
        """A request without a cart is refused all the same."""
        assert desk.create(cart_id="").json()["code"] == 101
