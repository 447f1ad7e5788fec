"""The shapes of answers: redirect, charge, follow-up, query, entry of a cart, token, invoice."""

import json
from collections.abc import Mapping
from typing import Any

from sandbox.amounts import write_amount
from sandbox.identifiers import gateway_time
from sandbox.transactions import Transaction

#: The merchant every sandbox profile belongs to; informational in the contract.
MERCHANT_ID = 10001

#: What a hosted page nobody has paid yet shows in a query, where it shows at all.
AWAITING = ("P", "600", "Awaiting finalisation")

#: Members of a query by `tran_ref` that direct answers lack.
QUERY_ONLY = ("original_tran_type", "shipping_details")


def compact(document: Any) -> bytes:  # noqa: ANN401 - any JSON document
    """Write JSON as the gateway does: one line without spaces, UTF-8.

    Args:
        document: Plain JSON values.

    Returns:
        The bytes.
    """
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def without_empty(document: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is null or empty, as the gateway does; only `cart_id` may be empty."""
    return {name: value for name, value in document.items() if name == "cart_id" or value not in (None, "", {}, [])}


def head(transaction: Transaction, decimals: str) -> dict[str, Any]:
    """Write the members with which every telling begins."""
    return {
        "tran_ref": transaction.tran_ref,
        "previous_tran_ref": transaction.previous_tran_ref,
        "tran_type": transaction.tran_type,
        "cart_id": transaction.cart_id,
        "cart_description": transaction.request.get("cart_description"),
        "cart_currency": transaction.currency,
        "cart_amount": write_amount(transaction.cart_amount, transaction.currency, decimals),
    }


def moved(transaction: Transaction, decimals: str) -> dict[str, Any]:
    """Write what was moved, in the currency in which the payer paid."""
    if transaction.alt_currency is not None and transaction.alt_total is not None:
        total = write_amount(transaction.alt_total, transaction.alt_currency, decimals)
        return {"tran_currency": transaction.alt_currency, "tran_total": total}
    return {
        "tran_currency": transaction.currency,
        "tran_total": write_amount(transaction.tran_total, transaction.currency, decimals),
    }


def _tail(profile_id: int, trace: str, transaction: Transaction, service_id: int) -> dict[str, Any]:
    return {
        "serviceId": service_id,
        "paymentChannel": transaction.channel,
        "profileId": profile_id,
        "merchantId": MERCHANT_ID,
        "trace": trace,
    }


def payment_result(transaction: Transaction) -> dict[str, str]:
    """Write the member `payment_result`.

    Args:
        transaction: A version; one without a status is shown as awaiting finalisation.

    Returns:
        Status, code, message and time.
    """
    status, code, message = AWAITING
    if transaction.status is not None:
        status, code, message = transaction.status, transaction.code or "", transaction.message or ""
    return {
        "response_status": status,
        "response_code": code,
        "response_message": message,
        "transaction_time": gateway_time(transaction.at),
    }


def redirect_answer(
    transaction: Transaction, page_url: str, *, profile_id: int, trace: str, decimals: str
) -> dict[str, Any]:
    """Write the answer that sends the payer to the hosted page."""
    request = transaction.request
    return without_empty(
        {
            **head(transaction, decimals),
            "tran_total": "0",
            "callback": request.get("callback"),
            "return": request.get("return"),
            "redirect_url": page_url,
            "invoice_id": transaction.invoice_id,
            "customer_ref": request.get("customer_ref"),
            "customer_details": request.get("customer_details"),
            "shipping_details": request.get("shipping_details"),
            **_tail(profile_id, trace, transaction, 2),
        }
    )


def completed_answer(transaction: Transaction, *, profile_id: int, trace: str, decimals: str) -> dict[str, Any]:
    """Write the answer of a query by `tran_ref`."""
    request = transaction.request
    return without_empty(
        {
            **head(transaction, decimals),
            "original_tran_type": transaction.original_tran_type,
            **moved(transaction, decimals),
            "customer_ref": request.get("customer_ref"),
            "customer_details": request.get("customer_details"),
            "shipping_details": request.get("shipping_details"),
            "payment_result": payment_result(transaction),
            "payment_info": dict(transaction.payment_info),
            "token": transaction.token,
            # A page's payment is the payment page's service, also when it is asked about.
            **_tail(profile_id, trace, transaction, 2 if transaction.page_id else 1),
        }
    )


def direct_answer(transaction: Transaction, *, profile_id: int, trace: str, decimals: str) -> dict[str, Any]:
    """Write the answer of a charge without a page and of a follow-up."""
    answer = completed_answer(transaction, profile_id=profile_id, trace=trace, decimals=decimals)
    return {name: value for name, value in answer.items() if name not in QUERY_ONLY}


def cart_entry(transaction: Transaction, *, decimals: str) -> dict[str, Any]:
    """Write one entry of a query by `cart_id`, thinner than the answer by `tran_ref`."""
    return {
        **without_empty(
            {
                **head(transaction, decimals),
                "original_tran_type": transaction.original_tran_type,
                **moved(transaction, decimals),
                "customer_details": transaction.request.get("customer_details"),
                "payment_result": payment_result(transaction),
                "payment_info": dict(transaction.payment_info),
            }
        ),
        "serviceId": 0,
    }


def token_answer(origin: Transaction) -> dict[str, Any]:
    """Write what a token stands for.

    Args:
        origin: The transaction that created it.

    Returns:
        Its reference, card and customer; no `payment_result`.
    """
    card = {name: origin.payment_info.get(name) for name in ("card_type", "card_scheme", "payment_description")}
    return without_empty(
        {
            "tran_ref": origin.tran_ref,
            "payment_info": without_empty(card),
            "customer_details": origin.request.get("customer_details"),
        }
    )


def invoice_answer(status: str, attempt: Transaction | None) -> dict[str, str]:
    """Write how an invoice stands.

    Args:
        status: `invoice_status`.
        attempt: The latest attempt to pay it; one without a result is not shown.

    Returns:
        The status, and that of the attempt.
    """
    if attempt is None or attempt.status is None:
        return {"invoice_status": status}
    return {
        "invoice_status": status,
        "tran_ref": attempt.tran_ref,
        "tran_status": attempt.status,
        "tran_status_msg": attempt.message or "",
    }
