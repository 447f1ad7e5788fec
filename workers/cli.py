"""The command line `nestcms-workers`: what a person types, and nothing of how it is done."""

import sys
from datetime import datetime

import click
from rich.console import Console

from workers.cli_aggregations import aggregations
from workers.cli_alerts import alerts
from workers.cli_audit import audit
from workers.cli_audit_entry import by_option, reason_option
from workers.cli_cards import cards
from workers.cli_dead_letters import dead_letters
from workers.cli_enqueue import answer, caller, forms_of, read_arguments, require_known, send, to_text
from workers.cli_enqueue_acts import NO_REASON, acts, recorded, signed
from workers.cli_events import events
from workers.cli_explain import explain_payment, explaining_settings, story
from workers.cli_indexes import indexes
from workers.cli_payment import check_id, payment_tables, read_payment, read_payment_at, wide
from workers.cli_policy import policy
from workers.cli_rebuild import rebuild_queues
from workers.cli_reconcile import reconcile
from workers.cli_restored import restored
from workers.cli_retention import retention
from workers.cli_review import review
from workers.cli_schedule import schedule
from workers.cli_seed import seed
from workers.cli_settings import client_settings, demo_settings, stack_settings
from workers.cli_shell import PlainGroup
from workers.cli_status import status
from workers.cli_up import run_stack
from workers.demo import run_demo


def check_moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | None:
    """Take a time that says its zone only."""
    try:
        moment = datetime.fromisoformat(value) if value else None
    except ValueError:
        moment = None
    if value and (moment is None or moment.tzinfo is None):
        raise click.BadParameter(f"expected ISO-8601 with a zone, such as 2026-08-06T10:15:30Z, got {value!r}")
    return moment


@click.group(cls=PlainGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Take payments through PayTabs and run heavy aggregations beside a CMS.

    Settings come from the environment and from .env; .env.example lists them all.
    """


@cli.command()
@click.option("--flower/--no-flower", default=True, help="Run the dashboard as well (default: yes).")
def up(*, flower: bool) -> None:
    """Run the whole stack in the foreground until Ctrl-C.

    MongoDB and Valkey are those of MONGO_URI and REDIS_URL; where unset, servers of its own are started, with their
    data in .local. Without PayTabs credentials (PAYTABS_SERVERK) the sandbox stands in for PayTabs.
    """
    run_stack(stack_settings(), wide(Console()), flower=flower)


@cli.command()
def demo() -> None:
    """Take payments from enqueue to paid, check every step, and stop everything again.

    Runs the stack on free ports and in a folder and a database of its own, always with the sandbox for PayTabs. Ends
    with exit code 1 when anything is not as promised.
    """
    run_demo(demo_settings(), wide(Console(highlight=False)))


@cli.command()
@click.argument("task", metavar="TASK")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--wait/--no-wait", default=True, help="Wait for the answer (default), or print the task's id at once.")
@click.option("--timeout", default=30.0, show_default=True, help="How many seconds to wait.", metavar="SECONDS",
              type=click.FloatRange(min=0, min_open=True))  # fmt: skip
@click.option("--correlation-id", help="The id under which logs, events and requests to PayTabs are found.")
@click.option("--class", "work_class", type=click.Choice(["payer", "staff", "bulk"]),
              help="Who waits for it; its task says so unless this does.")  # fmt: skip
@reason_option(default=NO_REASON)
@by_option()
def enqueue(
    *,
    task: str,
    arguments: tuple[str, ...],
    wait: bool,
    timeout: float,
    correlation_id: str | None,
    work_class: str | None,
    reason: str,
    by: str,
) -> None:
    """Enqueue TASK and print its answer as JSON.

    Values are JSON when they parse and text otherwise; what can only be text is text as it stands, amounts among it:

    \b
      nestcms-workers enqueue payments.create_page payment_id=65f0c0ffee65f0c0ffee65f0
      nestcms-workers enqueue payments.create_page payment_id=65f0c0ffee65f0c0ffee65f0 'methods=["mada"]'
      nestcms-workers enqueue payments.refund payment_id=65f0c0ffee65f0c0ffee65f0 operation_id=r-1 amount=7.00
      nestcms-workers enqueue aggregations.run name=contract_employees params='{"contract_id": "…"}'

    The broker is REDIS_URL's, else that of the `up` that runs in this folder. What does more than look is written down
    in the audit trail, in MONGO_URI's database.
    """  # noqa: D301 - click's mark for lines that stay as they are
    require_known(task)
    given = read_arguments(arguments, forms_of(task))
    asked = signed(task, given, by=by, reason=reason)
    settings = client_settings(["redis_url", "mongo_uri"] if acts(task) else ["redis_url"])
    with caller(settings) as app, recorded(settings, task, given, by=by, reason=reason) as action:
        task_id = send(app, task, asked, correlation_id, work_class=work_class)
        action.outcome = f"enqueued as {task_id}"
        if not wait:
            click.echo(to_text({"task": task, "task_id": task_id}))
            return
        with Console(stderr=True).status(f"Waiting for {task} …"):
            value = answer(app, task, task_id, timeout)
    click.echo(to_text(value))


@cli.group()
def payment() -> None:
    """Look at payments."""


@payment.command()
@click.argument("payment_id", metavar="ID", callback=check_id)
@click.option("--at", "moment", callback=check_moment, help="As it stood at this time.", metavar="TIME")
@click.option("--json", "as_json", is_flag=True, help="Print the state and the events as one JSON object.")
def show(*, payment_id: str, moment: datetime | None, as_json: bool) -> None:
    """Show the state and the history of the CMS's payment ID.

    TIME is ISO-8601 with its zone, such as 2026-08-06T10:15:30Z; what only the operations know is left out then.

    The database is MONGO_URI's, else that of the `up` that runs in this folder; nothing is asked of PayTabs.
    """
    settings = client_settings(["mongo_uri"])
    view, history = read_payment_at(settings, payment_id, moment) if moment else read_payment(settings, payment_id)
    if as_json:
        click.echo(to_text({"payment": view, "history": history}))
    elif view is None:
        click.echo(f"Nothing had happened to payment {payment_id} by then.")
    else:
        wide(Console()).print(payment_tables(view, history))


@payment.command()
@click.argument("payment_id", metavar="ID", callback=check_id)
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def explain(*, payment_id: str, as_json: bool) -> None:
    """Tell why the CMS's payment ID stands as it does.

    Each fact with who asked for it and how it was learnt: by which raw delivery, or by which of our questions; the one
    that decided; what waits for a review; the operations with their carts; what waits in the broker,
    in which queue and since when; who was told; what operators did.
    """
    view, told = explain_payment(explaining_settings(), payment_id)
    if as_json:
        click.echo(to_text({"payment": view, **told}))
    else:
        wide(Console()).print(story(view, told))


cli.add_command(alerts)
cli.add_command(aggregations)
cli.add_command(audit)
cli.add_command(cards)
cli.add_command(dead_letters)
cli.add_command(events)
cli.add_command(indexes)
cli.add_command(policy)
cli.add_command(rebuild_queues)
cli.add_command(review)
cli.add_command(reconcile)
cli.add_command(restored)
cli.add_command(retention)
cli.add_command(seed)
cli.add_command(schedule)
cli.add_command(status)


def main() -> None:
    """Run the command line; what a terminal cannot show becomes a question mark instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    cli(prog_name="nestcms-workers")


if __name__ == "__main__":
    main()
