"""How the full forms report: one line per promise, what was measured, and whether it was kept."""

import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from bench.parts.circumstances import ROOT, circumstances
from bench.parts.figures import table

S = TypeVar("S")


@dataclass(frozen=True)
class Line:
    """One promise, what was measured, and whether it was kept."""

    promise: str
    measured: str
    kept: bool


def tried(scene: Callable[[S], Line], stage: S) -> Line:
    """Try one promise; one that cannot even be tried to its end is broken."""
    try:
        return scene(stage)
    except AssertionError as error:
        told = scene.func.__doc__ if isinstance(scene, partial) else scene.__doc__
        return Line(str(told), str(error).partition("\n")[0] or repr(error), kept=False)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def report(title: str, lines: Iterable[Line], programs: Iterable[Path | str], result: Path) -> int:
    """Print each line as it comes, write the table, and return the exit code that says whether all was kept."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    done = []
    for line in lines:
        done.append(line)
        say(f"{'kept' if line.kept else 'BROKEN'}: {line.promise}: {line.measured}")
    rows = [(line.promise, line.measured, "yes" if line.kept else "NO") for line in done]
    head = [f"# {title}", "", *circumstances(programs), ""]
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text("\n".join([*head, *table(("promise", "measured", "kept"), rows), ""]))
    say(f"written to {result.relative_to(ROOT)}")
    return 0 if all(line.kept for line in done) else 1
