"""The command line `nestcms-workers`: what a person types, and nothing of how it is done."""

import json
import sys

import click
from rich.console import Console

from workers.cli_dead_letters import dead_letters
from workers.cli_enqueue import answer, caller, read_arguments, send, to_text
from workers.cli_payment import check_id, payment_tables, read_payment, wide
from workers.cli_policy import policy
from workers.cli_rebuild import rebuild_queues
from workers.cli_reconcile import reconcile
from workers.cli_review import review
from workers.cli_settings import client_settings, demo_settings, stack_settings
from workers.cli_shell import PlainGroup
from workers.cli_up import run_stack
from workers.demo import run_demo


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
def enqueue(*, task: str, arguments: tuple[str, ...], wait: bool, timeout: float, correlation_id: str | None) -> None:
    """Enqueue TASK and print its answer as JSON.

    Values are JSON when they parse and text otherwise; a text that looks like a number needs its quotes:

    \b
      nestcms-workers enqueue payments.create_page payment_id=65f0c0ffee65f0c0ffee65f0
      nestcms-workers enqueue payments.create_page payment_id=65f0c0ffee65f0c0ffee65f0 'methods=["mada"]'
      nestcms-workers enqueue aggregations.run name=contract_employees params='{"contract_id": "…"}'

    The broker is REDIS_URL's, else that of the `up` that runs in this folder.
    """  # noqa: D301 - click's mark for lines that stay as they are
    given = read_arguments(arguments)
    with caller(client_settings(["redis_url"])) as app:
        task_id = send(app, task, given, correlation_id)
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
@click.option("--json", "as_json", is_flag=True, help="Print the state and the events as one JSON object.")
def show(*, payment_id: str, as_json: bool) -> None:
    """Show the state and the history of the CMS's payment ID.

    The database is MONGO_URI's, else that of the `up` that runs in this folder; nothing is asked of PayTabs.
    """
    view, history = read_payment(client_settings(["mongo_uri"]), payment_id)
    if as_json:
        click.echo(json.dumps({"payment": view, "history": history}, indent=2, ensure_ascii=False, default=str))
    else:
        wide(Console()).print(payment_tables(view, history))


cli.add_command(dead_letters)
cli.add_command(policy)
cli.add_command(rebuild_queues)
cli.add_command(review)
cli.add_command(reconcile)


def main() -> None:
    """Run the command line; what a terminal cannot show becomes a question mark instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    cli(prog_name="nestcms-workers")


if __name__ == "__main__":
    main()
