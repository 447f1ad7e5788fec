"""`nestcms-workers rebuild-queues`: after the broker was lost, enqueue at once what the sweeps would find one by one.

What is enqueued is what is open in MongoDB, whether a message of it is still there or not: every task of these looks at
its row first, so running the command twice costs a few questions and changes nothing. Rows are pushed forward like the
sweeps do, so that a sweep that runs meanwhile leaves them alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import click
from celery import Celery
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from config.addresses import hosts
from config.connections import database, mongo_client
from payments.database_clock import DatabaseClock
from payments.inbox import COLLECTION as INBOX
from payments.inbox import SWEPT_SECONDS
from payments.operations import ENQUEUED_FOR
from payments.outbox import COLLECTION as OUTBOX
from payments.outbox import ENQUEUED_FOR as REACTION_ENQUEUED_FOR
from tasks.publishing import enqueue as publish
from workers.cli_audit_entry import by_option, operator_action, reason_option
from workers.cli_enqueue import caller, to_text
from workers.cli_errors import database_silent
from workers.cli_settings import client_settings

Document = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """One kind of open work.

    Attributes:
        name: What it is called.
        collection: Where its rows are.
        open_rows: Which of them are open.
        task: What is enqueued for each.
        argument: The task's argument that takes the row's id, or the row's members that are its arguments.
        due: The field that tells a sweep when to look at a row.
        left_alone_for: How long sweeps need not look at a row that was enqueued.
    """

    name: str
    collection: str
    open_rows: Document
    task: str
    argument: str | tuple[str, ...]
    due: str
    left_alone_for: timedelta


def sources(now: datetime) -> tuple[Source, ...]:
    """List the kinds of open work there are."""
    return (
        Source(
            name="operations",
            collection="payment_operations",
            open_rows={"$or": [{"open": True}, {"due_at": {"$type": "date", "$lte": now}}]},
            task="payments.poll",
            argument="operation_id",
            due="due_at",
            left_alone_for=ENQUEUED_FOR,
        ),
        Source(
            name="deliveries",
            collection=INBOX,
            open_rows={
                "$or": [
                    {"status": "received", "due_at": {"$lte": now}},
                    {"status": "processing", "lease_until": {"$lte": now}},
                ]
            },
            task="webhooks.process",
            argument="delivery_id",
            due="sweep_at",
            left_alone_for=timedelta(seconds=SWEPT_SECONDS),
        ),
        Source(
            name="reactions",
            collection=OUTBOX,
            open_rows={"due_at": {"$type": "date"}},
            task="events.handle",
            argument=("event_id", "handler"),
            due="due_at",
            left_alone_for=REACTION_ENQUEUED_FOR,
        ),
    )


@click.command("rebuild-queues")
@reason_option()
@by_option()
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON, without a progress bar.")
def rebuild_queues(*, reason: str, by: str, as_json: bool) -> None:
    """Enqueue all open work from MongoDB at once.

    For after the broker has lost its messages. The sweeps do the same little by little; running this as well, or twice,
    is harmless.
    """
    settings = client_settings(["mongo_uri", "redis_url"])
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True),
                   disable=as_json)  # fmt: skip
    counts: dict[str, int] = {}
    try:
        acting = operator_action(settings, command="rebuild-queues", by=by, reason=reason, arguments={})
        with mongo_client(settings) as client, caller(settings) as app, acting as action, bar:
            db = database(client, settings)
            now = DatabaseClock(db)()
            for source in sources(now):
                rows = db[source.collection]
                step = bar.add_task(source.name, total=rows.count_documents(source.open_rows))
                counts[source.name] = 0
                for row in open_work(rows, source, now):
                    enqueue(app, source, row)
                    counts[source.name] += 1
                    bar.advance(step)
            action.outcome = f"enqueued {told(counts)}"
    except PyMongoError as error:
        raise database_silent(hosts(settings.mongo_uri or ""), error) from error
    if as_json:
        click.echo(to_text({"enqueued": counts}))
    else:
        click.echo(f"Enqueued {told(counts)}.")


def told(counts: Mapping[str, int]) -> str:
    """Write counts for a person."""
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def projection(source: Source) -> dict[str, bool]:
    """Return which members of a row are read."""
    members = () if isinstance(source.argument, str) else source.argument
    return dict.fromkeys((source.due, "correlation_id", *members), True)


def open_work(rows: Any, source: Source, now: datetime) -> Iterator[Document]:  # noqa: ANN401 - a collection
    """Give the open rows of one kind, longest due first, each pushed forward if a sweep would take it as well."""
    later = now + source.left_alone_for
    # Read whole before any is pushed forward: a row that moves within the order that is read would be found twice.
    for row in list(rows.find(source.open_rows, projection(source)).sort(source.due, 1)):
        due = row.get(source.due)
        if due is not None and due < later:
            rows.update_one({"_id": row["_id"], source.due: due}, {"$set": {source.due: later}})
        yield row


def arguments(source: Source, row: Document) -> Document:
    """Return what the task of a row is called with."""
    if isinstance(source.argument, str):
        return {source.argument: row["_id"]}
    return {name: row[name] for name in source.argument}


def enqueue(app: Celery, source: Source, row: Document) -> None:
    """Enqueue the task that looks at a row, whatever mark says that it is queued: its message may be lost."""
    publish(app, source.task, arguments(source, row), row["correlation_id"], anew=True)
