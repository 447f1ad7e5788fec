"""What an amount is at the gateway: a number in major units going in, a string of fixed decimals coming out."""

import re
from decimal import Decimal, InvalidOperation

from sandbox.errors import GatewayRefusal

#: Currencies whose minor unit has three digits.
THREE_DIGITS = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))

#: Currencies without a minor unit.
NO_DIGITS = frozenset(("JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF"))

#: Currencies of two digits that the sandbox accepts: those of PayTabs' regions and the usual foreign ones.
TWO_DIGITS = frozenset(
    re.findall(
        "[A-Z]{3}",
        """
        AED AMD AUD AZN BDT BGN BRL CAD CHF CNY CZK DKK DZD EGP EUR GBP GEL GHS HKD HUF IDR ILS INR KES KZT LBP LKR
        MAD MXN MYR NGN NOK NPR NZD PHP PKR PLN QAR RON RUB SAR SDG SEK SGD SYP THB TRY TWD UAH USD YER ZAR
        """,
    )
)

#: The most digits that fit an amount before the decimal point; more is surely a mistake.
MOST_INTEGER_DIGITS = 12


def minor_digits(currency: str) -> int:
    """Tell how many decimals a currency has.

    Args:
        currency: ISO 4217 code, upper case.

    Returns:
        0, 2 or 3.

    Raises:
        GatewayRefusal: Code 206 when the currency is unknown.
    """
    if currency in TWO_DIGITS:
        return 2
    if currency in THREE_DIGITS:
        return 3
    if currency in NO_DIGITS:
        return 0
    raise GatewayRefusal(206, "Invalid currency code", 400)


def read_amount(value: object, currency: str) -> Decimal:
    """Read the amount of a request.

    Args:
        value: A JSON number (parsed as int or Decimal) or a numeric string.
        currency: ISO 4217 code.

    Returns:
        The amount, above zero, with no more decimals than the currency has.

    Raises:
        GatewayRefusal: Code 2 when it is no such amount, 206 when the currency is unknown.
    """
    digits = minor_digits(currency)
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise GatewayRefusal(2, "Invalid cart_amount")
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise GatewayRefusal(2, "Invalid cart_amount") from None
    if not amount.is_finite() or amount <= 0 or amount.adjusted() >= MOST_INTEGER_DIGITS:
        raise GatewayRefusal(2, "Invalid cart_amount")
    rounded = amount.quantize(Decimal(1).scaleb(-digits))
    if rounded != amount:
        raise GatewayRefusal(2, f"Invalid cart_amount: {currency} has {digits} decimals")
    return rounded


def write_amount(amount: Decimal, currency: str, rule: str = "currency") -> str:
    """Write an amount as answers and notifications carry it.

    Args:
        amount: The amount; zero is written as a bare `0`, as the gateway does before anything has happened.
        currency: ISO 4217 code.
        rule: `currency` for the currency's decimals, `two` for two whatever the currency (the switch `decimals`).

    Returns:
        The decimal literal.
    """
    if amount == 0:
        return "0"
    digits = 2 if rule == "two" else minor_digits(currency)
    return f"{amount:.{digits}f}"
