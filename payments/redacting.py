"""What is left of a row once nobody needs the person in it any more: references, amounts, codes and times.

Decided here: what stays is listed, what is not listed goes, and of what is listed only a single value stays that looks
like a reference, never an object or a sentence. So a member that PayTabs invents tomorrow is forgotten unasked.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from bson import Binary

from paytabs.errors import MalformedBody
from paytabs.transactions import read_json

Document = dict[str, Any]

#: Members of a notice that stay: what happened to which transaction, and how it is found.
KEPT_MEMBERS: Final = (
    "tran_ref", "previous_tran_ref", "tran_type", "tran_class", "cart_id", "cart_currency", "cart_amount",
    "tran_currency", "tran_total", "merchant_id", "profile_id", "invoice_id", "ipn_trace",
)  # fmt: skip

#: Members of its `payment_result` that stay.
KEPT_RESULT: Final = ("response_status", "response_code", "transaction_time")

#: Headers of a delivery that stay.
KEPT_HEADERS: Final = ("content-type",)

#: Arguments of a task that stay in its dead letter.
KEPT_ARGUMENTS: Final = (
    "payment_id", "operation_id", "delivery_id", "event_id", "handler", "tran_ref", "contract_id", "amount",
    "card_id", "client_id",
)  # fmt: skip

#: Parameters of an operation that its caller, or the CMS, put into words.
WORDS: Final = ("title", "invoice", "reason")

#: What stands in place of a text.
REDACTED: Final = "[redacted]"

#: References, amounts, codes and times: one word without an @, no longer than PayTabs' own.
_REFERENCE = re.compile(r"[A-Za-z0-9.:+_-]{1,64}")

#: Errors that repeat what others wrote: PayTabs, or the operator who closed a case.
_OTHERS_WORDS = re.compile(r"(PayTabs refused the request with code \d+|settled by [^:]+): .*", re.DOTALL)


def redacted_delivery(row: Mapping[str, Any]) -> Document:
    """Return the changes to a delivery's row; its id, the hash of the body as it came, still knows a repetition."""
    headers = {name: value for name, value in row["headers"].items() if name in KEPT_HEADERS}
    return {"$set": {"body": Binary(redacted_body(bytes(row["body"]))), "headers": headers}}


def redacted_body(body: bytes) -> bytes:
    """Return what stays of a notice, as JSON that reads like one; `{}` of what never was one."""
    try:
        document = read_json(body)
    except MalformedBody:
        document = None
    kept = _references(document, KEPT_MEMBERS)
    if isinstance(document, Mapping) and (result := _references(document.get("payment_result"), KEPT_RESULT)):
        kept["payment_result"] = result
    return json.dumps(kept, default=str, separators=(",", ":")).encode()


def redacted_operation(row: Mapping[str, Any]) -> Document:
    """Return the changes to an operation that has ended; asked again under its id, it still knows the same words."""
    params = row["params"]
    asked = params.get("asked", {})
    told = _OTHERS_WORDS.fullmatch(row["error"] or "")
    digests = {f"params.asked.{name}": digest(asked[name]) for name in WORDS if asked.get(name) is not None}
    return {
        "$set": {**digests, "error": told[1] if told else row["error"]},
        "$unset": {f"params.{name}": "" for name in WORDS},
    }


def redacted_letter(row: Mapping[str, Any]) -> Document:
    """Return the changes to a dead letter; it cannot be replayed any more."""
    kept = {"args": [], "kwargs": _references(_arguments(row["arguments"]), KEPT_ARGUMENTS)}
    arguments = json.dumps(kept) if row["arguments"] else None
    return {"$set": {"arguments": arguments, "intact": False, "raw": None, "text": REDACTED}}


def digest(value: object) -> Document:
    """Return what stands in place of words that must be known again when they are said again."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def same_words(said: object, stands: object) -> bool:
    """Tell whether what is said now is what stands, or what stood there before it was redacted."""
    return said == stands or (said is not None and digest(said) == stands)


def _arguments(text: object) -> object:
    """Read a letter's arguments by name; who wrote them is not known, so they may be anything."""
    try:
        return json.loads(text)["kwargs"] if isinstance(text, str) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _references(document: object, names: Sequence[str]) -> Document:
    """Return the members of an object, if it is one, that have one of these names and look like a reference."""
    found = document if isinstance(document, Mapping) else {}
    return {name: found[name] for name in names if _is_reference(found.get(name))}


def _is_reference(value: object) -> bool:
    if isinstance(value, str):
        return _REFERENCE.fullmatch(value) is not None
    return isinstance(value, int | Decimal) and not isinstance(value, bool)
