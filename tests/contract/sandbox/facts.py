"""The contract's facts about answers and notices: each kind has a row per member, and nothing else may be there."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import requests

REF = re.compile(r"TST\d{2}\d{3}\d{8}")
TRACE = re.compile(r"PMNT\d{4}\.[0-9A-F]{8}\.[0-9A-F]{8}")
IPN_TRACE = re.compile(r"IPNS\d{4}\.[0-9A-F]{8}\.[0-9A-F]{8}")
MONEY = re.compile(r"\d+\.\d\d")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
TOKEN = re.compile(r"[0-9A-F]{32}")

Fact = Any


class Row(NamedTuple):
    """What one member has to be.

    Attributes:
        fact: A value, a pattern of a text, a type, a further table, or a list of one.
        optional: Whether it may be missing.
    """

    fact: Fact
    optional: bool = False


def maybe(fact: Fact) -> Row:
    """Make a row whose member may be missing."""
    return Row(fact, optional=True)


CUSTOMER = {"name": "Test Buyer", "email": "buyer@example.test", "country": "SA"}

CARD: dict[str, Any] = {
    "payment_method": "Visa",
    "card_type": "Credit",
    "card_scheme": "Visa",
    "payment_description": "4111 11## #### 1111",
    "expiryMonth": int,
    "expiryYear": int,
}

AUTHORISED: dict[str, Any] = {
    "response_status": "A",
    "response_code": re.compile(r"G\d{5}"),
    "response_message": "Authorised",
    "transaction_time": TIME,
}

CART: dict[str, Any] = {
    "tran_ref": REF,
    "tran_type": "Sale",
    "cart_id": "INV-1",
    "cart_description": "Invoice 1",
    "cart_currency": "SAR",
    "cart_amount": "115.50",
}

#: What every direct answer ends with; `serviceId` and `paymentChannel` are its own.
TAIL: dict[str, Any] = {"profileId": 987654, "merchantId": 10001, "trace": TRACE}

PAGE: dict[str, Any] = {**CART, "tran_total": "0", "redirect_url": str, "customer_details": CUSTOMER}
PAGE |= {"serviceId": 2, "paymentChannel": "Payment Page", **TAIL}

MOVED: dict[str, Any] = {"tran_currency": "SAR", "tran_total": MONEY}

PAID: dict[str, Any] = {
    **CART,
    **MOVED,
    "customer_details": CUSTOMER,
    "payment_result": AUTHORISED,
    "payment_info": CARD,
    **TAIL,
}

ENTRY: dict[str, Any] = {
    **CART,
    **MOVED,
    "customer_details": CUSTOMER,
    "payment_result": AUTHORISED,
    "payment_info": CARD,
}

NOTICE: dict[str, Any] = {
    **CART,
    **MOVED,
    "merchant_id": 10001,
    "profile_id": 987654,
    "tran_class": "ECom",
    "customer_details": CUSTOMER,
    "payment_result": {
        **AUTHORISED,
        "acquirer_message": "",
        "acquirer_rrn": "",
        "acquirer_ref": re.compile(r"TRAN0201\..+"),
        "cvv_result": " ",
        "avs_result": " ",
    },
    "payment_info": {**CARD, "issuerCountry": "SA", "issuerName": str},
    "threeDSDetails": {
        "responseLevel": int,
        "responseStatus": int,
        "enrolled": "N",
        "paResStatus": "",
        "eci": "",
        "cavv": "",
        "ucaf": "",
        "threeDSVersion": str,
    },
    "ipn_trace": IPN_TRACE,
    "paymentChannel": "Payment Page",
}


def differences(shown: object, fact: Fact, path: str = "") -> list[str]:
    """Tell in what an answer differs from a fact."""
    if isinstance(fact, re.Pattern):
        return [] if isinstance(shown, str) and fact.fullmatch(shown) else [f"{path}: {shown!r}"]
    if isinstance(fact, type):
        return [] if type(shown) is fact else [f"{path}: {shown!r} is no {fact.__name__}"]
    if not isinstance(fact, Mapping):
        return [] if shown == fact and type(shown) is type(fact) else [f"{path}: {shown!r}, not {fact!r}"]
    if not isinstance(shown, dict):
        return [f"{path}: {shown!r} is no object"]
    rows = {name: row if isinstance(row, Row) else Row(row) for name, row in fact.items()}
    found = [f"{path}.{name} is there" for name in shown if name not in rows]
    found += [f"{path}.{name} is missing" for name, row in rows.items() if name not in shown and not row.optional]
    return found + [
        difference
        for name, row in rows.items()
        if name in shown
        for difference in differences(shown[name], row.fact, f"{path}.{name}")
    ]


def ask(desk: Any, **members: Any) -> Any:
    """Ask for a page with the customer of the table, whose country is written with three letters."""
    customer = {**CUSTOMER, "country": "SAU"}
    return desk.opened(customer_details=customer, **members)


def paid(desk: Any, card: str | None = "authorised", pay: dict[str, Any] | None = None, **members: Any) -> Any:
    """Pay a page and query it."""
    ref = ask(desk, **members)["tran_ref"]
    desk.pay(ref, card, **(pay or {}))
    return desk.query(tran_ref=ref).json()


def charged(desk: Any, **members: Any) -> Any:
    """Charge a stored card."""
    token = desk.post("token", customer_details=CUSTOMER).json()["token"]
    customer = {"customer_details": {**CUSTOMER, "country": "SAU"}}
    return desk.create(token=token, tran_class="recurring", **customer, **members).json()


def followed(desk: Any, kind: str, amount: object, first: str = "sale", **members: Any) -> Any:
    """Pay and act upon it."""
    ref = paid(desk, tran_type=first)["tran_ref"]
    return desk.followed(ref, kind, amount, **members)


def follow_up(kind: str, **more: Any) -> dict[str, Any]:
    """Give the table of a follow-up's answer."""
    rows = {**PAID, "tran_type": kind, "previous_tran_ref": REF, "cart_id": str, "cart_description": str}
    return {**rows, "cart_amount": MONEY, "serviceId": 1, "paymentChannel": "Transaction API", **more}


