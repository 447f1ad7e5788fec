"""`nestcms-workers dead-letters`: look at what was given up, and enqueue it again.

A replay is the same task with the same arguments under the same correlation id; who asked for it, when and why stands
in the row before the task is enqueued. What is not whole any more, because a secret was taken out of it or because it
never was a task, cannot be replayed: its caller enqueues it again, under the same operation id.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from observability.dead_letters import ID_LENGTH, DeadLetters, Kind
from payments.database_clock import DatabaseClock
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_enqueue import caller, known_tasks, send, to_text
from workers.cli_errors import LetterUnusable, UnknownTask
from workers.cli_payment import wide
from workers.cli_settings import client_settings
from workers.cli_world import opened_database

Row = dict[str, Any]

#: What is shown of a row, in this order, and what it is called.
SHOWN = {
    "_id": "id",
    "kind": "kind",
    "task": "task",
    "arguments": "arguments",
    "error": "error",
    "text": "what it says",
    "queue": "queue",
    "attempts": "attempts",
    "correlation_id": "correlation id",
    "task_id": "task id",
    "first_at": "first given up",
    "at": "last given up",
    "seen": "times given up",
    "status": "status",
    "size_bytes": "message's bytes",
    "raw": "message's beginning",
}


def check_beginning(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Take an id, or its beginning."""
    if not 0 < len(value) <= ID_LENGTH or set(value) - set("0123456789abcdef"):
        raise click.BadParameter(f"expected up to {ID_LENGTH} hexadecimal digits, got {value!r}")
    return value


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at what was given up, and enqueue it again."""


@dead_letters.command("list")
@click.option("--all", "everything", is_flag=True, help="List those that were replayed or closed as well.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_letters(*, everything: bool, limit: int, as_json: bool) -> None:
    """List what waits for a person, newest first."""
    with letters(client_settings(["mongo_uri"])) as kept:
        rows = kept.newest(replayed=everything, limit=limit)
    if as_json:
        click.echo(to_text([plain(row) for row in rows]))
    elif not rows:
        click.echo("Nothing was given up.")
    else:
        wide(Console()).print(letters_table(rows))


@dead_letters.command()
@click.argument("letter", metavar="ID", callback=check_beginning)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(*, letter: str, as_json: bool) -> None:
    """Show everything about the dead letter ID; the beginning of an id will do."""
    with letters(client_settings(["mongo_uri"])) as kept:
        row = the_one(kept, letter)
    if as_json:
        click.echo(to_text(plain(row)))
    else:
        wide(Console()).print(letter_table(row))


@dead_letters.command()
@click.argument("letter", metavar="ID", callback=check_beginning)
@reason_option()
@by_option()
@click.option("--again", is_flag=True, help="Also when it was replayed already.")
def replay(*, letter: str, reason: str, by: str, again: bool) -> None:
    """Enqueue the dead letter ID once more, under the same correlation id."""
    settings = client_settings(["mongo_uri", "redis_url"])
    with letters(settings) as kept:
        row = the_one(kept, letter)
        check_replayable(row, again=again)
        task_id = str(uuid4())
        named = {"id": row["_id"], "task": row["task"], "again": again, **payment_in(row)}
        acting = operator_action(settings, command="dead-letters replay", by=by, reason=reason, arguments=named)
        with acting as action, caller(settings) as app:
            if not kept.mark_replayed(row, task_id=task_id, by=by, reason=reason):
                raise LetterUnusable(row["_id"], "it was changed at this moment: look at it again")
            given = json.loads(row["arguments"])
            try:
                send(
                    app, row["task"], given["kwargs"], row["correlation_id"], positional=given["args"], task_id=task_id
                )
            except BaseException:
                kept.unmark_replayed(row, task_id=task_id)
                raise
            action.outcome = f"enqueued as {task_id}"
    click.echo(to_text({"id": row["_id"], "task": row["task"], "task_id": task_id,
                        "correlation_id": row["correlation_id"]}))  # fmt: skip


@dead_letters.command()
@click.argument("letter", metavar="ID", callback=check_beginning)
@reason_option()
@by_option()
def close(*, letter: str, reason: str, by: str) -> None:
    """Say that nothing more is to be done about the dead letter ID; its alert closes with the last one that waits."""
    settings = client_settings(["mongo_uri"])
    with letters(settings) as kept:
        row = the_one(kept, letter)
        if row["status"] != "waiting":
            raise LetterUnusable(row["_id"], f"it does not wait: it is {row['status']}")
        named = {"id": row["_id"], "task": row["task"]}
        acting = operator_action(settings, command="dead-letters close", by=by, reason=reason, arguments=named)
        with acting as action:
            if not kept.close(row, by=by, reason=reason):
                raise LetterUnusable(row["_id"], "it was changed at this moment: look at it again")
            action.outcome = "closed"
    click.echo(f"Closed {row['_id']}.")


def payment_in(row: Mapping[str, Any]) -> Row:
    """Return the payment that a row's task is about, where its arguments name one."""
    payment_id = json.loads(row["arguments"])["kwargs"].get("payment_id")
    return {} if payment_id is None else {"payment_id": payment_id}


