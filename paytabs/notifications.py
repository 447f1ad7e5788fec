"""What a callback or IPN has to say at least: which transaction, and whose. Whatever else it lacks, a query has.

PayTabs sends genuine notices with an empty `cart_id` or without a type. A member that is missing or empty is absent;
one that cannot be read is absent too, and named, so that nobody applies the rest without asking.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from paytabs.errors import MalformedBody
from paytabs.transactions import Transaction, parse_transaction, read_json

#: Members that say which transaction it is and whose; without one of them nobody could ask.
_NAMES = ("tran_ref", "profile_id", "profileId")

#: The other members that are read, and the objects whose members are read one by one.
_MEMBERS = (
    *("previous_tran_ref", "tran_type", "original_tran_type", "cart_id", "cart_currency", "cart_amount"),
    *("tran_currency", "tran_total", "token", "redirect_url"),
)
_RESULT = ("response_status", "response_code", "response_message", "transaction_time")
_INFO = ("payment_method", "card_scheme", "payment_description")
_SECTIONS: Mapping[str, tuple[str, ...]] = {"payment_result": _RESULT, "payment_info": _INFO}


def parse_notification(raw: bytes) -> Transaction:
    """Read a callback or IPN body.

    Args:
        raw: The body whose signature has been verified.

    Returns:
        The transaction; what is missing, empty or not readable is None, and the last is named in `unreadable`.

    Raises:
        MalformedBody: It is not one JSON object ("body"), or names no transaction or no profile.
    """
    document = read_json(raw)
    if not isinstance(document, Mapping):
        raise MalformedBody("body", "one JSON object")
    named = {name: document[name] for name in _NAMES if name in document}
    if parse_transaction(named).profile_id is None:
        raise MalformedBody("profile_id", "a value")
    try:
        return parse_transaction(document)
    except MalformedBody:
        return _what_can_be_read(document, named)


def is_complete(notice: Transaction) -> bool:
    """Tell whether a notice says all that it can be applied by; a query tells the rest of another one."""
    needed = (notice.cart_id, notice.tran_type, notice.response_status)
    return None not in needed and not notice.unreadable


def _what_can_be_read(document: Mapping[str, Any], named: Mapping[str, Any]) -> Transaction:
    kept, unreadable = dict(named), []
    for part in _parts(document):
        try:
            parse_transaction({**named, **part})
        except MalformedBody as error:
            unreadable.append(error.field)
            continue
        for name, value in part.items():
            kept[name] = {**kept.get(name, {}), **value} if name in _SECTIONS else value
    return replace(parse_transaction(kept), unreadable=tuple(unreadable))


def _parts(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give each member that is read by itself."""
    yield from ({name: document[name]} for name in _MEMBERS if name in document)
    for section, names in _SECTIONS.items():
        value = document.get(section)
        if isinstance(value, Mapping):
            yield from ({section: {name: value[name]}} for name in names if name in value)
        elif value is not None:
            yield {section: value}
