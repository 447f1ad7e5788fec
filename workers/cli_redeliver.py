"""`nestcms-workers events redeliver`: reactions that are over, done once more because somebody wants them to be.

Each is owed again in the outbox before its message is sent, so that a lost message costs no more than a sweep's time.
"""

from datetime import datetime

import click
from celery import Celery

from payments.handlers import EVENT_HANDLERS
from tasks.publishing import enqueue
from tasks.reacting import HANDLE
from tasks.wiring import World
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_dead_letters import moment
from workers.cli_enqueue import caller
from workers.cli_errors import UnknownReaction
from workers.cli_payment import check_id
from workers.cli_settings import client_settings
from workers.cli_times import Moment
from workers.cli_world import opened_world


def check_optional_id(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Take a MongoDB id, or nothing."""
    return None if value is None else check_id(context, parameter, value)


@click.command()
@click.argument("handler", metavar="HANDLER")
@click.option("--since", required=True, type=Moment(), metavar="TIME", help="Events committed since then.")
@click.option("--until", type=Moment(), metavar="TIME", help="Events committed before then (default: now).")
@click.option("--payment", "payment_id", metavar="ID", callback=check_optional_id, help="Only events of this payment.")
@reason_option()
@by_option()
def redeliver(
    *, handler: str, since: datetime, until: datetime | None, payment_id: str | None, reason: str, by: str
) -> None:
    """Have the reaction HANDLER done once more for every event to which it was done, or given up, since TIME.

    A mail or a webhook keeps its id, so that who gets it twice can tell. Reactions that are still waiting are left to
    wait.
    """
    known = sorted({name for names in EVENT_HANDLERS.values() for name in names})
    if handler not in known:
        raise UnknownReaction(handler, known)
    settings = client_settings(["mongo_uri", "redis_url"])
    with opened_world(settings) as world, caller(settings) as app:
        end = until or world.clock()
        if since >= end:
            raise click.UsageError(f"--since: expected a time before {moment(end)}, got {moment(since)}")
        ended = world.outbox.ended(handler, since, end, payment_id)
        click.echo(f"{len(ended)} of {handler} since {moment(since)} and before {moment(end)}.")
        about = {"handler": handler, "since": moment(since), "until": moment(end), "payment_id": payment_id}
        acting = operator_action(world.db, command="events redeliver", by=by, reason=reason, arguments=about)
        with acting as action:
            again = sum(_again(world, app, handler, event) for event in ended)
            action.outcome = f"enqueued {again}"
    click.echo(f"Enqueued {again}.")


def _again(world: World, app: Celery, handler: str, event: tuple[str, str]) -> bool:
    """Owe one reaction again and send its message; False when it is under way by now."""
    event_id, correlation_id = event
    if not world.outbox.owe_again(event_id, handler, world.clock()):
        return False
    given = {"event_id": event_id, "handler": handler}
    enqueue(app, HANDLE, given, correlation_id)
    return True
