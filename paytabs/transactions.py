"""One transaction in PayTabs' own words, read strictly from an answer, an entry of a list, or a notification.

Unknown and missing members are normal and never an error; a member of the wrong shape is, and is named: so is a
reference that is none, and a text that no database holds. Amounts become Decimal, times aware UTC, and what is empty
becomes None.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from paytabs.errors import MalformedBody, response_code
from paytabs.texts import MAX_REFERENCE, MAX_TEXT, MAX_TOKEN, MAX_WORD, cleaned, is_fit, is_link, is_reference

#: Plain decimal notation as PayTabs writes it, bounded so that no answer can make arithmetic expensive.
_AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")


@dataclass(frozen=True)
class Transaction:
    """One transaction as PayTabs described it, in its own words; what was absent or empty is None."""

    tran_ref: str
    previous_tran_ref: str | None = None
    tran_type: str | None = None
    original_tran_type: str | None = None
    cart_id: str | None = None
    cart_currency: str | None = None
    cart_amount: Decimal | None = None
    tran_currency: str | None = None
    tran_total: Decimal | None = None
    response_status: str | None = None
    response_code: str | None = None
    transaction_time: datetime | None = None
    profile_id: int | None = None
    token: str | None = field(default=None, repr=False)
    redirect_url: str | None = None
    payment_method: str | None = None
    card_scheme: str | None = None
    payment_description: str | None = None
    card_expires: str | None = None
    #: Members of a notification that were there and could not be read.
    unreadable: tuple[str, ...] = ()

    @property
    def is_page(self) -> bool:
        """Tell whether this is a page that waits for its payer: nothing has been charged."""
        return self.redirect_url is not None and self.response_status is None

    @property
    def bank_check(self) -> bool:
        """Tell whether the bank has to be asked, because money may have moved in spite of the refusal."""
        return response_code(self.response_status, self.response_code).is_doubtful


def parse_transaction(document: Mapping[str, Any]) -> Transaction:
    """Read one transaction from an answer, an entry of a query by cart, or a notification.

    Args:
        document: Parsed with `read_json`, so that numbers are Decimal. Unknown members are normal, so are missing ones.

    Raises:
        MalformedBody: Naming the member that is missing or wrong.
    """
    result = _section(document, "payment_result")
    info = _section(document, "payment_info")
    tran_ref = _reference(document, "tran_ref")
    if tran_ref is None:
        raise MalformedBody("tran_ref", "a transaction reference")
    return Transaction(
        tran_ref=tran_ref,
        previous_tran_ref=_reference(document, "previous_tran_ref"),
        tran_type=_lower(_word(document, "tran_type")),
        original_tran_type=_lower(_word(document, "original_tran_type")),
        cart_id=_text(document, "cart_id"),
        cart_currency=_word(document, "cart_currency"),
        cart_amount=_amount(document, "cart_amount"),
        tran_currency=_word(document, "tran_currency"),
        tran_total=_amount(document, "tran_total"),
        response_status=_upper(_word(result, "response_status", "payment_result.")),
        response_code=_number_or_word(result, "response_code", "payment_result."),
        transaction_time=_time(result.get("transaction_time")),
        profile_id=_profile(document),
        token=_reference(document, "token", MAX_TOKEN),
        redirect_url=_link(document, needed=not result),
        payment_method=_note(info, "payment_method", "payment_info."),
        card_scheme=_note(info, "card_scheme", "payment_info."),
        payment_description=_note(info, "payment_description", "payment_info."),
        card_expires=_month(info.get("expiryMonth"), info.get("expiryYear")),
    )


def read_json(raw: bytes) -> object:
    """Read JSON strictly: UTF-8, numbers with a point as Decimal, no NaN, no repeated members.

    Raises:
        MalformedBody: With the field "body".
    """
    try:
        return json.loads(
            raw.decode("utf-8"), parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_object
        )
    except (ValueError, RecursionError, InvalidOperation):
        raise MalformedBody("body", "JSON in UTF-8") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("repeated member")
    return members


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise MalformedBody(name, "an object")
    return value


def _text(document: Mapping[str, Any], name: str, prefix: str = "") -> str | None:
    value = _string(document, name, prefix)
    if value is not None and not is_fit(value):
        raise MalformedBody(prefix + name, f"at most {MAX_TEXT} characters without control characters")
    return value


def _word(document: Mapping[str, Any], name: str, prefix: str = "") -> str | None:
    value = _string(document, name, prefix)
    if value is not None and not is_fit(value, MAX_WORD):
        raise MalformedBody(prefix + name, f"at most {MAX_WORD} characters without control characters")
    return value


def _reference(document: Mapping[str, Any], name: str, longest: int = MAX_REFERENCE) -> str | None:
    value = _string(document, name)
    if value is not None and not is_reference(value, longest):
        raise MalformedBody(name, f"at most {longest} printable characters without spaces")
    return value


def _note(document: Mapping[str, Any], name: str, prefix: str) -> str | None:
    """Read what only tells people something: cut and cleaned."""
    value = _string(document, name, prefix)
    return cleaned(value, MAX_TEXT) or None if value is not None else None


def _link(document: Mapping[str, Any], *, needed: bool) -> str | None:
    """Read a page's address; beside a result it is not needed, and one that cannot be used is left out."""
    value = _string(document, "redirect_url")
    if value is None or is_link(value):
        return value
    if needed:
        raise MalformedBody("redirect_url", "an http or https address that browsers take")
    return None


def _string(document: Mapping[str, Any], name: str, prefix: str = "") -> str | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedBody(prefix + name, "a string")
    return value if value.strip() else None


def _number_or_word(document: Mapping[str, Any], name: str, prefix: str = "") -> str | None:
    value = document.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
        return _word({name: value}, name, prefix)
    return _word(document, name, prefix)


def _amount(document: Mapping[str, Any], name: str) -> Decimal | None:
    value = document.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        raise MalformedBody(name, "a decimal amount")
    return Decimal(value)


def _profile(document: Mapping[str, Any]) -> int | None:
    # Notifications say profile_id, direct answers profileId.
    name = "profile_id" if "profile_id" in document else "profileId"
    text = _number_or_word(document, name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise MalformedBody(name, "a profile number")
    return int(text)


def _time(value: object) -> datetime | None:
    # The time decides nothing that moves money, so an unreadable one is treated as absent.
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _month(month: object, year: object) -> str | None:
    # A card's end decides only whether it is worth charging, so an unreadable one is treated as absent.
    found = re.fullmatch(r"(0?[1-9]|1[0-2])/((?:20)?[0-9]{2})", f"{month}/{year}")
    return f"20{found[2][-2:]}-{int(found[1]):02d}" if found else None


def _lower(text: str | None) -> str | None:
    return text.strip().lower() if text else None


def _upper(text: str | None) -> str | None:
    return text.strip().upper() if text else None
