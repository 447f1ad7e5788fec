"""What a call names by itself, checked before it is sent: a call about nothing is our own mistake."""

from paytabs.card_data import refuse_card_number
from paytabs.errors import InvalidRequest


def reference(value: str, field: str) -> str:
    """Give a reference that is one.

    Raises:
        InvalidRequest: When it is empty or no text.
    """
    if not isinstance(value, str) or not value:
        raise InvalidRequest(field, "a reference")
    return value


def token_reference(value: str) -> str:
    """Give a token that is one.

    Raises:
        InvalidRequest: When it is empty, no text, or a card number.
    """
    return refuse_card_number(reference(value, "token"), field="token")


def invoice_number(value: int) -> int:
    """Give an invoice's number that is one.

    Raises:
        InvalidRequest: When it is no number greater than zero.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise InvalidRequest("invoice_id", "an invoice's number")
    return value
