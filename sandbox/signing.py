"""How PayTabs signs: the raw body of a notification, and the fields of a browser return.

The sandbox's own reading of the contract, written apart from the client's and held to the same published vectors.
"""

import hmac
from collections.abc import Mapping
from string import ascii_letters, digits

#: What PHP's `http_build_query` leaves as it is; every other byte is percent-encoded, and a space becomes a plus.
UNRESERVED = frozenset((ascii_letters + digits + "-_.").encode())


def sign_body(body: bytes, server_key: str) -> str:
    """Sign a notification's bytes as they go over the wire.

    Args:
        body: The exact bytes.
        server_key: The profile's server key.

    Returns:
        The lowercase hexadecimal HMAC-SHA256.
    """
    return hmac.new(server_key.encode(), body, "sha256").hexdigest()


def return_base_string(fields: Mapping[str, str]) -> str:
    """Write the text that a browser return is signed over.

    Args:
        fields: The form's members, undecodable bytes as surrogate escapes; `signature` is left out, as is everything
            empty. A `"0"` stays.

    Returns:
        `name=value` pairs in byte order of the names, joined by `&`.
    """
    kept = {_raw(name): _raw(value) for name, value in fields.items() if name != "signature" and value != ""}
    return "&".join(f"{_encode(name)}={_encode(kept[name])}" for name in sorted(kept))


def sign_return(fields: Mapping[str, str], server_key: str) -> str:
    """Sign the fields of a browser return.

    Args:
        fields: As for `return_base_string`.
        server_key: The profile's server key.

    Returns:
        The lowercase hexadecimal HMAC-SHA256.
    """
    return hmac.new(server_key.encode(), return_base_string(fields).encode(), "sha256").hexdigest()


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _encode(raw: bytes) -> str:
    return "".join(_encode_byte(byte) for byte in raw)


def _encode_byte(byte: int) -> str:
    if byte in UNRESERVED:
        return chr(byte)
    return "+" if byte == ord(" ") else f"%{byte:02X}"
