"""What is sent of a person: only what PayTabs takes; the rest is left out, for the hosted page asks for it.

A page is never refused over a detail that it asks for itself. The contract states no lengths here, so these are ours:
longer than what people have, shorter than what a form refuses.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType

from email_validator import EmailNotValidError, validate_email

from paytabs.countries import alpha_2
from paytabs.texts import cleaned

#: Characters that are left of each text.
NAME_LENGTH = 100
STREET_LENGTH = 128
PLACE_LENGTH = 64

#: Digits of a telephone number: E.164 has at most 15, and 00 may stand in front.
_PHONE = re.compile(r"\+?[0-9]{5,17}")

#: What people write between the digits of one.
_BETWEEN = re.compile(r"[\s().\-/\u200e\u200f\u202a-\u202e\u2010-\u2015]+")

_ZIP = re.compile(r"[A-Za-z0-9][A-Za-z0-9 -]{0,15}")


def party(details: Mapping[str, object]) -> dict[str, str]:
    """Return the members of a person that can be sent.

    Args:
        details: Members under PayTabs' names, as somebody typed them; unknown ones are left out.
    """
    read = {name: reader(_typed(details.get(name))) for name, reader in _READERS.items()}
    return {name: value for name, value in read.items() if value}


def email_address(text: str) -> str | None:
    """Return an e-mail address in ASCII, or None for what is none; nobody is asked whether it exists."""
    try:
        return validate_email(text.strip(), check_deliverability=False).ascii_email
    except EmailNotValidError:
        return None


def phone_number(text: str) -> str | None:
    """Return a telephone number in plain digits, perhaps after a plus, or None for what is none."""
    plain = _BETWEEN.sub("", _plain_digits(text))
    return plain if _PHONE.fullmatch(plain) else None


def _zip_code(text: str) -> str | None:
    plain = _plain_digits(text).strip()
    return plain if _ZIP.fullmatch(plain) else None


def _ip_address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return None


def _text(longest: int) -> Callable[[str], str | None]:
    return lambda text: cleaned(text, longest) or None


_READERS: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {
        "name": _text(NAME_LENGTH),
        "email": email_address,
        "phone": phone_number,
        "street1": _text(STREET_LENGTH),
        "city": _text(PLACE_LENGTH),
        "state": _text(PLACE_LENGTH),
        "country": alpha_2,
        "zip": _zip_code,
        "ip": _ip_address,
    }
)


def _typed(value: object) -> str:
    """Return what somebody typed; a number is its digits, anything else nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _plain_digits(text: str) -> str:
    """Return a text with the digits of every script as 0 to 9."""
    return "".join(str(unicodedata.decimal(one, one)) for one in text)
