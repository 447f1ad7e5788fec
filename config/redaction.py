"""What may never be written down, and how it is taken out of anything that is about to be logged.

Two ways are used together: a member whose *name* says that it is secret loses its value, and a *text* loses what looks
like a server key, an Authorization header, a password in an address, a card number or its check digits.
"""

import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import SecretBytes, SecretStr

#: What stands in place of what was taken out.
REDACTED = "[redacted]"

#: Names of members and headers whose value is never shown, in lower case with underscores.
SECRET_NAMES = frozenset(
    {
        "authorization",
        "proxy_authorization",
        "cookie",
        "set_cookie",
        "pan",
        "card",
        "card_number",
        "card_details",
        "token",
    }
)

#: Names that end so are secret too: `paytabs_serverk`, `new_password`, `payment_token`.
SECRET_ENDINGS = (
    "password",
    "passwd",
    "secret",
    "serverk",
    "server_key",
    "client_key",
    "api_key",
    "_token",
    "cvv",
    "cvc",
)

#: A structure nested deeper than this is cut off: a log line is not a database.
MAX_DEPTH = 12

#: How many digits a card number has.
SHORTEST_PAN, LONGEST_PAN = 13, 19

_SEPARATOR = r"(?:[ \u00a0+\-]|%20)"
#: Digits with single separators between them; a letter or digit before makes it a part of some other name.
_DIGIT_RUN = re.compile(rf"(?<![0-9A-Za-z])[2-6](?:{_SEPARATOR}?[0-9]){{{SHORTEST_PAN - 1},}}(?![0-9A-Za-z])")
#: Quotes, escaped or not, and the sign between a name and its value, in JSON, in a repr, in a form, in prose.
_ASSIGNS = r"""["'\\]*\s*(?:[:=]|\bis\b|,)?\s*["'\\]*"""
_SECRET_TEXTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[SC][A-Za-z0-9]{9}-[A-Za-z0-9]{10}-[A-Za-z0-9]{10}\b"), REDACTED),
    (re.compile(rf"(?i)(authorization{_ASSIGNS})[^\"'\\\r\n,}}\])]+"), rf"\1{REDACTED}"),
    (re.compile(rf"(?i)((?:cvv|cvc)2?{_ASSIGNS})[0-9]{{3,4}}(?![0-9])"), rf"\1{REDACTED}"),
    (
        re.compile(r"(?i)((?:password|passwd|secret|server_?key?)['\"\\]*\s*[:=]\s*[\"'\\]*)[^\s\"'\\,;&}\])]+"),
        rf"\1{REDACTED}",
    ),
    # A card's token, as a member of that name: elsewhere the word means other things.
    (re.compile(r"(?i)(\b(?:payment_)?token['\"\\]*\s*[:=]\s*[\"'\\]*)[A-Za-z0-9/+_-]{8,}"), rf"\1{REDACTED}"),
    # The same without its name, as a positional argument has it: PayTabs writes capitals, no id or digest of ours does.
    (re.compile(r"(?<![0-9A-Za-z])(?=[0-9]*[A-F])[0-9A-F]{28,}(?![0-9A-Za-z])"), REDACTED),
    (re.compile(r"(://)[^/\s@\"']+@"), rf"\1{REDACTED}@"),
)


def redact(value: Any, *, depth: int = 0) -> Any:  # noqa: ANN401 - a log line carries anything
    """Return ``value`` as plain data (mappings, lists, text, numbers) without anything secret in it."""
    plain: Any
    match value:
        case None | bool() | float():
            plain = value
        case int():
            plain = REDACTED if _holds_card_number(str(value)) else value
        case str():
            plain = redact_text(value)
        case SecretStr() | SecretBytes():
            plain = REDACTED
        case Mapping() | list() | tuple() | set() | frozenset() if depth >= MAX_DEPTH:
            plain = "[too deep]"
        case Mapping():
            plain = {redact_text(str(name)): redact_member(name, value[name], depth=depth) for name in value}
        case list() | tuple() | set() | frozenset():
            plain = _redact_items(value, depth)
        case _:
            plain = redact_text(_as_text(value))
    return plain


def redact_member(name: object, value: Any, *, depth: int = 0) -> Any:  # noqa: ANN401 - as redact
    """Return ``value`` as redact does, or nothing of it when ``name`` says that it is secret."""
    return REDACTED if value is not None and is_secret_name(str(name)) else redact(value, depth=depth + 1)


def is_secret_name(name: str) -> bool:
    """Say whether a member or header called ``name`` holds a secret."""
    plain = name.lower().replace("-", "_")
    return plain in SECRET_NAMES or plain.endswith(SECRET_ENDINGS)


def redact_text(text: str) -> str:
    """Return ``text`` without what looks like a key, a header, a password, a card number or its check digits."""
    for pattern, replacement in _SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return _DIGIT_RUN.sub(lambda run: REDACTED if _holds_card_number(run.group()) else run.group(), text)


def _redact_items(items: Any, depth: int) -> list[Any]:  # noqa: ANN401 - any collection
    match items:
        case (str() as name, value) if isinstance(items, tuple):  # a header or a form field, as a pair
            return [redact_text(name), redact_member(name, value, depth=depth)]
    return [redact(item, depth=depth + 1) for item in items]


def _as_text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal | PurePath | UUID | BaseException) else repr(value)


def _holds_card_number(run: str) -> bool:
    """Say whether neighbouring groups of digits in ``run`` make a card number."""
    groups = re.split(_SEPARATOR, run)
    for start in range(len(groups)):
        digits = ""
        for group in groups[start:]:
            digits += group
            if SHORTEST_PAN <= len(digits) <= LONGEST_PAN and digits[0] in "23456" and _passes_luhn(digits):
                return True
    return False


def _passes_luhn(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0
