"""Notices as PayTabs sends them: one line of JSON and the signature of exactly those bytes."""

import hashlib
import hmac
import json
from typing import Any

from tests.support.sandbox import PROFILE_ID, SERVER_KEY

#: The server key before the last rotation.
PREVIOUS_KEY = "SOLDKEY001-AAAA2222BB-CCCC3333DD"


def notice(**changes: Any) -> bytes:
    """Return the body of a paid sale's notice; a change to None leaves a member out."""
    members = {
        "tran_ref": "TST2621800000101",
        "merchant_id": 10001,
        "profile_id": PROFILE_ID,
        "cart_id": "INV-2026-0001",
        "cart_currency": "SAR",
        "cart_amount": "115.00",
        "tran_currency": "SAR",
        "tran_total": "115.00",
        "tran_type": "Sale",
        "tran_class": "ECom",
        "payment_result": {"response_status": "A", "response_code": "G12345", "response_message": "Authorised"},
        **changes,
    }
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def sign(body: bytes, key: str = SERVER_KEY) -> dict[str, str]:
    """Return the headers of a body that is signed with ``key``."""
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    return {"Signature": signature, "Content-Type": "application/json"}
