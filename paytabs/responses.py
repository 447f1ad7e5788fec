"""What an answer of the gateway means: classified by its body, mapped to one of five outcomes.

Nothing here raises for a strange answer: what cannot be understood is UNKNOWN, because the call may have been carried
out.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from paytabs.acknowledgements import (
    read_acknowledgement,
    read_invoice_status,
    read_marked_paid,
    read_new_invoice,
)
from paytabs.answers import OUTCOME_OF_STATUS, UNEXPECTED, Answer, Call, Outcome
from paytabs.errors import LISTED_CODES, MalformedBody
from paytabs.notifications import parse_notification
from paytabs.readings import read_cart, read_token, read_transaction
from paytabs.refusals import KIND_OF_CALL, CallKind, Refusal, Standing, refusal, standing
from paytabs.texts import cleaned, is_reference
from paytabs.transactions import Transaction, parse_transaction, read_json

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

#: How an answer that is an object without an error code is read; transactions and acknowledgements go by themselves.
_READERS: Mapping[Call, Callable[[Mapping[str, Any]], Answer]] = MappingProxyType(
    {
        Call.QUERY_TOKEN: read_token,
        Call.CREATE_INVOICE: read_new_invoice,
        Call.INVOICE_STATUS: read_invoice_status,
        Call.MARK_INVOICE_PAID: read_marked_paid,
    }
)

#: Calls that answer with a transaction.
_TRANSACTION_CALLS = frozenset((Call.REQUEST, Call.CHARGE, Call.FOLLOW_UP, Call.FREEING, Call.QUERY_TRAN))

#: The one doubtful status below 500.
_TOO_MANY_REQUESTS = 429

#: A larger code is called by this, since no database keeps it; it means nothing either way.
_MAX_CODE = 999_999_999

#: How much of an envelope's sentence is read, in characters.
_MAX_MESSAGE = 1_000


def classify(
    http_status: int, body: bytes, *, call: Call = Call.REQUEST, retry_after_seconds: float | None = None
) -> Answer:
    """Say what an answer means, by its body and in the contract's order: error, redirect, completed, array.

    Args:
        http_status: Consulted only for 429 and 5xx, which prove nothing, for error envelopes and for mere sentences.
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
        member = None if error.field == "body" else error.field
        answer = Answer(Outcome.UNKNOWN, "malformed" if member else unreadable, not_taken=member)
    if standing(http_status) is Standing.DOUBTFUL:
        detail = "http_429" if http_status == _TOO_MANY_REQUESTS else "http_5xx"
        answer = Answer(Outcome.UNKNOWN, detail, error_code=answer.error_code)
    return replace(
        answer,
        http_status=http_status,
        message=_message(document),
        # A new invoice's answer calls it by another name.
        trace=_trace(document, "trace") or _trace(document, "trace_code"),
        retry_after_seconds=retry_after_seconds,
    )


def _read(document: object, http_status: int, call: Call) -> Answer:
    if isinstance(document, Mapping):
        code = _error_code(document.get("code"))
        if code is not None:
            answer = _read_error(code, http_status, call)
            return _not_refused(answer) if "tran_ref" in document and _proves_much(call) else answer
        if call is not Call.QUERY_CART:
            return _read_object(document, http_status, call)
    if isinstance(document, list) and call is Call.QUERY_CART:
        return read_cart(document)
    return UNEXPECTED


def _read_object(document: Mapping[str, Any], http_status: int, call: Call) -> Answer:
    if call in _TRANSACTION_CALLS:
        return read_transaction(document, call)
    if call in _READERS:
        return _READERS[call](document)
    return read_acknowledgement(document, call, http_status)


def _read_error(code: int, http_status: int, call: Call) -> Answer:
    proved = refusal(code, http_status, call)
    detail = f"code_{code}" if code in LISTED_CODES else "unlisted_code"
    if proved is Refusal.UNKNOWN:
        return Answer(Outcome.UNKNOWN, detail, error_code=code)
    if proved is Refusal.NOT_FOUND:
        return Answer(Outcome.DID_NOT_HAPPEN, "not_found", error_code=code)
    in_doubt = proved is Refusal.KEY_IN_DOUBT
    return Answer(Outcome.DID_NOT_HAPPEN, detail, error_code=code, key_in_doubt=in_doubt)


def _proves_much(call: Call) -> bool:
    """Tell whether something follows from a refusal: another charge, or another page beside one that is not found."""
    return KIND_OF_CALL[call] in (CallKind.MONEY, CallKind.FREEING, CallKind.LOOK_UP)


def _not_refused(answer: Answer) -> Answer:
    """Return the answer of an envelope that names a transaction as well: what was executed, only a query tells."""
    return replace(answer, outcome=Outcome.UNKNOWN, key_in_doubt=False)


def _error_code(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,100}", value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return min(value, _MAX_CODE)
    return None


def _message(document: object) -> str | None:
    value = document.get("message") if isinstance(document, Mapping) else None
    return cleaned(value[:_MAX_MESSAGE], _MAX_MESSAGE) or None if isinstance(value, str) else None


def _trace(document: object, name: str) -> str | None:
    value = document.get(name) if isinstance(document, Mapping) else None
    return value if isinstance(value, str) and is_reference(value) else None