def refusal(code: str, message: str, kind: str = "Refund", **more: Any) -> dict[str, Any]:
    """Give the table of a follow-up that was refused: a normal answer of status E."""
    result = {"response_status": "E", "response_code": code, "response_message": message, "transaction_time": TIME}
    return follow_up(kind, payment_result=result, **more)


def result(status: str, code: Fact, message: Fact) -> dict[str, Any]:
    """Give the table of a result."""
    return {**AUTHORISED, "response_status": status, "response_code": code, "response_message": message}


def invoiced(desk: Any) -> Any:
    """Make an invoice."""
    members = {"tran_type": "sale", "tran_class": "ecom", "cart_currency": "SAR", "cart_amount": 7}
    answer = desk.call("/payment/invoice/new", cart_id="BILL-1", cart_description="Bill 1", **members)
    return answer.json()


def by_path(desk: Any, method: str) -> Any:
    """Cancel an invoice by a path alone; the body, if any, says nothing."""
    url = f"{desk.url}/payment/invoice/{invoiced(desk)['invoice_id']}/cancel"
    return requests.request(method, url, headers={"Authorization": desk.key}, timeout=5).json()


def at_bank(desk: Any, url: str) -> None:
    """Fail the bank's step."""
    desk.pay(ask(desk, callback=url)["tran_ref"], "three_ds", three_ds="fail")


def in_cart(desk: Any) -> Any:
    """Pay a page and find it in its cart."""
    paid(desk, tokenise=2)
    return desk.query(cart_id="INV-1").json()[0]


QUERIED: dict[str, Any] = {**PAID, "serviceId": 2, "paymentChannel": "Payment Page"}

