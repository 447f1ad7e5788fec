"""What short answers say: of invoices, and of acts that are acknowledged with a sentence instead of a transaction.

A sentence is believed only under a status of success: "not here" from something in front of the gateway looks just
the same.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from paytabs.answers import OUTCOME_OF_STATUS, UNEXPECTED, Answer, Call, Outcome
from paytabs.errors import MalformedBody
from paytabs.texts import MAX_WORD, is_fit, is_link
from paytabs.transactions import Transaction, parse_transaction

#: What an invoice's own status says; `paid` alone is no proof, because it stays after the payment was voided.
_OUTCOME_OF_INVOICE: Mapping[str, Outcome] = {
    "paid": Outcome.SUCCEEDED,
    "pending": Outcome.PENDING,
    "overdue": Outcome.PENDING,
    "cancelled": Outcome.REFUSED,
    "expired": Outcome.REFUSED,
    "refunded": Outcome.REFUSED,
    "failed": Outcome.REFUSED,
}

#: Invoices whose payment was authorised and yet is not owed to us any more, so that `A` does not contradict them.
_PAID_ONCE = frozenset(("paid", "refunded"))

#: How each act is called when it was acknowledged.
_DONE: Mapping[Call, str] = {
    Call.DELETE_TOKEN: "deleted",
    Call.CANCEL_INVOICE: "cancelled",
    Call.SEND_INVOICE_SMS: "sent",
}

#: Statuses of success.
_SUCCESS = range(200, 300)


def read_acknowledgement(document: Mapping[str, Any], call: Call, http_status: int) -> Answer:
    """Read the answer to deleting a token, cancelling an invoice or sending its SMS.

    A token's deletion is acknowledged by the code 0. An invoice's cancellation has the code as text or null, and an SMS
    has none.
    """
    code = document.get("code")
    is_zero = code == "0" or (code == 0 and isinstance(code, int) and not isinstance(code, bool))
    has_said_so = isinstance(document.get("message"), str) and document["message"].strip() != ""
    is_null = code is None and ("code" in document or call is Call.SEND_INVOICE_SMS) and has_said_so
    is_done = is_zero or (is_null and call is not Call.DELETE_TOKEN)
    return Answer(Outcome.SUCCEEDED, _DONE[call]) if is_done and http_status in _SUCCESS else UNEXPECTED


def read_new_invoice(document: Mapping[str, Any]) -> Answer:
    """Read the answer to a new invoice: its number and the link under which the payer finds it.

    Raises:
        MalformedBody: When one of them cannot be taken.
    """
    link = document.get("invoice_link")
    invoice_id = _invoice_id(document)
    if invoice_id is None or not isinstance(link, str) or not link.strip():
        return UNEXPECTED
    if not is_link(link):
        raise MalformedBody("invoice_link", "an http or https address that browsers take")
    return Answer(Outcome.SUCCEEDED, "invoice", invoice_id=invoice_id, invoice_link=link)


def read_invoice_status(document: Mapping[str, Any]) -> Answer:
    """Read what became of an invoice, from its own status and its transaction's together.

    Raises:
        MalformedBody: When a member is wrong.
    """
    said = document.get("invoice_status")
    if not isinstance(said, str) or not said.strip():
        return UNEXPECTED
    if not is_fit(said, MAX_WORD):
        raise MalformedBody("invoice_status", f"at most {MAX_WORD} characters without control characters")
    status = said.strip().lower()
    transaction = _transaction_of(document)
    answer = _weigh(status, transaction.response_status if transaction else None)
    return replace(answer, transaction=transaction, invoice_status=status, invoice_id=_invoice_id(document))


def read_marked_paid(document: Mapping[str, Any]) -> Answer:
    """Read the echo of a payment outside PayTabs, which has a transaction but no result.

    Raises:
        MalformedBody: When a member is missing or wrong.
    """
    if "tran_ref" not in document:
        return UNEXPECTED
    moved = {"tran_currency": document.get("invoice_currency"), "tran_total": document.get("invoice_total")}
    transaction = parse_transaction({**document, **moved})
    invoice_id = _invoice_id(document)
    status = transaction.response_status
    outcome = Outcome.SUCCEEDED if status is None else OUTCOME_OF_STATUS.get(status, Outcome.UNKNOWN)
    detail = "unknown_status" if outcome is Outcome.UNKNOWN else "completed"
    return Answer(outcome, detail, transaction=transaction, invoice_id=invoice_id)


def _weigh(invoice_status: str, tran_status: str | None) -> Answer:
    outcome = _OUTCOME_OF_INVOICE.get(invoice_status)
    if invoice_status == "paid" and tran_status is not None:
        outcome = OUTCOME_OF_STATUS.get(tran_status)
    if outcome is None:
        return Answer(Outcome.UNKNOWN, "unknown_status")
    if tran_status == "A" and invoice_status not in _PAID_ONCE:
        return Answer(Outcome.UNKNOWN, "conflicting_status")
    return Answer(outcome, "found")


def _transaction_of(document: Mapping[str, Any]) -> Transaction | None:
    if not document.get("tran_ref"):
        return None
    result = {"response_status": document.get("tran_status")}
    return parse_transaction({"tran_ref": document["tran_ref"], "payment_result": result})


def _invoice_id(document: Mapping[str, Any]) -> int | None:
    value = document.get("invoice_id")
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,18}", value):
        raise MalformedBody("invoice_id", "an invoice's number")
    return int(value)
