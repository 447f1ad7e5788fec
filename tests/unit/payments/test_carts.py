from typing import Any

from payments.carts import cart_of, payment_in

PAYMENT, OTHER = "65f0c0ffee65f0c0ffee65f0", "65f0c0ffee65f0c0ffee65f1"

#: What this version, and every later one, makes of it.
GOLDEN = "nw-65f0c0ffee65f0c0ffee65f0-4f13737b677cfddb76c00f2155589caa"

GIVEN: dict[str, Any] = {"profile_id": 987654, "payment_id": PAYMENT, "operation_id": "r-1", "epoch": 0, "number": 1}


class TestCarts:
    """The cart of a send."""

    def test_golden(self) -> None:
        """It is the same in every version: what was sent yesterday is asked for by it tomorrow."""
        assert cart_of(**GIVEN) == GOLDEN

    def test_each_member_counts(self) -> None:
        """Another profile, payment, operation, epoch or number is another cart, none of them too long for PayTabs."""
        others = {"profile_id": 987655, "payment_id": OTHER, "operation_id": "r-1 ", "epoch": 1, "number": 2}
        carts = [cart_of(**GIVEN), *(cart_of(**GIVEN | {name: value}) for name, value in others.items())]
        carts += [cart_of(**GIVEN | {"operation_id": text}) for text in ("r-1\n0", "دفعة", "x" * 500, '","')]
        assert len(set(carts)) == len(carts)
        assert {len(cart) for cart in carts} == {60}

    def test_names_its_payment(self) -> None:
        """A derived cart tells whose it is; any other text tells nothing."""
        assert payment_in(cart_of(**GIVEN)) == PAYMENT
        for text in (None, "", "nw-1", f"nw-{PAYMENT}", f"nw-{'a' * 32}", cart_of(**GIVEN) + "0", "INV-2026-0001"):
            assert payment_in(text) is None