#: Each kind of answer: how it comes about, and its members.
ANSWERS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "page": (ask, PAGE),
    "page with everything": (
        lambda desk: ask(
            desk,
            callback="https://shop.example.test/ipn",
            customer_ref="C-42",
            shipping_details={"name": "B", "country": "ARE"},
            user_defined={"udf1": "x"},
            plugin_info={"cart_name": "NestCMS", "cart_version": "1", "plugin_version": "2"},
            **{"return": "none"},
        ),
        {
            **PAGE,
            "callback": "https://shop.example.test/ipn",
            "return": "none",
            "customer_ref": "C-42",
            "shipping_details": {"name": "B", "country": "AE"},
            "paymentChannel": "NestCMS",
        },
    ),
    "page with an invoice": (lambda desk: ask(desk, invoice={"total": 115.5}), {**PAGE, "invoice_id": int}),
    "queried page": (paid, QUERIED),
    "queried page with a token": (lambda desk: paid(desk, tokenise=2), {**QUERIED, "token": TOKEN}),
    "queried page of a plugin": (
        lambda desk: paid(desk, plugin_info={"cart_name": "NestCMS"}),
        {**QUERIED, "paymentChannel": "NestCMS"},
    ),
    "queried page of an invoice": (lambda desk: paid(desk, invoice={"total": 115.5}), QUERIED),
    "queried unpaid page": (
        lambda desk: desk.query(tran_ref=ask(desk)["tran_ref"]).json(),
        {
            **{name: fact for name, fact in QUERIED.items() if name != "payment_info"},
            "tran_total": "0",
            "payment_result": result("P", "600", "Awaiting finalisation"),
        },
    ),
    "held": (
        lambda desk: paid(desk, "held"),
        {
            **QUERIED,
            "tran_type": "Auth",
            "original_tran_type": "Sale",
            "payment_result": result("H", AUTHORISED["response_code"], "Authorised"),
            "payment_info": {**CARD, "payment_description": str},
        },
    ),
    "voucher": (
        lambda desk: paid(desk, None, {"method": "sadad"}),
        {
            **QUERIED,
            "tran_type": "Payment Request",
            "original_tran_type": "Sale",
            "payment_result": result("P", re.compile(r"\d{12}"), "Pending"),
            "payment_info": {"payment_method": "Sadad", "card_scheme": "Sadad", "payment_description": "Sadad"},
        },
    ),
    "cancelled": (
        lambda desk: paid(desk, None, {"cancel": True}),
        {
            **QUERIED,
            "payment_result": result("C", "321", "Cancelled"),
            "payment_info": {"card_scheme": "", "payment_description": "No Payment"},
        },
    ),
    "no response": (
        lambda desk: paid(desk, "error_doubtful"),
        {
            **QUERIED,
            "payment_result": result("E", "401", "No response"),
            "payment_info": {**CARD, "payment_description": str},
        },
    ),
    "filtered": (
        lambda desk: paid(desk, card_filter="5555,400000", card_filter_title="Ours"),
        {**QUERIED, "payment_result": result("D", "354", str)},
    ),
    "discounted": (
        lambda desk: paid(
            desk,
            cart_amount=700,
            card_discounts=[{"discount_cards": "5123,4111", "discount_amount": 10, "discount_title": "Ten"}],
        ),
        {**QUERIED, "cart_amount": "700.00", "tran_total": "690.00"},
    ),
    "other currency": (
        lambda desk: paid(desk, cart_amount=100, alt_currency="KWD"),
        {**QUERIED, "cart_amount": "100.00", "tran_currency": "KWD", "tran_total": "25.000"},
    ),
    "donation": (
        lambda desk: paid(desk, "authorised", {"amount": "40"}, donation_mode=True, cart_min=5, cart_max=200),
        {**QUERIED, "tran_total": "40.00"},
    ),
    "charge": (
        charged,
        {
            **PAID,
            "previous_tran_ref": REF,
            "token": TOKEN,
            "serviceId": 1,
            "paymentChannel": "Transaction API",
        },
    ),
    "charge of a plugin": (
        lambda desk: charged(desk, plugin_info={"cart_name": "NestCMS"})["paymentChannel"],
        "NestCMS",  # type: ignore[dict-item] # a fact of one member
    ),
    "refund": (lambda desk: followed(desk, "refund", 15), follow_up("Refund")),
    "capture": (lambda desk: followed(desk, "capture", 15, "auth"), follow_up("Capture")),
    "void": (lambda desk: followed(desk, "void", 115.5, "auth"), follow_up("Void")),
    "release": (lambda desk: followed(desk, "release", 15, "auth"), follow_up("Release")),
    "over-refund": (
        lambda desk: followed(desk, "refund", 115.51),
        refusal("118", "Amount greater than available balance"),
    ),
    "capture of what is held": (
        lambda desk: desk.followed(paid(desk, "held")["tran_ref"], "capture", 1),
        refusal("120", "Previous transaction is on hold", "Capture", payment_info={**CARD, "payment_description": str}),
    ),
    "cart": (
        lambda desk: (paid(desk, tokenise=2), desk.query(cart_id="INV-1").json()[0])[1],
        {**ENTRY, "serviceId": 0},
    ),
    "unknown": (
        lambda desk: desk.query(tran_ref="TST0000000000000").json(),
        {"code": 2, "message": "Transaction not found", "trace": TRACE},
    ),
    "token": (
        lambda desk: desk.call("/payment/token", token=paid(desk, tokenise=2)["token"]).json(),
        {
            "tran_ref": REF,
            "payment_info": {name: CARD[name] for name in ("card_type", "card_scheme", "payment_description")},
            "customer_details": CUSTOMER,
        },
    ),
    "token deleted": (
        lambda desk: desk.call("/payment/token/delete", token=paid(desk, tokenise=2)["token"]).json(),
        {"code": 0, "message": "Token deleted", "trace": TRACE},
    ),
    "invoice": (
        invoiced,
        {"invoice_id": int, "invoice_link": re.compile(r"http.*/payment/request/invoice/\d+/\w+"), "trace_code": TRACE},
    ),
    "invoice status": (
        lambda desk: desk.call("/payment/invoice/status", invoice_id=invoiced(desk)["invoice_id"]).json(),
        {"invoice_status": "pending"},
    ),
    "invoice paid": (
        lambda desk: desk.call(
            "/payment/invoice/paid",
            invoice_id=invoiced(desk)["invoice_id"],
            invoice_currency="SAR",
            invoice_total=7,
            pay_method="cash",
            pay_description="at the desk",
        ).json(),
        {
            "invoice_id": int,
            "invoice_currency": "SAR",
            "invoice_total": "7",
            "pay_method": "cash",
            "pay_description": "at the desk",
            "tran_ref": REF,
            "profile_id": 987654,
            "trace": TRACE,
        },
    ),
    "invoice cancelled by its number": (
        lambda desk: desk.call("/payment/invoice/cancel", invoice_id=invoiced(desk)["invoice_id"]).json(),
        {"code": "0", "message": str, "trace": TRACE},
    ),
    "invoice cancelled by PUT": (
        lambda desk: by_path(desk, "PUT"),
        {"code": "0", "message": str, "trace": TRACE},
    ),
    "invoice cancelled by POST": (
        lambda desk: by_path(desk, "POST"),
        {"code": "0", "message": str, "trace": TRACE},
    ),
}


