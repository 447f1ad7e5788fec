"""How a run tells what it found: promises kept or broken, and the counts behind them."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.parts.circumstances import ROOT, circumstances
from bench.parts.figures import table
from workers.stack_binaries import find_binary

#: How many of the things that break a promise are named.
NAMED = 5


@dataclass(frozen=True)
class Line:
    """One promise, what was measured, and what broke it, if anything did."""

    promise: str
    measured: str
    broken: Sequence[str] = ()

    @property
    def kept(self) -> bool:
        """Whether nothing broke it."""
        return not self.broken


@dataclass
class Findings:
    """All of what a run found: promises, and tables of counts by their titles."""

    lines: list[Line] = field(default_factory=list)
    counts: dict[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def broken(self) -> list[str]:
        """Name every broken promise and some of what broke it."""
        return [f"{line.promise}: {'; '.join(line.broken[:NAMED])}" for line in self.lines if not line.kept]

    def text(self, title: str) -> str:
        """Write everything down for people."""
        rows = [(line.promise, line.measured, "yes" if line.kept else "NO") for line in self.lines]
        parts = ["# " + title, "", *circumstances([find_binary("mongod"), find_binary("valkey-server")]), ""]
        parts += [*table(("promise", "measured", "kept"), rows), ""]
        for name, counts in self.counts.items():
            cells = [(key, str(number)) for key, number in sorted(counts.items())]
            parts += [*table((name, "count"), cells or [("none", "0")]), ""]
        return "\n".join([*parts, *(f"BROKEN: {text}" for text in self.broken)])


def conclude(findings: Findings, title: str, result: Path) -> int:
    """Print and write what was found; give the exit code, 1 when a promise was broken."""
    text = findings.text(title)
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(text.rstrip("\n") + "\n")
    say(text)
    say(f"written to {result.relative_to(ROOT) if result.is_relative_to(ROOT) else result}")
    return 1 if findings.broken else 0


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
