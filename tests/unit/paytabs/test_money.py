from decimal import ROUND_UP, Decimal, localcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paytabs.errors import InvalidRequest
from paytabs.money import format_amount, minor_digits, parse_amount

CURRENCIES = st.sampled_from([("JPY", 0), ("SAR", 2), ("KWD", 3)])
MINOR_UNITS = st.integers(min_value=1, max_value=10**14)


class TestMinorDigits:
    """How many decimals a currency has."""

    @pytest.mark.parametrize("currency", ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
    def test_three(self, currency: str) -> None:
        """The dinars and the rial of Oman have three."""
        assert minor_digits(currency) == 3

    @pytest.mark.parametrize("currency", ["AED", "SAR", "EGP", "QAR", "MAD", "USD", "EUR", "GBP", "TRY", "AZN", "HKD"])
    def test_two(self, currency: str) -> None:
        """Most currencies have two."""
        assert minor_digits(currency) == 2

    def test_none(self) -> None:
        """The yen has none."""
        assert minor_digits("JPY") == 0

    @pytest.mark.parametrize("currency", ["", "XXX", "sar", "SAR ", None, 682])
    def test_unknown(self, currency: object) -> None:
        """An unknown currency is refused by name instead of being given two decimals."""
        with pytest.raises(InvalidRequest) as caught:
            minor_digits(currency)  # type: ignore[arg-type]
        assert caught.value.field == "currency"


class TestParseAmount:
    """What counts as an amount that may be moved."""

    @settings(deadline=None)
    @given(CURRENCIES, MINOR_UNITS)
    def test_round_trip(self, currency: tuple[str, int], units: int) -> None:
        """Every whole number of minor units survives writing and reading, as text and as Decimal."""
        code, digits = currency
        amount = Decimal(units).scaleb(-digits)
        assert parse_amount(amount, code) == amount
        assert parse_amount(format_amount(amount, code), code) == amount

    @settings(deadline=None)
    @given(CURRENCIES, MINOR_UNITS)
    def test_has_the_digits(self, currency: tuple[str, int], units: int) -> None:
        """What is written has exactly the currency's decimals, never an exponent."""
        code, digits = currency
        text = format_amount(parse_amount(Decimal(units).scaleb(-digits), code), code)
        assert len(text.partition(".")[2]) == digits
        assert "E" not in text

    @settings(deadline=None)
    @given(CURRENCIES, MINOR_UNITS, st.integers(min_value=1, max_value=9), st.integers(min_value=1, max_value=3))
    def test_too_many_decimals(self, currency: tuple[str, int], units: int, last: int, further: int) -> None:
        """An amount finer than the minor unit is refused, never rounded."""
        code, digits = currency
        amount = Decimal(units).scaleb(-digits) + Decimal(last).scaleb(-digits - further)
        with pytest.raises(InvalidRequest) as caught:
            parse_amount(str(amount), code, field="cart_amount")
        assert caught.value.field == "cart_amount"
        assert str(digits) in caught.value.expected

    @settings(deadline=None)
    @given(st.floats())
    def test_floats(self, value: float) -> None:
        """No float is an amount, not even a whole one."""
        with pytest.raises(InvalidRequest) as caught:
            parse_amount(value, "SAR")
        assert caught.value.field == "amount"

    @pytest.mark.parametrize(
        "value",
        [
            True,
            None,
            b"1",
            "",
            " 1",
            "1 ",
            "1,5",
            "1,000.00",
            "1e2",
            "0x1",
            "NaN",
            "Infinity",
            ".5",
            "5.",
            "١٢",
            "1_0",
            "0",
            "0.00",
            "-1",
            "-0",
            0,
            -5,
            Decimal("NaN"),
            Decimal("sNaN"),
            Decimal("Infinity"),
            Decimal("-0.01"),
            Decimal("1E+30"),
            Decimal("1E+999999"),
            Decimal("1E-999999"),
            "9" * 40,
        ],
    )
    def test_refused(self, value: object) -> None:
        """Nothing but a plain, finite, positive decimal is an amount."""
        with pytest.raises(InvalidRequest):
            parse_amount(value, "SAR")

    @pytest.mark.parametrize(
        ("value", "currency", "written"),
        [
            (115, "SAR", "115.00"),
            ("115.5", "SAR", "115.50"),
            ("1.500", "KWD", "1.500"),
            (Decimal("1E+2"), "SAR", "100.00"),
            ("115.000", "SAR", "115.00"),
            ("100.0", "JPY", "100"),
        ],
    )
    def test_accepted(self, value: object, currency: str, written: str) -> None:
        """Trailing zeros carry no money, so they neither hurt nor stay."""
        assert format_amount(parse_amount(value, currency), currency) == written

    def test_ignores_the_context(self) -> None:
        """Nobody's decimal context, however coarse, rounds an amount."""
        with localcontext(prec=2, rounding=ROUND_UP):
            assert str(parse_amount("12345.67", "SAR")) == "12345.67"


class TestFormatAmount:
    """How an amount is written."""

    def test_zero(self) -> None:
        """A sum that is still zero can be shown."""
        assert format_amount(Decimal(0), "KWD") == "0.000"

    def test_never_rounds(self) -> None:
        """What does not fit the currency is refused."""
        with pytest.raises(InvalidRequest):
            format_amount(Decimal("0.005"), "SAR")
