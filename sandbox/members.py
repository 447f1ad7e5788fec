"""What PayTabs refuses in a request whatever it is for: broken text, addresses that are none, unknown countries.

Each refusal is code 2 and names the member. A country of three letters comes back as two.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from sandbox.countries import alpha_2
from sandbox.errors import GatewayRefusal

#: The longest address.
URL_LIMIT = 255

#: The longest text of a person's details, of `customer_ref` and of each `user_defined`.
TEXT_LIMIT = 255

#: The longest of some details.
LIMITS = {"phone": 40, "zip": 40, "ip": 45, "country": 3}

#: The members with a person's details.
PARTIES = ("customer_details", "shipping_details")

#: The literal that stands for "no return".
NO_RETURN = "none"

#: Ends of host names that are nowhere in public.
PRIVATE_ENDS = (".localhost", ".local", ".internal", ".lan", ".home")

#: What a text may not hold: control characters, and halves of a character.
_BROKEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

#: The same where a text may have several lines.
_BROKEN_LINES = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

#: One @, and a host name of at least two parts after it.
_EMAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\W_]([\w-]*\w)?(\.[^\W_]([\w-]*\w)?)+")


def check_text(value: object, path: str = "") -> None:
    """Check every text of a request, however deep, and every name.

    Raises:
        GatewayRefusal: Code 2 naming the member with a control character or half a character.
    """
    for where, text in _texts(value, path):
        pattern = _BROKEN_LINES if where.endswith("description") and ".line_items" in where else _BROKEN
        if pattern.search(text):
            raise _invalid(_BROKEN.sub("?", where)[:100])


def read_parties(members: dict[str, Any]) -> dict[str, Any]:
    """Check the details of people, and write their countries with two letters.

    Args:
        members: A request.

    Returns:
        The request.

    Raises:
        GatewayRefusal: Code 2 naming what is no good.
    """
    found = {name: _party(name, members[name]) for name in PARTIES if name in members}
    for name, value in (members.get("user_defined") or {}).items():
        _check_length(f"user_defined.{name}", value, TEXT_LIMIT)
    _check_length("customer_ref", members.get("customer_ref", ""), TEXT_LIMIT)
    return {**members, **found}


def check_urls(members: Mapping[str, Any], rules: str) -> None:
    """Check `callback` and `return`.

    A callback is public https without a port; a return may have a port or be local, and may be http.

    Args:
        members: A request.
        rules: `strict`, or `local` where a callback may be what a return may be.

    Raises:
        GatewayRefusal: Code 2 naming the address.
    """
    if "callback" in members:
        is_fit = _is_url(members["callback"], must_be_public=rules == "strict")
        if not is_fit:
            raise _invalid("callback URL")
    if members.get("return", NO_RETURN) != NO_RETURN and not _is_url(members["return"]):
        raise _invalid("return URL")


def _texts(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield f"{path}.{name}".lstrip("."), str(name)
            yield from _texts(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _texts(inner, f"{path}.{place}")


def _party(where: str, given: object) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise _invalid(where)
    details = {name: value for name, value in given.items() if value not in (None, "")}
    for name, value in details.items():
        _check_length(f"{where}.{name}", value, LIMITS.get(name, TEXT_LIMIT))
    if "email" in details and not _EMAIL.fullmatch(str(details["email"])):
        raise _invalid(f"{where}.email")
    if "country" in details:
        details["country"] = alpha_2(details["country"])
        if details["country"] is None:
            raise _invalid(f"{where}.country")
    return details


def _check_length(where: str, value: object, limit: int) -> None:
    is_text = isinstance(value, str | int) and not isinstance(value, bool)
    if not is_text or len(str(value)) > limit:
        raise _invalid(where)


def _is_url(value: object, *, must_be_public: bool = False) -> bool:
    if not isinstance(value, str) or len(value) > URL_LIMIT or re.search(r"\s", value):
        return False
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host:
        return False
    return not must_be_public or (parts.scheme == "https" and port is None and _is_public(host))


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host.strip(".") and not host.rstrip(".").endswith(PRIVATE_ENDS)


def _invalid(what: str) -> GatewayRefusal:
    return GatewayRefusal(2, f"Invalid {what}")
