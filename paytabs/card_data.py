"""No card number ever enters a request: whoever offers one is told why, and what to use instead.

A card number that reaches this package has been through a broker, a result backend and logs. Each of them would then
fall under PCI DSS, and so would everybody who can read them.
"""

import re
from collections.abc import Mapping

from paytabs.errors import InvalidRequest

#: Members that carry raw card data, at PayTabs or anywhere else; compared without case, dashes and underscores.
_CARD_MEMBERS = frozenset(
    (
        "carddetails",
        "card",
        "cardnumber",
        "pan",
        "cvv",
        "cvv2",
        "cvc",
        "cvc2",
        "securitycode",
        "expirymonth",
        "expiryyear",
    )
)

#: Why, and what to do instead.
_NO_CARD_DATA = (
    "no card data: a card number in a broker is a PCI breach; "
    "use a hosted page, the managed form's payment_token or a stored token"
)

#: 13 to 19 digits, perhaps in groups: the form of a card number, never that of a token.
_CARD_NUMBER = re.compile(r"\s*[0-9](?:[ -]?[0-9]){12,18}\s*")

#: Deeper nesting is not a request of ours.
_MAX_DEPTH = 8


def refuse_card_data(members: object) -> None:
    """Refuse anything that holds a member for raw card data, at whatever depth.

    Args:
        members: What somebody wants to send; anything but mappings and lists holds no members.

    Raises:
        InvalidRequest: Naming the member, never its value, and saying why.
    """
    path = _find_card_member(members, 0)
    if path is not None:
        raise InvalidRequest(path, _NO_CARD_DATA)


def refuse_card_number(token: str, *, field: str) -> str:
    """Refuse a card number in the place of a token.

    Returns:
        The token.

    Raises:
        InvalidRequest: Naming the member and saying why.
    """
    if _CARD_NUMBER.fullmatch(token):
        raise InvalidRequest(field, _NO_CARD_DATA)
    return token


def _find_card_member(value: object, depth: int) -> str | None:
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, Mapping):
        named = [(str(name), inner) for name, inner in value.items()]
    elif isinstance(value, (list, tuple)):
        named = [(str(position), inner) for position, inner in enumerate(value)]
    else:
        return None
    for name, inner in named:
        if re.sub(r"[^a-z0-9]", "", name.lower()) in _CARD_MEMBERS:
            return name
        found = _find_card_member(inner, depth + 1)
        if found is not None:
            return f"{name}.{found}"
    return None