def check_replayable(row: Mapping[str, Any], *, again: bool) -> None:
    """Check that a row can be enqueued as it was.

    Raises:
        LetterUnusable: it cannot, and why.
        UnknownTask: this version has no such task.
    """
    if row["kind"] == Kind.MALFORMED or not row["task"]:
        raise LetterUnusable(row["_id"], "it is a message that never was a task")
    if row["kind"] == Kind.NEVER_SENT:
        raise LetterUnusable(row["_id"], "its operation has ended: its caller asks again, under a new operation id")
    if not row["intact"] or row["arguments"] is None:
        raise LetterUnusable(
            row["_id"],
            "its arguments are not kept whole, because of a secret in them, their length or their age; its caller may "
            "enqueue it again, under the same operation id",
        )
    if row["status"] == "replayed" and not again:
        last = row["replays"][-1]
        raise LetterUnusable(
            row["_id"], f"{last['by']} replayed it at {moment(last['at'])}; --again does it once more all the same"
        )
    if row["task"] not in (names := known_tasks()):
        raise UnknownTask(row["task"], names)


def the_one(kept: DeadLetters, beginning: str) -> Row:
    """Return the row whose id begins so.

    Raises:
        LetterUnusable: there is none, or more than one.
    """
    found = kept.find(beginning)
    if len(found) != 1:
        raise LetterUnusable(beginning, "several ids begin so" if found else "there is none of that id")
    return found[0]


@contextlib.contextmanager
def letters(settings: Settings) -> Iterator[DeadLetters]:
    """Give the collection of letters.

    Raises:
        ServerSilent: the database does not answer.
    """
    with opened_database(settings) as found:
        yield DeadLetters(found, clock=DatabaseClock(found))


def letters_table(rows: Sequence[Row]) -> RenderableType:
    """Lay out rows, one a line."""
    table = Table(title="Dead letters (UTC)", title_justify="left")
    for name in ("id", "last given up", "kind", "task", "queue"):
        table.add_column(name, no_wrap=True)
    table.add_column("times", justify="right", no_wrap=True)
    table.add_column("error", overflow="fold")
    for row in rows:
        task = Text(row["task"] or "-").append("" if row["status"] == "waiting" else f"  {row['status']}", style="dim")
        error = Text(row["error"], style="bold").append(f" {row['text'][:200]}", style="not bold")
        table.add_row(row["_id"], moment(row["at"]), row["kind"], task, row["queue"] or "-", str(row["seen"]), error)
    return table


def letter_table(row: Row) -> RenderableType:
    """Lay out everything about one row."""
    table = Table(title=f"Dead letter {row['_id']}", title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for field, name in SHOWN.items():
        if (value := row.get(field)) is not None:
            table.add_row(name, Text(moment(value) if isinstance(value, datetime) else str(value)))
    for one in row["replays"]:
        why = f": {one['reason']}" if one["reason"] else ""
        table.add_row("replayed", Text(f"{moment(one['at'])} by {one['by']} as task {one['task_id']}{why}"))
    if one := row.get("closed"):
        table.add_row("closed", Text(f"{moment(one['at'])} by {one['by']}: {one['reason']}"))
    return table


def plain(row: Mapping[str, Any]) -> Row:
    """Write a row as JSON has it: `id` for MongoDB's name, the arguments as they are."""
    shown = {("id" if name == "_id" else name): value for name, value in row.items()}
    given = json.loads(row["arguments"]) if row["arguments"] else None
    replays = [{**one, "at": moment(one["at"])} for one in row["replays"]]
    times = {name: moment(row[name]) for name in ("at", "first_at")}
    closed = {"closed": {**row["closed"], "at": moment(row["closed"]["at"])}} if row.get("closed") else {}
    return {**shown, **times, **closed, "arguments": given, "replays": replays}


def moment(value: datetime) -> str:
    """Write a time to the second."""
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
