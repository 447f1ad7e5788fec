"""What an audit says: a finding names the place at which the trail is broken, and says in words how."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

#: How many findings are kept; the others are counted. Whoever breaks that much is known by the first of them.
MOST_FINDINGS = 1_000


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One broken place; what it is about is given as far as it is known."""

    place: str
    words: str
    payment_id: str | None = None
    version: int | None = None
    seal: int | None = None
    entry: int | None = None

    def __str__(self) -> str:
        """Write it as one sentence."""
        return f"{self.place}: {self.words}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, absent ones left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def of_event(payment_id: str, version: int, words: str, *, seal: int | None = None) -> Finding:
    """Return a finding about an event."""
    place = f"payment {payment_id}, version {version}"
    return Finding(place=place, words=words, payment_id=payment_id, version=version, seal=seal)


def of_seal(number: int, words: str) -> Finding:
    """Return a finding about a seal."""
    return Finding(place=f"seal {number}", words=words, seal=number)


def of_span(number: int, words: str) -> Finding:
    """Return a finding about the events that a seal covers, or about a seal that is not there."""
    place = f"between seal {number - 1} and seal {number}" if number > 1 else "before seal 1"
    return Finding(place=place, words=words, seal=number)


def of_entry(number: int, words: str) -> Finding:
    """Return a finding about what an operator did."""
    return Finding(place=f"audit entry {number}", words=words, entry=number)


@dataclass
class Report:
    """All that an audit found.

    Attributes:
        findings: The broken places, in the order in which they were found.
        notes: What is as it should be and worth knowing all the same.
        checked: How much was looked at, by name.
        sealed_until: Up to when events are sealed; None when nothing is.
        more: How many findings were not kept.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    sealed_until: str | None = None
    more: int = 0

    @property
    def whole(self) -> bool:
        """Return whether nothing is broken."""
        return not self.findings

    def add(self, finding: Finding) -> None:
        """Keep a finding, or count it."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)
        else:
            self.more += 1

    def count(self, counts: Mapping[str, int]) -> None:
        """Note how much was looked at."""
        self.checked.update(counts)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "whole": self.whole,
            "broken": [finding.to_json() for finding in self.findings],
            "more": self.more,
            "notes": self.notes,
            "checked": self.checked,
            "sealed_until": self.sealed_until,
        }
