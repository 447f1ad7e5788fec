"""The shapes in which one transaction is told: redirect, completed answer, cart entry, notice, browser return."""

import json
from collections.abc import Mapping
from typing import Any

from sandbox.amounts import write_amount
from sandbox.identifiers import gateway_time
from sandbox.signing import sign_return
from sandbox.transactions import Transaction

#: The merchant every sandbox profile belongs to; informational in the contract.
MERCHANT_ID = 10001

#: What a hosted page nobody has paid yet shows in a query, where it shows at all.
AWAITING = ("P", "600", "Awaiting finalisation")

#: `tran_class` as it comes back.
CLASS_NAMES = {"ecom": "ECom", "moto": "Moto", "recurring": "Recurring"}


def compact(document: Any) -> bytes:  # noqa: ANN401 - any JSON document
    """Write JSON as the gateway does: one line without spaces, UTF-8.

    Args:
        document: Plain JSON values.

    Returns:
        The bytes.
    """
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _without_empty(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value not in (None, "", {}, [])}


def _head(transaction: Transaction, decimals: str) -> dict[str, Any]:
    return {
        "tran_ref": transaction.tran_ref,
        "previous_tran_ref": transaction.previous_tran_ref,
        "tran_type": transaction.tran_type,
        "cart_id": transaction.cart_id,
        "cart_description": transaction.request.get("cart_description"),
        "cart_currency": transaction.currency,
        "cart_amount": write_amount(transaction.cart_amount, transaction.currency, decimals),
    }


def _moved(transaction: Transaction, decimals: str) -> dict[str, Any]:
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
    return _without_empty(
        {
            **_head(transaction, decimals),
            "tran_total": "0",
            "callback": request.get("callback"),
            "return": request.get("return"),
            "redirect_url": page_url,
            "customer_ref": request.get("customer_ref"),
            "customer_details": request.get("customer_details"),
            "shipping_details": request.get("shipping_details"),
            **_tail(profile_id, trace, transaction, 2),
        }
    )


def completed_answer(transaction: Transaction, *, profile_id: int, trace: str, decimals: str) -> dict[str, Any]:
    """Write the answer of a query by `tran_ref`, which is also that of a charge without a page."""
    request = transaction.request
    return _without_empty(
        {
            **_head(transaction, decimals),
            "original_tran_type": transaction.original_tran_type,
            **_moved(transaction, decimals),
            "customer_ref": request.get("customer_ref"),
            "customer_details": request.get("customer_details"),
            "shipping_details": request.get("shipping_details"),
            "payment_result": payment_result(transaction),
            "payment_info": dict(transaction.payment_info),
            "token": transaction.token,
            **_tail(profile_id, trace, transaction, 1),
        }
    )


def cart_entry(transaction: Transaction, *, decimals: str) -> dict[str, Any]:
    """Write one entry of a query by `cart_id`, thinner than the answer by `tran_ref`."""
    return {
        **_without_empty(
            {
                **_head(transaction, decimals),
                "original_tran_type": transaction.original_tran_type,
                **_moved(transaction, decimals),
                "customer_details": transaction.request.get("customer_details"),
                "payment_result": payment_result(transaction),
                "payment_info": dict(transaction.payment_info),
            }
        ),
        "serviceId": 0,
    }


def notice(
    transaction: Transaction, *, profile_id: int, ipn_trace: str, acquirer_ref: str, decimals: str
) -> dict[str, Any]:
    """Write the body of a callback or IPN.

    Args:
        transaction: The version it is about; `original_tran_type` never appears here.
        profile_id: The profile.
        ipn_trace: One per copy.
        acquirer_ref: One per event.
        decimals: The switch of that name.

    Returns:
        The members in the order of the contract.
    """
    request = transaction.request
    result = payment_result(transaction)
    moment = result.pop("transaction_time")
    head = _head(transaction, decimals)
    kind = head.pop("tran_type")
    acquirer = {"acquirer_message": "", "acquirer_rrn": "", "acquirer_ref": acquirer_ref}
    return _without_empty(
        {
            "tran_ref": head.pop("tran_ref"),
            "previous_tran_ref": head.pop("previous_tran_ref"),
            "merchant_id": MERCHANT_ID,
            "profile_id": profile_id,
            **head,
            **_moved(transaction, decimals),
            "tran_type": kind,
            "tran_class": CLASS_NAMES.get(str(request.get("tran_class")), "ECom"),
            "customer_ref": request.get("customer_ref"),
            "customer_details": request.get("customer_details"),
            "shipping_details": request.get("shipping_details"),
            "payment_result": {**result, **acquirer, "cvv_result": " ", "avs_result": " ", "transaction_time": moment},
            "payment_info": dict(transaction.payment_info),
            "token": transaction.token,
            "user_defined": request.get("user_defined"),
            "ipn_trace": ipn_trace,
            "paymentChannel": transaction.channel,
        }
    )


def return_fields(transaction: Transaction, server_key: str) -> dict[str, str]:
    """Write the signed form with which the payer's browser comes back.

    Args:
        transaction: A version with a status.
        server_key: The profile's server key.

    Returns:
        The ten fields, empty ones included.
    """
    fields = {
        "acquirerMessage": "",
        "acquirerRRN": "",
        "cartId": transaction.cart_id,
        "customerEmail": str((transaction.request.get("customer_details") or {}).get("email") or ""),
        "respCode": transaction.code or "",
        "respMessage": transaction.message or "",
        "respStatus": transaction.status or "",
        "token": transaction.token or "",
        "tranRef": transaction.tran_ref,
    }
    return {**fields, "signature": sign_return(fields, server_key)}
