"""How a comparison is told: printed while it is found, since a long run may find more than fits into memory."""

import json
import sys
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from payments.comparison import Kind
from payments.comparison_run import ComparisonRun
from payments.comparison_views import line, view_finding
from payments.corrections import Standing
from workers.cli_dead_letters import moment
from workers.cli_enqueue import to_text

#: What becomes of differences, in words.
_BECAME = {
    Standing.OPEN: "open", Standing.CORRECTED: "corrected", Standing.REVIEW: "for a human",
    Standing.SETTLED: "settled by a human",
}  # fmt: skip


def print_lines(run: ComparisonRun) -> None:
    """Print a line for all that does not agree."""
    console = Console(stderr=True)
    columns = (TextColumn("Comparing payments"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, redirect_stdout=False) as bar:
        step = bar.add_task("", total=run.total)
        for payment_id, results in run:
            for one in results:
                if one.finding.kind is not Kind.AGREEING:
                    _tell(line(payment_id, one), console)
            bar.advance(step)


def _tell(text: str, console: Console) -> None:
    """Print a line; where it meets the bar on a terminal, above it."""
    if console.is_terminal and sys.stdout.isatty():
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        click.echo(text)


def print_json(run: ComparisonRun) -> None:
    """Print the beginning of the report, up to all that does not agree."""
    click.echo('{\n  "findings": [', nl=False)
    between = "\n    "
    for payment_id, results in run:
        for one in results:
            if one.finding.kind is not Kind.AGREEING:
                click.echo(between + json.dumps(view_finding(payment_id, one), ensure_ascii=False), nl=False)
                between = ",\n    "
    click.echo("\n  ],")


def ending(run: ComparisonRun) -> str:
    """Return the rest of the report: the record of the run."""
    return to_text(_plain(run.record())).removeprefix("{\n")


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    named = {("id" if name == "_id" else name): value for name, value in record.items()}
    return {name: moment(value) if isinstance(value, datetime) else value for name, value in named.items()}


def summary(run: ComparisonRun) -> str:
    """Return how the run came out, in a few lines."""
    counts = run.counts
    kinds = ", ".join(f"{counts[kind]} {kind.replace('_', ' ')}" for kind in Kind)
    lines = [
        f"Reconciliation {run.run_id}: {counts['compared']} of {run.total} payments compared.",
        f"Entries: {kinds}.",
    ]
    if run.differs or counts[Standing.CORRECTED] or counts[Standing.SETTLED]:
        became = ", ".join(f"{counts[one]} {name}" for one, name in _BECAME.items())
        lines.append(f"Of what differs: {became}.")
    if counts[Standing.OPEN] and not run.terms.apply:
        lines.append("No payment was changed: --apply records what PayTabs shows.")
    if not run.complete:
        lines.append("PayTabs does not answer: the run was given up.")
    return "\n".join(lines)
