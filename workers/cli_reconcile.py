"""`nestcms-workers reconcile`: our ledger and PayTabs' compared entry by entry, and ours corrected where wanted."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta

import click

from payments.comparing import LedgerComparer
from payments.comparison_run import ComparisonRun, RunTerms
from payments.known_elsewhere import KnownElsewhere
from payments.patience import Patience
from tasks.restoring import known_elsewhere, standing_apart
from tasks.wiring import World
from workers.cli_audit_entry import operator_action
from workers.cli_dead_letters import moment
from workers.cli_reconcile_report import ending, print_json, print_lines, summary
from workers.cli_settings import gateway_settings
from workers.cli_shell import FAILED, UNUSABLE
from workers.cli_times import Moment
from workers.cli_world import opened_world, whoever_types

#: How long a run puts up with PayTabs' saying nothing, in seconds.
PATIENCE_SECONDS = 120.0


@click.command()
@click.option("--since", required=True, type=Moment(), metavar="TIME", help="From when on: 2026-08-06T10:00Z, 24h, 7d.")
@click.option("--until", type=Moment(), metavar="TIME", help="Up to when (default: now).")
@click.option("--apply", is_flag=True, help="Record what PayTabs shows and we lack; call a human over the rest.")
@click.option("--by", metavar="NAME", help="Who compares; needed with --apply, else you.")
@click.option("--note", metavar="TEXT", help="Why; it is kept. Needed with --apply.")
@click.option("--patience", default=PATIENCE_SECONDS, show_default=True, type=click.FloatRange(min=0),
              metavar="SECONDS", help="For how long PayTabs may say nothing before the run ends.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON, without a progress bar.")
@click.pass_context
def reconcile(
    ctx: click.Context, *, since: datetime, until: datetime | None, apply: bool, by: str | None, note: str | None,
    patience: float, as_json: bool,
) -> None:  # fmt: skip
    """Compare our ledger with PayTabs', for every payment to which something happened since TIME.

    PayTabs is asked about each of their transactions and carts. Printed is what only we have, what only PayTabs has,
    what differs and what was not answered; that the comparison ran is kept in `reconciliations`. Ends with 0 when
    everything agrees, with 1 when something differs or needs a human, or the seals in the database are not those
    outside of it, with 2 when not everything could be asked.
    """
    if apply and not (by and note):
        raise click.UsageError("--apply changes our ledger: expected --by NAME and --note TEXT, which are kept with it")
    settings = gateway_settings(["mongo_uri", "redis_url"])
    with opened_world(settings, log_level=logging.WARNING) as world:
        end = until or world.clock()
        if since >= end:
            raise click.UsageError(f"--since: expected a time before {moment(end)}, got {moment(since)}")
        terms = RunTerms(since, end, by or whoever_types(), note, apply)
        apart = standing_apart(world)
        known = known_elsewhere(world, is_behind=bool(apart))
        comparer = _comparer(world, patience, known)
        with (
            _written_down(world, terms),
            ComparisonRun(world.db, comparer, terms, clock=world.clock, besides=known.payments) as run,
        ):
            (print_json if as_json else print_lines)(run)
        click.echo(ending(run) if as_json else summary(run))
        for sentence in apart:
            click.echo(sentence, err=as_json)
    ctx.exit(_exit_code(run, apart))


def _written_down(world: World, terms: RunTerms) -> AbstractContextManager[object]:
    """Have a run that corrects written down as what its operator did."""
    if not terms.apply:
        return nullcontext()
    window = {"since": terms.since.isoformat(), "until": terms.until.isoformat()}
    return operator_action(
        world.db, command="reconcile --apply", by=terms.by, reason=terms.note or "", arguments=window
    )


def _comparer(world: World, patience_seconds: float, known: KnownElsewhere) -> LedgerComparer:
    return LedgerComparer(
        world.store, world.ledger, world.reconciler, world.clock, timedelta(seconds=world.settings.lease_seconds),
        Patience(patience_seconds), known.carts, world.service.claim_forgotten,
    )  # fmt: skip


def _exit_code(run: ComparisonRun, apart: Sequence[str]) -> int:
    if not run.complete:
        return UNUSABLE
    if run.differs or apart:
        return FAILED
    return UNUSABLE if run.unanswered else 0
