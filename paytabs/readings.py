"""What the transactions in an answer say of the call that was made: a page, a charge, a follow-up or a query."""

from collections.abc import Mapping
from typing import Any

from paytabs.answers import OUTCOME_OF_STATUS, UNEXPECTED, Answer, Call, Outcome
from paytabs.errors import MalformedBody
from paytabs.transactions import Transaction, parse_transaction

#: What a page that waits for its payer means: to the call that asked for it success, to any other one that nothing has
#: been charged yet. A follow-up has no payer and no page.
_PAGE_OUTCOMES: Mapping[Call, Outcome] = {
    Call.REQUEST: Outcome.SUCCEEDED,
    Call.CHARGE: Outcome.PENDING,
    Call.QUERY_TRAN: Outcome.PENDING,
}

#: Acts upon an earlier transaction.
_FOLLOW_UPS = frozenset((Call.FOLLOW_UP, Call.FREEING))


def read_transaction(document: Mapping[str, Any], call: Call) -> Answer:
    """Read an answer that is one transaction.

    Args:
        document: The answer, without an error code.
        call: A page, a charge, a follow-up or a query by reference. A query tells of a page's result though the page's
            address is still there; every other call is told of the page first.

    Raises:
        MalformedBody: When a member is missing or wrong.
    """
    has_result = isinstance(document.get("payment_result"), Mapping)
    is_page = bool(document.get("redirect_url")) and call in _PAGE_OUTCOMES
    if not has_result and not is_page:
        return UNEXPECTED
    transaction = parse_transaction(document)
    if is_page and transaction.redirect_url and not (has_result and call is Call.QUERY_TRAN):
        return Answer(_PAGE_OUTCOMES[call], "redirect", transaction=transaction)
    return _by_status(transaction, call)


def read_cart(entries: list[object]) -> Answer:
    """Read the answer to a query by cart.

    Raises:
        MalformedBody: When one entry cannot be read: it may be the one that was paid.
    """
    found = []
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise MalformedBody("entry", "an object")
        found.append(parse_transaction(entry))
    return Answer(Outcome.SUCCEEDED, "found" if found else "empty", transactions=tuple(found))


def read_token(document: Mapping[str, Any]) -> Answer:
    """Read the answer to a query of a token: the transaction it was made by and the card behind it, without a result.

    Raises:
        MalformedBody: When a member is missing or wrong.
    """
    if not isinstance(document.get("payment_info"), Mapping):
        return UNEXPECTED
    transaction = parse_transaction(document)
    return Answer(Outcome.SUCCEEDED, "found", transaction=transaction)


def _by_status(transaction: Transaction, call: Call) -> Answer:
    outcome = OUTCOME_OF_STATUS.get(transaction.response_status or "")
    # A capture or a refund cannot say "voided" of itself, and of a void it may mean that it was carried out.
    if outcome is None or (call in _FOLLOW_UPS and transaction.response_status == "V"):
        return Answer(Outcome.UNKNOWN, "unknown_status", transaction=transaction)
    return Answer(outcome, "completed", transaction=transaction)
