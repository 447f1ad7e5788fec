import re
from dataclasses import fields
from pathlib import Path

import pytest

from payments import facts
from payments.facts import FACTS, Fact, Milestone
from payments.milestones import MILESTONES

#: Every name that a member of a fact may have: ids, amounts, codes, references, our own words. A new name is added here
#: by somebody who has made sure that nothing about people can stand in it.
ALLOWED = {
    "action", "amount", "by", "card_id", "cart_id", "client_id", "code", "contract_id", "currency", "decision",
    "delivery_id", "detail", "evidence", "invoice_id", "kept", "known", "message", "note", "occurred_at",
    "operation_id", "original_tran_type", "ours", "params", "payment_method", "previous_tran_ref", "profile_id",
    "reason", "state", "status", "subject", "trace", "tran_ref", "tran_type", "transaction", "why",
}  # fmt: skip

#: Names under which PayTabs and the CMS keep personal data.
PERSONAL = re.compile(
    r"customer|shipping|name|e?mail|phone|street|city|zip|address|\bip\b|card(?!_id)|pan|expiry|description|user_defined|token"
)

OWN = {name: kind for name, kind in FACTS.items() if not issubclass(kind, Milestone)}


class TestDocstrings:
    """`payments/facts.py` says of every fact who writes it and what it carries."""

    @pytest.mark.parametrize("kind", [*OWN.values(), Milestone], ids=[*OWN, "Milestone"])
    def test_told(self, kind: type[Fact]) -> None:
        """Who writes it, and each of its members by name."""
        told = kind.__doc__ or ""
        assert re.search(r"Written by (`[a-z_]+`|whoever heard it: `[a-z_]+`)", told)
        assert "Carries" in told
        as_before = {"PaymentAdopted": {"amount", "currency", "profile_id", "client_id", "contract_id"}}
        for field in fields(kind):
            assert f"`{field.name}`" in told or field.name in as_before.get(kind.__name__, set()), field.name

    @pytest.mark.parametrize("state", MILESTONES, ids=str)
    def test_milestone(self, state: str) -> None:
        """A milestone names its state, and refers to what all of them have in common."""
        told = MILESTONES[state].__doc__ or ""  # type: ignore[index] # a state is a text
        assert f"`{state}`" in told
        assert "as every `Milestone`" in told

    def test_writers(self) -> None:
        """Who is said to write a fact is a module of this package that names it."""
        folder = Path(facts.__file__).parent
        for name, kind in OWN.items():
            for writer in re.findall(r"`([a-z_]+)`", (kind.__doc__ or "").partition("Carries")[0]):
                if writer in {field.name for field in fields(kind)} | {"transR"}:
                    continue
                code = (folder / f"{writer}.py").read_text()
                assert re.search(rf"\b{name}\b|observations\(|observe\(", code), (name, writer)


class TestPersonalData:
    """No fact has a place for data about people."""

    @pytest.mark.parametrize("kind", FACTS.values(), ids=FACTS)
    def test_members(self, kind: type[Fact]) -> None:
        """Every member's name is one that was looked at, and none is one under which people's data is kept."""
        names = {field.name for field in fields(kind)}
        assert names <= ALLOWED
        assert not [name for name in names if PERSONAL.search(name)]
