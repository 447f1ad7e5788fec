"""`nestcms-workers restored`: a person says that the database was put back, and sends go out again."""

import logging
from datetime import datetime, timedelta

import click

from payments.events import timestamp
from tasks.restoring import Declared, declare_restored
from tasks.wiring import World, page_times
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_dead_letters import moment
from workers.cli_settings import gateway_settings
from workers.cli_times import Moment
from workers.cli_world import opened_world


@click.command()
@click.option("--since", type=Moment(), metavar="TIME",
              help="Of when the copy is: 2026-08-06T10:00Z, 24h. Left out, as it was noticed.")  # fmt: skip
@reason_option()
@by_option()
def restored(*, since: datetime | None, reason: str, by: str) -> None:
    """Say that the database was restored to a copy of TIME; sends that were parked go out again.

    From then on PayTabs is asked before each send for what may have been sent after TIME and is forgotten; what is
    found is taken over. Pages are made again once nobody can pay a forgotten one any more. See docs/restore.md.
    """
    settings = gateway_settings(["mongo_uri", "redis_url"])
    with opened_world(settings, log_level=logging.WARNING) as world:
        epoch = world.epochs.look()
        now = world.ledger.now()
        if since is None and epoch.parked is None:
            raise click.UsageError("nothing was noticed: expected --since TIME, of when the copy is")
        if since is not None and since >= now:
            raise click.UsageError(f"--since: expected a time before {moment(now)}, got {moment(since)}")
        given = {"since": timestamp(since) if since else None}
        with operator_action(world.db, command="restored", by=by, reason=reason, arguments=given) as action:
            declared = declare_restored(world, since, by=by, why=reason)
            action.outcome = f"epoch {declared.restore.epoch} has begun"
        for line in told(world, declared):
            click.echo(line)


def told(world: World, declared: Declared) -> list[str]:
    """Say what follows from a restore, in a few lines."""
    restore, times = declared.restore, page_times(world.settings)
    begun = moment(restore.since) if restore.since else "the beginning"
    pages = restore.until + timedelta(minutes=times.life_minutes) + times.margin
    lines = [
        f"Epoch {restore.epoch} has begun: what was sent from {begun} to {moment(restore.until)} may be forgotten.",
        "Before each send PayTabs is asked for it, and what is found is taken over.",
        f"Pages, charges and invoices of payments of before go out from {moment(pages)} on.",
    ]
    if declared.named:
        lines.append(f"The file of seals named {declared.named} operations of that time: they are asked for as well.")
    if declared.aside:
        lines.append(f"The file of seals is kept as {declared.aside}; a new one begins with the next seal.")
    since = moment(restore.since) if restore.since else "TIME"
    lines.append(f"Now compare: nestcms-workers reconcile --since {since} --apply --by NAME --note TEXT")
    return lines
