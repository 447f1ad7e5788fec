"""The shapes in which a transaction is told unasked: notice and browser return."""

from typing import Any

from sandbox.cards import THREE_DS_REJECTED
from sandbox.envelopes import MERCHANT_ID, head, moved, payment_result, without_empty
from sandbox.signing import sign_return
from sandbox.transactions import Transaction

#: `tran_class` as it comes back.
CLASS_NAMES = {"ecom": "ECom", "moto": "Moto", "recurring": "Recurring"}


def notice(
    transaction: Transaction, *, profile_id: int, ipn_trace: str, acquirer_ref: str, decimals: str, extras: bool
) -> dict[str, Any]:
    """Write the body of a callback or IPN.

    Args:
        transaction: The version it is about; `original_tran_type` never appears here.
        profile_id: The profile.
        ipn_trace: One per copy.
        acquirer_ref: One per event.
        decimals: The switch of that name.
        extras: Whether it tells of the card's issuer and its 3-D Secure step.

    Returns:
        The members in the order of the contract.
    """
    request = transaction.request
    result = payment_result(transaction)
    moment = result.pop("transaction_time")
    parts = head(transaction, decimals)
    kind = parts.pop("tran_type")
    acquirer = {"acquirer_message": "", "acquirer_rrn": "", "acquirer_ref": acquirer_ref}
    return without_empty(
        {
            "tran_ref": parts.pop("tran_ref"),
            "previous_tran_ref": parts.pop("previous_tran_ref"),
            "merchant_id": MERCHANT_ID,
            "profile_id": profile_id,
            **parts,
            **moved(transaction, decimals),
            "tran_type": kind,
            "tran_class": CLASS_NAMES.get(str(request.get("tran_class")), "ECom"),
            "invoice_id": transaction.invoice_id,
            "customer_ref": request.get("customer_ref"),
            "customer_details": request.get("customer_details"),
            "shipping_details": request.get("shipping_details"),
            "payment_result": {**result, **acquirer, "cvv_result": " ", "avs_result": " ", "transaction_time": moment},
            "payment_info": {**transaction.payment_info, **(_issuer(transaction) if extras else {})},
            "token": transaction.token,
            "user_defined": request.get("user_defined"),
            "threeDSDetails": _three_ds(transaction) if extras else None,
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


def _issuer(transaction: Transaction) -> dict[str, str]:
    """Tell who issued the card; nothing is known of a wallet's or of another method."""
    return {"issuerCountry": "SA", "issuerName": "Test Bank"} if "card_type" in transaction.payment_info else {}


def _three_ds(transaction: Transaction) -> dict[str, Any] | None:
    if transaction.enrolled is None:
        return None
    passed = transaction.code != THREE_DS_REJECTED.code
    taken = {"paResStatus": "Y" if passed else "N", "eci": "05" if passed else "07", "threeDSVersion": "2.2.0"}
    untaken = {"paResStatus": "", "eci": "", "threeDSVersion": "Test/Simulation"}
    return {
        "responseLevel": 1,
        "responseStatus": 1,
        "enrolled": transaction.enrolled,
        "cavv": "",
        "ucaf": "",
        **(taken if transaction.enrolled == "Y" else untaken),
    }
