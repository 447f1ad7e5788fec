"""What an answer of the gateway means: classified by its body, mapped to one of five outcomes.

Nothing here raises for a strange answer: what cannot be understood is UNKNOWN, because the call may have been carried
out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from paytabs.errors import LISTED_CODES, MalformedBody, proves_nothing_happened
from paytabs.transactions import Transaction, parse_notification, parse_transaction, read_json

__all__ = [
    "OUTCOME_OF_STATUS",
    "Answer",
    "Call",
    "Outcome",
    "Transaction",
    "classify",
    "parse_notification",
    "parse_transaction",
    "read_json",
]


class Outcome(StrEnum):
    """What became of a call."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    REFUSED = "refused"
    DID_NOT_HAPPEN = "did_not_happen"
    UNKNOWN = "unknown"


class Call(StrEnum):
    """Which shape of answer a call expects."""

    REQUEST = "request"
    QUERY_TRAN = "query_tran"
    QUERY_CART = "query_cart"


#: What a response status says of the call. V is no success; a letter that is not listed is neither success nor failure.
OUTCOME_OF_STATUS: Mapping[str, Outcome] = {
    "A": Outcome.SUCCEEDED,
    "P": Outcome.PENDING,
    "H": Outcome.PENDING,
    "D": Outcome.REFUSED,
    "E": Outcome.REFUSED,
    "C": Outcome.REFUSED,
    "X": Outcome.REFUSED,
    "V": Outcome.REFUSED,
}

#: PayTabs' "invalid request", which a query answers when it finds nothing.
_INVALID_REQUEST = 2

#: An answer with one of these statuses may come from in front of the gateway, or from a gateway that broke half-way.
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


@dataclass(frozen=True)
class Answer:
    """What became of one call, whether or not the gateway answered.

    Attributes:
        outcome: One of the five.
        detail: One machine word for why the outcome is what it is.
        http_status: The status received, if any.
        transaction: The one transaction an object answer describes.
        transactions: The transactions of a query by cart, newest first as received.
        error_code: The error envelope's code.
        message: The error envelope's text; not a contract, not for payers.
        trace: What identifies the call on PayTabs' side.
        retry_after_seconds: How long the answer asked to wait.
    """

    outcome: Outcome
    detail: str
    http_status: int | None = None
    transaction: Transaction | None = None
    transactions: tuple[Transaction, ...] = ()
    error_code: int | None = None
    message: str | None = None
    trace: str | None = None
    retry_after_seconds: float | None = None


def classify(
    http_status: int, body: bytes, *, call: Call = Call.REQUEST, retry_after_seconds: float | None = None
) -> Answer:
    """Say what an answer means, by its body and in the contract's order: error, redirect, completed, array.

    Args:
        http_status: Consulted only for 429 and 5xx, which prove nothing, and for error envelopes.
        body: The raw answer.
        call: Which answer was expected; an array answers only a query by cart, and nothing else does.
        retry_after_seconds: What the answer's `Retry-After` said.

    Returns:
        An answer, whatever the body holds.
    """
    document: object = None
    try:
        document = read_json(body)
        answer = _read(document, http_status, call)
    except MalformedBody as error:
        unreadable = "not_json" if body.strip() else "empty"
        answer = Answer(Outcome.UNKNOWN, unreadable if error.field == "body" else "malformed")
    if http_status == _TOO_MANY_REQUESTS or http_status >= _SERVER_ERROR:
        detail = "http_429" if http_status == _TOO_MANY_REQUESTS else "http_5xx"
        answer = Answer(Outcome.UNKNOWN, detail, error_code=answer.error_code)
    return replace(
        answer,
        http_status=http_status,
        message=_note(document, "message"),
        trace=_note(document, "trace"),
        retry_after_seconds=retry_after_seconds,
    )


def _read(document: object, http_status: int, call: Call) -> Answer:
    if isinstance(document, Mapping):
        code = _error_code(document.get("code"))
        if code is not None:
            return _read_error(code, http_status, call)
        if call is not Call.QUERY_CART:
            return _read_object(document, call)
    if isinstance(document, list) and call is Call.QUERY_CART:
        return _read_array(document)
    return Answer(Outcome.UNKNOWN, "unexpected_shape")


def _read_error(code: int, http_status: int, call: Call) -> Answer:
    if proves_nothing_happened(code, http_status):
        not_found = code == _INVALID_REQUEST and call is not Call.REQUEST
        return Answer(Outcome.DID_NOT_HAPPEN, "not_found" if not_found else f"code_{code}", error_code=code)
    # A listed code under a status the gateway does not refuse with says as little as an unlisted one.
    return Answer(Outcome.UNKNOWN, f"code_{code}" if code in LISTED_CODES else "unlisted_code", error_code=code)


def _read_object(document: Mapping[str, Any], call: Call) -> Answer:
    has_result = isinstance(document.get("payment_result"), Mapping)
    if not has_result and not document.get("redirect_url"):
        return Answer(Outcome.UNKNOWN, "unexpected_shape")
    transaction = parse_transaction(document)
    if transaction.redirect_url and (call is Call.REQUEST or not has_result):
        # For the call that made the page this is success; asked later, the page still waits for its payer.
        outcome = Outcome.SUCCEEDED if call is Call.REQUEST else Outcome.PENDING
        return Answer(outcome, "redirect", transaction=transaction)
    outcome_of_result = OUTCOME_OF_STATUS.get(transaction.response_status or "")
    if outcome_of_result is None:
        return Answer(Outcome.UNKNOWN, "unknown_status", transaction=transaction)
    return Answer(outcome_of_result, "completed", transaction=transaction)


def _read_array(entries: list[object]) -> Answer:
    found = []
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise MalformedBody("entry", "an object")
        found.append(parse_transaction(entry))
    return Answer(Outcome.SUCCEEDED, "found" if found else "empty", transactions=tuple(found))


def _error_code(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    return None


def _note(document: object, name: str) -> str | None:
    value = document.get(name) if isinstance(document, Mapping) else None
    return value if isinstance(value, str) and value else None
