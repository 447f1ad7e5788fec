"""How the CMS's word about a payment is read: its `status` and its `transR`, whatever stands there.

A status is one of four words, in any case and with spaces around it, or nothing. A reference is a text of letters and
digits, or nothing. Anything else is not guessed at: it is refused with its value, cut short and without secrets.
"""

import re
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

#: What people and forms leave around a word; the aggregations let the same go.
SPACES = " \t\n\r\v\f"

#: The words of `payments.status`.
STATUSES = ("pending", "paid", "refunded", "failed")

#: Words that mean money, which is nobody's to ask for again.
SETTLED = frozenset({"paid", "refunded"})

#: What a reference of PayTabs looks like.
_REFERENCE = re.compile(r"[A-Za-z0-9]{1,64}")

#: How an id of the CMS is written as text.
_ID_TEXT = re.compile(r"[0-9a-fA-F]{24}")

#: Words that say that nobody has paid: said over one another they take nothing away.
UNPAID = ("pending", "failed")

#: The most that is told of a value which cannot be read.
LONGEST_SHOWN = 40

#: The most that is looked through for secrets: searching takes the square of the length.
_LONGEST_SEARCHED = 400

#: What may be a card number, an address or a key within a text.
_SECRETS = re.compile(r"(?:[0-9][ -]?){12,}|\S+@\S+|[A-Za-z0-9]{10}-[A-Za-z0-9]{10}-[A-Za-z0-9]{10}")


@dataclass(frozen=True)
class Unreadable:
    """A value that is none of those expected; `shown` is what may be told of it."""

    shown: str


def read_status(value: object) -> str | Unreadable | None:
    """Return a status as one of its four words; None where nothing stands."""
    word = value.strip(SPACES).lower() if isinstance(value, str) else value
    if word is None or word == "":
        return None
    return word if isinstance(word, str) and word in STATUSES else Unreadable(shown(value))


def read_reference(value: object) -> str | Unreadable | None:
    """Return a reference of PayTabs; None where nothing stands."""
    text = value.strip(SPACES) if isinstance(value, str) else value
    if text is None or text == "":
        return None
    return text if isinstance(text, str) and _REFERENCE.fullmatch(text) else Unreadable(shown(value))


def read_id(value: object) -> str | None:
    """Return a reference to a document of the CMS, an ObjectId or its text, as 24 hexadecimal digits."""
    text = value.strip(SPACES) if isinstance(value, str) else ""
    return str(value) if isinstance(value, ObjectId) else text.lower() if _ID_TEXT.fullmatch(text) else None


def either(one: ObjectId) -> dict[str, list[Any]]:
    """Return the condition that finds a document's id, whether it stands there as an ObjectId or as its text."""
    return {"$in": [one, str(one)]}


def shown(value: object) -> str:
    """Return what may be told of a value: of a text its beginning, of anything with members only what it is."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, ObjectId):
        return f"ObjectId {value}"
    whole = value if isinstance(value, str) else f"{value!r}"
    text = _SECRETS.sub("[redacted]", whole[:_LONGEST_SEARCHED])
    told = "".join(one if one.isprintable() else "?" for one in text[: LONGEST_SHOWN + 1])
    cut = told[:LONGEST_SHOWN] + "…" if len(told) > LONGEST_SHOWN else told
    return repr(cut) if isinstance(value, str) else cut
