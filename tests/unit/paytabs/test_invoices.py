import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from paytabs.errors import InvalidRequest
from paytabs.invoices import InvoicePaidRequest, InvoiceRequest, InvoiceTerms, LineItem, sms_members

CART = {"cart_id": "op-1", "cart_description": "Invoice 7", "cart_currency": "SAR", "cart_amount": "115.00"}
LINE = {"sku": "A-1", "description": "Design", "quantity": "2.5", "unit_cost": "40", "tax_rate": "15", "total": "115"}


def invoice(terms: dict[str, Any] | None = None, **members: Any) -> InvoiceRequest:
    """Make an invoice that is right but for what is given."""
    return InvoiceRequest(**({**CART, "invoice": {"line_items": [LINE], **(terms or {})}} | members))


def paid(**members: Any) -> InvoicePaidRequest:
    """Make the word that an invoice was paid, right but for what is given."""
    usual = {
        "invoice_id": 7,
        "invoice_currency": "SAR",
        "invoice_total": "115.00",
        "pay_method": "cash",
        "pay_description": "at the desk",
    }
    return InvoicePaidRequest(**(usual | members))


class TestBody:
    """What the requests look like on the wire."""

    def test_smallest(self) -> None:
        """A page's members and a bill; rates, quantities and prices are exact numbers, nothing empty is sent."""
        assert invoice().to_body(987654) == (
            b'{"profile_id":987654,"cart_id":"op-1","cart_description":"Invoice 7","cart_currency":"SAR",'
            b'"cart_amount":115.00,"tran_type":"sale","tran_class":"ecom","invoice":{"line_items":[{"sku":"A-1",'
            b'"description":"Design","quantity":2.5,"unit_cost":40,"tax_rate":15,"total":115}]}}'
        )

    def test_largest(self) -> None:
        """Every member of the bill arrives under PayTabs' own name, times with their offset."""
        terms = InvoiceTerms(
            lang="ar",
            shipping_charges="10.50",
            extra_charges=0,
            extra_discount=Decimal("0.50"),
            total="115",
            activation_date="2026-08-06T10:15:30+03:00",
            due_date=datetime(2026, 8, 7, tzinfo=UTC),
            expiry_date=datetime(2026, 8, 8, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=3))),
            disable_edit=True,
            line_items=[LineItem(description="Design", net_total="105"), {"sku": "B", "total": "10"}],
        )
        assert json.loads(invoice(invoice=terms).to_body(1))["invoice"] == {
            "lang": "ar",
            "shipping_charges": 10.5,
            "extra_charges": 0,
            "extra_discount": 0.5,
            "total": 115,
            "activation_date": "2026-08-06T10:15:30+03:00",
            "due_date": "2026-08-07T00:00:00+00:00",
            "expiry_date": "2026-08-08T01:02:03+03:00",
            "disable_edit": True,
            "line_items": [{"description": "Design", "net_total": 105}, {"sku": "B", "total": 10}],
        }

    def test_marked_paid(self) -> None:
        """The word that it was paid carries the exact total."""
        assert paid().to_body(1) == (
            b'{"profile_id":1,"invoice_id":7,"invoice_currency":"SAR","invoice_total":115.00,"pay_method":"cash",'
            b'"pay_description":"at the desk"}'
        )

    def test_sms(self) -> None:
        """An SMS needs a number and nothing else."""
        sent = sms_members("0500000000")["customer_details"]
        assert isinstance(sent, dict)
        assert {name: value for name, value in sent.items() if value} == {"phone": "0500000000"}


class TestRefusals:
    """What is refused before anything is sent, and how it is named."""

    @pytest.mark.parametrize(
        ("terms", "named"),
        [
            ({"line_items": []}, "invoice.line_items"),
            ({"line_items": ["Design"]}, "invoice.line_items.0"),
            ({"line_items": 5}, "invoice.line_items"),
            ({"line_items": [LINE, {"colour": "red"}]}, "invoice.line_items.1.colour"),
            ({"line_items": [LINE, {"unit_cost": 1.5}]}, "invoice.line_items.1.unit_cost"),
            ({"line_items": [{"unit_cost": "1.555"}]}, "invoice.line_items.0.unit_cost"),
            ({"line_items": [{"total": "-1"}]}, "invoice.line_items.0.total"),
            ({"line_items": [{"quantity": 0}]}, "invoice.line_items.0.quantity"),
            ({"line_items": [{"tax_rate": "101"}]}, "invoice.line_items.0.tax_rate"),
            ({"line_items": [{"discount_rate": Decimal("NaN")}]}, "invoice.line_items.0.discount_rate"),
            ({"line_items": [{"quantity": Decimal("1e400000")}]}, "invoice.line_items.0.quantity"),
            ({"line_items": [{"url": "design"}]}, "invoice.line_items.0.url"),
            ({"extra_discount": "-0.01"}, "invoice.extra_discount"),
            ({"shipping_charges": 1.5}, "invoice.shipping_charges"),
            ({"total": "114.99"}, "invoice.total"),
            ({"due_date": "tomorrow"}, "invoice.due_date"),
            ({"due_date": 1786000000}, "invoice.due_date"),
            ({"due_date": "2026-08-06T10:15:30"}, "invoice.due_date"),
            ({"lang": "fr"}, "invoice.lang"),
        ],
    )
    def test_invoice(self, terms: dict[str, Any], named: str) -> None:
        """A mistake in the bill is named with its path."""
        with pytest.raises(InvalidRequest) as caught:
            invoice(terms)
        assert caught.value.field == named

    def test_no_bill(self) -> None:
        """An invoice without its bill is none."""
        with pytest.raises(InvalidRequest) as caught:
            InvoiceRequest(**CART)
        assert caught.value.field == "invoice"

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("invoice_id", 0),
            ("invoice_id", "7"),
            ("invoice_id", True),
            ("invoice_currency", "XXX"),
            ("invoice_total", 115.0),
            ("invoice_total", "0"),
            ("invoice_total", "115.001"),
            ("pay_method", "card"),
            ("pay_description", ""),
        ],
    )
    def test_marked_paid(self, member: str, value: object) -> None:
        """A mistake in the word that it was paid is named."""
        with pytest.raises(InvalidRequest) as caught:
            paid(**{member: value})
        assert caught.value.field == member

    @pytest.mark.parametrize("phone", ["", " ", None, 500])
    def test_sms(self, phone: Any) -> None:
        """An SMS to nobody is our own mistake."""
        with pytest.raises(InvalidRequest) as caught:
            sms_members(phone)
        assert caught.value.field == "phone"
