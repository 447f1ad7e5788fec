"""PayTabs' two signatures: HMAC-SHA256 over a notification's raw bytes, and over a browser return's canonical form.

Both are compared in constant time, and an empty key verifies nothing. Sources disagree on whether the gateway keeps or
drops a return's members whose value is "0". Signing keeps them; verifying takes either form, because either proves
knowledge of the key, and a return decides nothing.
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Sequence
from urllib.parse import quote_plus

#: A field of a decoded form; bytes that are not UTF-8 are carried by surrogateescape.
Field = tuple[str, str]

#: The member that carries a return's signature and is not part of what is signed.
SIGNATURE_FIELD = "signature"


def sign_body(body: bytes, key: str) -> str:
    """Sign a notification's body exactly as it stands on the wire.

    Returns:
        Lower-case hex.
    """
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def verify_body(body: bytes, signature: str, keys: Sequence[str]) -> bool:
    """Check a notification's signature.

    Args:
        body: The raw bytes received, never re-serialised.
        signature: The `Signature` header.
        keys: The current server key and, while a rotation lasts, the previous one.
    """
    return _matches([body], signature, keys)


def return_base_strings(fields: Iterable[Field], *, ignore: Collection[str] = ()) -> tuple[str, ...]:
    """Give the canonical forms a browser return may be signed over, the gateway's stated one first.

    Args:
        fields: The decoded form, in any order.
        ignore: Parameters that our own return URL carried.

    Returns:
        The form that keeps members whose value is "0" and, if there are any, the form that drops them.
    """
    named = [(name, value) for name, value in fields if name != SIGNATURE_FIELD and name not in ignore]
    kept = _base_string(named, ("",))
    dropped = _base_string(named, ("", "0"))
    return (kept,) if dropped == kept else (kept, dropped)


def sign_return(fields: Iterable[Field], key: str) -> str:
    """Sign a browser return as the gateway states it does: members whose value is "0" are kept.

    Returns:
        Lower-case hex.
    """
    return sign_body(return_base_strings(fields)[0].encode("ascii"), key)


def verify_return(fields: Sequence[Field], keys: Sequence[str], *, ignore: Collection[str] = ()) -> bool:
    """Check a browser return's signature.

    Args:
        fields: Every decoded pair of the form, repeated names included; decode with errors="surrogateescape".
        keys: The current server key and, while a rotation lasts, the previous one.
        ignore: Parameters that our own return URL carried (only with GET).

    Returns:
        False as well when the signature is missing, empty or repeated.
    """
    signatures = [value for name, value in fields if name == SIGNATURE_FIELD]
    if len(signatures) != 1:
        return False
    forms = [form.encode("ascii") for form in return_base_strings(fields, ignore=ignore)]
    return _matches(forms, signatures[0], keys)


def _matches(messages: Iterable[bytes], signature: object, keys: Sequence[str]) -> bool:
    if not isinstance(signature, str) or not signature or not signature.isascii():
        return False
    # Every candidate is computed and compared, so that the time taken does not tell which one was right.
    candidates = [sign_body(message, key) for message in messages for key in keys if key]
    return any([hmac.compare_digest(candidate, signature) for candidate in candidates])  # noqa: C419 - see above


def _base_string(fields: Iterable[Field], dropped: Collection[str]) -> str:
    kept = [(name, value) for name, value in fields if value not in dropped]
    kept.sort(key=lambda field: field[0].encode("utf-8", "surrogateescape"))
    return "&".join(f"{_encode(name)}={_encode(value)}" for name, value in kept)


def _encode(text: str) -> str:
    # PHP's http_build_query (RFC 1738) escapes the tilde, Python's quote_plus does not.
    return quote_plus(text, safe="", errors="surrogateescape").replace("~", "%7E")