#: Each kind of notice: what happens, and its members.
NOTICES: dict[str, tuple[Callable[[Any, str], Any], dict[str, Any]]] = {
    "paid": (lambda desk, url: paid(desk, callback=url), NOTICE),
    "paid with everything": (
        lambda desk, url: paid(
            desk,
            callback=url,
            tokenise=2,
            customer_ref="C-42",
            user_defined={"udf1": "x"},
            shipping_details={"name": "B"},
            invoice={"total": 115.5},
            plugin_info={"cart_name": "NestCMS"},
        ),
        {
            **NOTICE,
            "token": TOKEN,
            "customer_ref": "C-42",
            "user_defined": {"udf1": "x"},
            "shipping_details": {"name": "B"},
            "invoice_id": int,
            "paymentChannel": "NestCMS",
        },
    ),
    "voucher": (
        lambda desk, url: paid(desk, None, {"method": "aman"}, callback=url),
        {
            **{name: fact for name, fact in NOTICE.items() if name != "threeDSDetails"},
            "tran_type": "Payment Request",
            "payment_result": {**NOTICE["payment_result"], **result("P", re.compile(r"\d{12}"), "Pending")},
            "payment_info": {"payment_method": "Aman", "card_scheme": "Aman", "payment_description": "Aman"},
        },
    ),
    "bank said no": (
        at_bank,
        {
            **NOTICE,
            "payment_result": {**NOTICE["payment_result"], **result("D", "310", "3-D Secure rejected")},
            "payment_info": {**NOTICE["payment_info"], "payment_description": str},
            "threeDSDetails": {**NOTICE["threeDSDetails"], "enrolled": "Y", "paResStatus": "N", "eci": "07"},
        },
    ),
    "charge": (
        lambda desk, url: charged(desk, callback=url),
        {
            **{name: fact for name, fact in NOTICE.items() if name != "threeDSDetails"},
            "previous_tran_ref": REF,
            "tran_class": "Recurring",
            "token": TOKEN,
            "paymentChannel": "Transaction API",
        },
    ),
    "refund": (
        lambda desk, url: followed(desk, "refund", 15, callback=url),
        {
            **{name: fact for name, fact in NOTICE.items() if name != "threeDSDetails"},
            "tran_type": "Refund",
            "previous_tran_ref": REF,
            "cart_id": str,
            "cart_description": str,
            "cart_amount": "15.00",
            "paymentChannel": "Transaction API",
        },
    ),
    "sale by hand": (
        lambda desk, url: (desk.switch(ipn_url=url), desk.post("sale", amount=20, customer_details=CUSTOMER)),
        {
            **{name: fact for name, fact in NOTICE.items() if name not in ("threeDSDetails", "cart_description")},
            "cart_id": "",
            "cart_amount": "20.00",
            "tran_class": "Moto",
            "paymentChannel": "Dashboard",
        },
    ),
}
