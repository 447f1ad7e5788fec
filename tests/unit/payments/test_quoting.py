from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.quoting import MAX_QUOTE, quoted

REQUEST: dict[str, Any] = {
    "cart_id": "nw-1",
    "cart_currency": "SAR",
    "token": "2C4656BF67A3E43DC6BE93FE00000001",
    "customer_details": {
        "name": "Huda Payer", "email": "huda@example.com", "phone": "+966501234567", "street1": "12 King Fahd Road",
        "city": "Riyadh", "country": "SA",
    },
    "shipping_details": {"name": "Omar Engineer", "city": "Jeddah"},
}  # fmt: skip


class TestQuoted:
    """PayTabs' sentence is kept, and nothing about people in it."""

    @pytest.mark.parametrize(
        "sentence",
        [
            "Currency not available",
            "Invalid cart_amount: 115.00 SAR for profile 987654",
            "Transaction TST2621800000102 not found (trace PMNT0402.6A745EC2.000668D2)",
            "هذه العملة غير متاحة",
        ],
    )
    def test_kept(self, sentence: str) -> None:
        """What names no person stays as it was said, references and amounts included."""
        assert quoted(sentence, REQUEST) == sentence

    @pytest.mark.parametrize(
        "private",
        [
            "huda@example.com", "HUDA@EXAMPLE.COM", "somebody@else.example", "+966501234567", "050 123 4567",
            "4111 1111 1111 1111", "4111111111111111", "4111-1111-1111-1111", "Huda Payer", "payer", "Omar", "Riyadh",
            "12 King Fahd Road", "2C4656BF67A3E43DC6BE93FE00000001", "2c4656bf67a3e43dc6be93fe00000099",
        ],
    )  # fmt: skip
    def test_hidden(self, private: str) -> None:
        """What the request said of a person, and whatever looks like an address, a number or a token, is taken out."""
        told = quoted(f"Invalid value <{private}>, code 2", REQUEST)
        assert told is not None
        assert private.lower() not in told.lower()
        assert told.startswith("Invalid value <")
        assert told.endswith(">, code 2")

    @pytest.mark.parametrize("nothing", [None, "", "\x00", "  \n"])
    def test_nothing(self, nothing: str | None) -> None:
        """Nothing said is nothing kept."""
        assert quoted(nothing, REQUEST) is None

    @given(st.text(max_size=600))
    def test_any(self, sentence: str) -> None:
        """Whatever was said is short and can be stored."""
        told = quoted(sentence, REQUEST)
        assert told is None or (0 < len(told) <= MAX_QUOTE and "\x00" not in told and told.encode())
