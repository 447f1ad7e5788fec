import json
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from payments.facts import FACTS

#: Every fact of the version before and the members without which it cannot read one. Made once, from that version.
BEFORE: dict[str, list[str]] = json.loads((Path(__file__).parent / "golden" / "facts_before.json").read_text())

#: Facts that workers of that version cannot read, and shall not: they then leave the payment alone, and charge nothing.
CLOSED_TO_THEM = {"PaymentSettledOutside"}


class TestReadersBefore:
    """While a deployment lasts, workers of the version before read the streams that this one writes."""

    def test_types(self) -> None:
        """They know every type of fact, but for those that are to keep them away from a payment."""
        assert FACTS.keys() - BEFORE.keys() == CLOSED_TO_THEM

    @pytest.mark.parametrize("name", sorted(BEFORE))
    def test_members(self, name: str) -> None:
        """What they cannot do without is always written."""
        optional = {one.name for one in fields(FACTS[name]) if one.default is None}
        always = {one.name for one in fields(FACTS[name])} - optional
        assert set(BEFORE[name]) <= always
        assert all(one.default is not MISSING for one in fields(FACTS[name]) if one.name not in always)
