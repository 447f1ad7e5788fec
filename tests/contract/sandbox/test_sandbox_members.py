"""What PayTabs refuses in a request whatever it is for: each refusal is code 2, names the member and does nothing."""

import json
from typing import Any

import pytest

from sandbox.countries import alpha_2

#: Values that a detail of a person may not have.
BAD_DETAILS: list[tuple[str, object]] = [
    *(("country", code) for code in ("KSA", "UAE", "UK", "XX", "EU", "S4", "Saudi Arabia", "سع", "S", "ßß", 966)),
    *(
        ("email", text)
        for text in (
            "nobody",
            "nobody@",
            "@example.test",
            "a@b",
            "a b@example.test",
            "a@example..test",
            "a@@example.test",
            "a@-example.test",
            "a@example.test, b@example.test",
            "<a@example.test>",
            "x" * 250 + "@example.test",
        )
    ),
    *((name, "x" * 300) for name in ("name", "street1", "city", "state", "phone", "zip", "ip")),
    *(("name", f"Test{sign}Buyer") for sign in ("\x00", "\x07", "\x1b", "\x7f", "\x85", "\n", "\t", "\ud800")),
    ("phone", "05\x0000"),
    ("name", ["Test", "Buyer"]),
    ("city", {"name": "Riyadh"}),
    ("zip", 1.5),
    ("state", True),
]

#: Values that a member of the request itself may not have.
BAD_MEMBERS: list[tuple[str, object]] = [
    ("cart_description", "Invoice\x001"),
    ("cart_description", "x" * 129),
    ("customer_ref", "C\x0042"),
    ("customer_ref", "x" * 300),
    ("user_defined", {"udf1": "a\x00b"}),
    ("user_defined", {"udf1": "x" * 300}),
    ("plugin_info", {"cart_name": "Nest\x00CMS"}),
    ("callback", "https://shop.example.test/" + "x" * 255),
    ("callback", "https://shop.example.test/a b"),
    ("return", "https://shop.example.test/" + "x" * 255),
    ("return", "https://shop.example.test/\x00"),
    ("invoice", {"line_items": [{"description": "De\x00sign"}]}),
]


#: Every member of a request for a payment.
NAMES = """
    tran_type tran_class cart_id cart_description cart_currency cart_amount callback return return_using_get
    customer_details shipping_details payment_methods paypage_lang tokenise show_save_card token_info user_defined
    customer_ref alt_currency card_filter card_discounts donation_mode cart_min cart_max invoice plugin_info
    airline_data paypage_ttl token tran_ref payment_token apple_pay_token card_details framed config_id
"""

#: Values of every odd kind.
ODD: tuple[object, ...] = (
    *(None, "", 0, -1, 1.5, 10**30, True, False, "x", "\x00", "\ud800", [], {}, [[]], [{}], ["x"], [None]),
    *({"x": {}}, {"token": []}, {"total_count": []}, {"expiry_date": []}, {"line_items": 1}, {"udf1": None}),
    *([{"discount_cards": [], "discount_amount": []}], {"cart_name": []}, {"pan": [], "cvv": [], "expiry_month": 1}),
)

#: Calls that look something up, or settle an invoice.
PATHS = ("query", "token", "token/delete", "invoice/status", "invoice/cancel", "invoice/paid")


def refused(desk: Any, **members: Any) -> str:
    """Ask for a page that is refused with code 2; gives the sentence."""
    answer = desk.create(**members)
    assert (answer.status_code, answer.json()["code"]) == (400, 2), answer.text
    assert desk.ledger()["transactions"] == []
    return str(answer.json()["message"])


