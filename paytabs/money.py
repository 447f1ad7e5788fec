"""Amounts: exact decimals in major units, never rounded, never floats.

An amount that needs more digits than its currency has is refused, not rounded; trailing zeros carry no money and are
let go.
"""

import re
from decimal import Context, Decimal, Inexact, InvalidOperation

from paytabs.errors import InvalidRequest

_DIGITS_0 = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_DIGITS_2 = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF "
    "CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR "
    "MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD "
    "SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR "
    "ZMW ZWG"
)
_DIGITS_3 = "BHD IQD JOD KWD LYD OMR TND"

#: Minor digits by ISO 4217 code. PayTabs publishes no table, and its practice for IQD (0 or 3) is unclear.
MINOR_DIGITS = (
    dict.fromkeys(_DIGITS_0.split(), 0) | dict.fromkeys(_DIGITS_2.split(), 2) | dict.fromkeys(_DIGITS_3.split(), 3)
)

#: Traps whatever would change a value; 18 digits are more than any payment has.
_EXACT = Context(prec=18, traps=[Inexact, InvalidOperation])

#: Plain decimal notation only: no exponent, no separators, no other alphabet's digits.
_PLAIN = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")


def minor_digits(currency: str, *, field: str = "currency") -> int:
    """Give the number of decimals of a currency.

    Args:
        currency: ISO 4217 code in capitals.
        field: The name an error puts to the currency.

    Raises:
        InvalidRequest: When the code is unknown.
    """
    digits = MINOR_DIGITS.get(currency) if isinstance(currency, str) else None
    if digits is None:
        raise InvalidRequest(field, "an ISO 4217 currency code in capitals, such as SAR")
    return digits


def parse_amount(value: object, currency: str, *, field: str = "amount", allow_zero: bool = False) -> Decimal:
    """Read an amount to be moved, or one of the amounts it is made up of.

    Args:
        value: A decimal string, an integer or a Decimal, in major units.
        currency: ISO 4217 code in capitals.
        field: The name an error puts to the amount.
        allow_zero: Whether nothing is an amount, as it is for a discount; nothing can never be moved.

    Returns:
        The amount with exactly the currency's decimals.

    Raises:
        InvalidRequest: For a float or bool, NaN or infinity, an amount of zero or less, an amount with more decimals
            than the currency has, or an unknown currency.
    """
    digits = minor_digits(currency)
    amount = _exact(read_decimal(value, field=field), digits, currency, field)
    if amount < 0 or (amount == 0 and not allow_zero):
        raise InvalidRequest(field, "an amount of zero or more" if allow_zero else "an amount greater than zero")
    return amount


def format_amount(amount: Decimal, currency: str) -> str:
    """Write an amount with exactly its currency's decimals.

    Raises:
        InvalidRequest: When the amount cannot be written so without rounding, or the currency is unknown.
    """
    return f"{_exact(amount, minor_digits(currency), currency, 'amount'):f}"


def read_decimal(value: object, *, field: str = "amount") -> Decimal:
    """Read a number exactly, whatever it counts.

    Args:
        value: A decimal string in plain notation, an integer or a Decimal.
        field: The name an error puts to the number.

    Raises:
        InvalidRequest: For a float, a bool and any other text; a Decimal is taken as it is.
    """
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return Decimal(value)
    raise InvalidRequest(field, 'a decimal string such as "115.00" (floats are refused: they cannot hold most amounts)')


def _exact(amount: Decimal, digits: int, currency: str, field: str) -> Decimal:
    try:
        if amount.is_finite():
            return _EXACT.quantize(amount, Decimal(1).scaleb(-digits))
    except (Inexact, InvalidOperation):
        pass
    raise InvalidRequest(field, f"a finite amount with at most {digits} decimals ({currency})")
