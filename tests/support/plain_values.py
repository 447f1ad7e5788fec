"""How the CMS's values are read, in plain Python: written apart from the pipelines, to compare them with."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from bson import Decimal128, Int64, ObjectId

Document = dict[str, Any]

#: More digits than any sum of a test has.
EXACT = Context(prec=80)

USER = ["_id", "fullName", "username", "email", "phone", "Age", "isEmployee", "isAdmin", "employeeType", "adminType"]
ADDRESS = ["title", "street", "city", "state", "country"]
PAYMENT = ["_id", "title", "content", "date", "contractId", "client", "transR", "createdAt", "updatedAt"]
GATEWAY = ["state", "captured", "refunded", "released", "flags"]


def paid_text(value: object) -> Decimal | None:
    """Read a payment's amount."""
    text = value.strip() if isinstance(value, str) else ""
    return Decimal(text) if re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text, re.ASCII) else None


def earned(value: object) -> Decimal | None:
    """Read an earning's amount."""
    if isinstance(value, bool) or not isinstance(value, int | float | Int64 | Decimal128):
        return None
    read = value.to_decimal() if isinstance(value, Decimal128) else Decimal(str(value))
    if isinstance(value, float) and read.is_finite():
        read = Decimal(f"{value:.14e}")
    return read if read.is_finite() and abs(read) < 10**15 else None


def code(value: object) -> str | None:
    """Read a currency."""
    text = value.strip().upper() if isinstance(value, str) else ""
    return text if re.fullmatch("[A-Z]{3}", text) else None


def total(amounts: Iterable[Decimal]) -> Decimal:
    """Add up without rounding."""
    result = Decimal(0)
    for amount in amounts:
        result = EXACT.add(result, amount)
    return result


def text(amount: Decimal) -> str:
    """Write an amount with two places, or with as many more as it has."""
    if not amount:
        return "0.00"
    places = max(2, -int(EXACT.normalize(amount).as_tuple().exponent))
    return f"{EXACT.quantize(amount, Decimal(1).scaleb(-places)):f}"


def only(document: Document, names: Iterable[str]) -> Document:
    """Keep some members."""
    return {name: document[name] for name in names if name in document}


def person(user: Document, *more: str) -> Document:
    """Keep what a user shows."""
    shown = only(user, [*USER, *more, "createdAt", "updatedAt"])
    address = user.get("address")
    return shown | ({"address": only(address, ADDRESS)} if isinstance(address, dict) else {})


def whole(document: Document, *but: str) -> Document:
    """Keep everything that is nobody's secret."""
    return {name: value for name, value in document.items() if name not in ("password", "__v", *but)}


def ids(value: object) -> list[ObjectId]:
    """Read a field of references: a list, a single one or nothing."""
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if isinstance(one, ObjectId)]


def as_json(value: object) -> Any:
    """Write values as callers get them: nothing that is called a password."""
    if isinstance(value, dict):
        return {name: as_json(member) for name, member in value.items() if "password" not in name.lower()}
    if isinstance(value, list):
        return [as_json(member) for member in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
    return str(value) if isinstance(value, ObjectId | Decimal128) else value