class TestPeople:
    """Details of people."""

    @pytest.mark.parametrize("party", ["customer_details", "shipping_details"])
    @pytest.mark.parametrize(("name", "value"), BAD_DETAILS, ids=lambda value: ascii(value)[:30])
    def test_refused(self, desk: Any, party: str, name: str, value: object) -> None:
        """A detail that is none is refused and named, of customers and of those who get the goods alike."""
        assert f"{party}.{name}" in refused(desk, **{party: {"name": "Test Buyer", name: value}})

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("country", "SA"),
            ("country", "sau"),
            ("country", "ARE"),
            ("country", ""),
            ("country", None),
            ("email", "a.b+c@shop.example.test"),
            ("email", "أمل@example.test"),
            ("email", ""),
            ("name", "x" * 255),
            ("name", "أمل بنت سعد 😀"),
            ("zip", 12345),
            ("phone", "+966 50 000 0000"),
            ("loyalty", "gold"),
        ],
        ids=lambda value: ascii(value)[:30],
    )
    def test_taken(self, desk: Any, name: str, value: object) -> None:
        """What is good, empty or unknown is taken."""
        assert desk.create(customer_details={"name": "Test Buyer", name: value}).status_code == 200

    def test_countries(self) -> None:
        """Every country has a code of two letters and one of three, and both mean the same one."""
        for two, three in (("SA", "SAU"), ("AE", "ARE"), ("EG", "EGY"), ("GB", "GBR"), ("TR", "TUR"), ("CH", "CHE")):
            assert (alpha_2(two), alpha_2(three.lower())) == (two, two)
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        assert sum(alpha_2(a + b) is not None for a in letters for b in letters) == 249
        assert sum(alpha_2(a + b + c) is not None for a in letters for b in letters for c in letters) == 249

    @pytest.mark.parametrize("kind", ["refund", "recurring", "invoice"])
    def test_everywhere(self, desk: Any, kind: str) -> None:
        """Follow-ups, charges and invoices are held to the same."""
        customer = {"name": "Test Buyer", "country": "KSA"}
        if kind == "refund":
            answer = desk.follow(desk.paid(), "refund", 1, customer_details=customer)
        elif kind == "recurring":
            token = desk.post("token").json()["token"]
            answer = desk.create(token=token, tran_class="recurring", customer_details=customer)
        else:
            common = {"tran_type": "sale", "tran_class": "ecom", "cart_currency": "SAR", "cart_amount": 7}
            members = {**common, "cart_id": "B", "cart_description": "Bill", "customer_details": customer}
            answer = desk.call("/payment/invoice/new", **members)
        assert (answer.status_code, answer.json()["code"]) == (400, 2)
        assert "customer_details.country" in answer.json()["message"]


class TestMembers:
    """Members of the request itself."""

    @pytest.mark.parametrize(("name", "value"), BAD_MEMBERS, ids=lambda value: ascii(value)[:30])
    def test_refused(self, desk: Any, name: str, value: object) -> None:
        """A text with a control character, or too long a text, is refused and named."""
        assert name in refused(desk, **{name: value})

    def test_cart(self, desk: Any) -> None:
        """A cart with a control character is refused before anything is kept of it."""
        assert "cart_id" in refused(desk, cart_id="INV\x001")

    def test_name(self, desk: Any) -> None:
        """So is a member whose very name has one, and the answer repeats none of it."""
        message = refused(desk, user_defined={"udf\x001": "x"})
        assert message.isprintable()

    def test_lines(self, desk: Any) -> None:
        """A line item's description may have lines."""
        items = [{"description": "Design\nand print"}]
        assert desk.create(invoice={"total": 115.5, "line_items": items}).status_code == 200

    def test_half_a_character(self, desk: Any) -> None:
        """Half a character, which no answer could be written with, is refused like any other."""
        body = {"profile_id": 987654, "tran_type": "sale", "tran_class": "ecom", "cart_id": "INV-1"}
        body |= {"cart_description": "x\ud83d", "cart_currency": "SAR", "cart_amount": 1}
        answer = desk.send("/payment/request", json.dumps(body))
        assert (answer.status_code, answer.json()["code"]) == (400, 2)


class TestOdd:
    """Members of every odd kind."""

    @pytest.mark.parametrize("name", NAMES.split())
    def test_answered(self, desk: Any, name: str) -> None:
        """Each is taken or refused with an envelope, never with a page of the server's own; what was made is shown."""
        desk.switch(duplicate_filter=False)
        for value in ODD:
            answer = desk.create(**{name: value})
            assert answer.status_code in (200, 400), (value, answer.text)
            made = answer.json()
            assert "redirect_url" in made or "payment_result" in made or made["code"] > 0, value
            if "tran_ref" in made:
                assert desk.query(tran_ref=made["tran_ref"]).status_code == 200, value
                assert desk.send(made["redirect_url"].removeprefix(desk.url), "").status_code < 500, value
                assert desk.post("pay", tran_ref=made["tran_ref"]).status_code in (200, 400), value
        assert desk.get("/sandbox/ledger")["transactions"] is not None

    @pytest.mark.parametrize("path", PATHS)
    def test_looked_up(self, desk: Any, path: str) -> None:
        """So in every other call."""
        made = desk.opened(invoice={"total": 115.5})
        good = {
            "profile_id": 987654,
            "invoice_id": made["invoice_id"],
            "invoice_currency": "SAR",
            "invoice_total": 115.5,
        }
        for name in ("tran_ref", "cart_id", "token", "invoice_id", "profile_id", "invoice_currency", "pay_method"):
            for value in ODD:
                answer = desk.send(f"/payment/{path}", json.dumps({**good, name: value}))
                assert answer.status_code in (200, 400, 401), (name, value)
