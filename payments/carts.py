"""The cart that a send goes out under: derived, so that a send which our ledger has forgotten can still be asked for.

It is made from the profile, the payment, the operation and the number of the send, whose part is the ledger's epoch:
once a copy of the database was restored, no send has a cart that one of the forgotten time can have had. The payment
stands in it as it is, so that a notice of a forgotten send tells whose it is. PayTabs takes 64 characters.
"""

import hashlib
import json
import re

#: How many digits of the hash a cart has: 128 bits.
_DIGITS = 32

_FORM = re.compile(rf"nw-([0-9a-f]{{24}})-[0-9a-f]{{{_DIGITS}}}")


def cart_of(profile_id: int, payment_id: str, operation_id: str, *, epoch: int, number: int) -> str:
    """Return the cart of one send.

    Args:
        profile_id: PayTabs' profile.
        payment_id: 24 hexadecimal digits.
        operation_id: the operation that is sent.
        epoch: the ledger's epoch when it is sent.
        number: which of the operation's sends it is; the first is 1.
    """
    content = json.dumps([profile_id, payment_id, operation_id, epoch, number], ensure_ascii=True)
    return f"nw-{payment_id}-{hashlib.sha256(content.encode()).hexdigest()[:_DIGITS]}"


def payment_in(cart_id: str | None) -> str | None:
    """Return the payment that a derived cart names; None for any other cart."""
    found = _FORM.fullmatch(cart_id or "")
    return found[1] if found else None
