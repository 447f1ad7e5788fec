"""How amounts, currencies and statuses of the CMS are read on the server, exactly; what cannot be read becomes null.

`$toDecimal` alone would not do: it stops the whole pipeline at the first text that is no number, and takes "NaN" and
"Infinity" for numbers. `$toString` is no way to read a double either: it keeps six digits and makes 1.23457E+6 of
1234567.891.
"""

import re
from decimal import Decimal
from typing import Any

from bson import Decimal128

Expression = Any

#: A payment's amount that can be read: plain decimal text, zero or more, no exponent, no separators.
PLAIN_AMOUNT = r"^[0-9]{1,15}(\.[0-9]{1,9})?$"

#: An earning's amount is read below this, on either side of zero. Sums of such keep all of their digits in Decimal128.
TOO_MUCH = Decimal128("1E+15")

#: ISO 4217's form; whether there is such a currency is not looked up.
CURRENCY = r"^[A-Z]{3}$"

#: What a payment's status may be; whatever else the CMS may come to write is `other`.
STATUSES = ("pending", "paid", "refunded", "failed")

#: What people and forms leave around a status; whoever writes statuses reads them the same way.
SPACES = " \t\n\r\v\f"


def _as_written(word: str) -> re.Pattern[str]:
    """Match a word in any case, with spaces around it; what is exactly the word is matched before, by its index."""
    return re.compile(rf"^[ \t\n\r\v\f]*{word}[ \t\n\r\v\f]*$", re.IGNORECASE)


def is_status(word: str) -> Expression:
    """Match payments of a status; nothing stands for pending, and a list is no status."""
    nothing = [None, _as_written("")] if word == "pending" else []
    return {"$in": [word, *nothing, _as_written(word)], "$not": {"$type": "array"}}


#: Matches payments that nobody has paid yet.
UNPAID = is_status("pending")

#: The places after the point that are told even when they are zeros.
_USUAL_PLACES = 2


def text_amount(field: str) -> Expression:
    """Read decimal text, spaces around it let go, as an exact decimal; null for anything else."""
    # Hardly any has spaces, and trimming is the larger part of reading one.
    trimmed = _plain_or({"$trim": {"input": field}}, None)
    return _if_text(field, _plain_or(field, trimmed))


def number_amount(field: str) -> Expression:
    """Read a number as a decimal; null for NaN, infinities, 10^15 and more, and whatever is no number.

    Whole numbers and decimals are taken as they are. Of a double `$toDecimal` keeps 15 significant digits: the most
    that every double gives back, so that an amount typed with up to 15 digits is read as it was typed.
    """
    decimal = {"$toDecimal": field}
    # NaN is sorted before every number, so it fails the first comparison.
    within = {"$and": [{"$gt": [decimal, Decimal128("-1E+15")]}, {"$lt": [decimal, TOO_MUCH]}]}
    return {"$cond": [{"$isNumber": field}, {"$cond": [within, decimal, None]}, None]}


def currency(field: str) -> Expression:
    """Read a currency's code in capitals; null for whatever is none."""
    code = {"$toUpper": {"$trim": {"input": field}}}
    return _if_text(field, {"$cond": [{"$regexMatch": {"input": code, "regex": CURRENCY}}, code, None]})


def one_of(field: Expression, known: tuple[str, ...], otherwise: Expression) -> Expression:
    """Read one of some words."""
    return {"$cond": [{"$in": [field, list(known)]}, field, otherwise]}


def payment_status(field: str) -> Expression:
    """Read a payment's status, in any case and with spaces around it; nothing stands for pending."""
    # Hardly any is written otherwise, and trimming is the larger part of reading one.
    word = {"$toLower": {"$trim": {"input": field, "chars": SPACES}}}
    read = one_of(word, STATUSES, {"$cond": [{"$eq": [word, ""]}, "pending", "other"]})
    otherwise = {"$cond": [is_null(field), "pending", _if_text(field, read, "other")]}
    return {"$cond": [{"$in": [field, list(STATUSES)]}, field, otherwise]}


def is_null(value: Expression) -> Expression:
    """Tell whether something is null or missing."""
    return {"$eq": [{"$ifNull": [value, None]}, None]}


def count_if(condition: Expression) -> Expression:
    """Count, as an accumulator, where a condition holds."""
    return {"$sum": {"$cond": [condition, 1, 0]}}


def money(value: object) -> str:
    """Return a sum as plain decimal text with two places, and with more where they are not zeros."""
    amount = value.to_decimal() if isinstance(value, Decimal128) else Decimal(str(value or 0))
    whole, _, places = f"{amount or abs(amount):f}".partition(".")
    return f"{whole}.{places[:_USUAL_PLACES].ljust(_USUAL_PLACES, '0')}{places[_USUAL_PLACES:].rstrip('0')}"


def _plain_or(text: Expression, otherwise: Expression) -> Expression:
    plain = {"$regexMatch": {"input": text, "regex": PLAIN_AMOUNT}}
    return {"$cond": [plain, {"$toDecimal": text}, otherwise]}


def _if_text(field: str, value: Expression, otherwise: str | None = None) -> Expression:
    return {"$cond": [{"$eq": [{"$type": field}, "string"]}, value, otherwise]}
