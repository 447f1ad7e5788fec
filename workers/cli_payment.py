"""`nestcms-workers payment show`: a payment's state and history, read from MongoDB alone.

No worker and no PayTabs is needed for it, so it also works when something else does not.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
import pymongo
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from config.settings import Settings
from payments.errors import InvalidArgument
from payments.views import view_history, view_payment
from tasks.wiring import World
from workers.cli_enqueue import OBJECT_ID
from workers.cli_errors import PaymentUnreadable
from workers.cli_world import READ_SECONDS, opened_world

Json = Mapping[str, Any]

#: What is shown of a payment: the field of its view, and what it is called.
STATE_ROWS = {
    "state": "state",
    "status": "status in the CMS",
    "amount": "amount",
    "tran_ref": "PayTabs reference",
    "card": "stored card",
    "redirect_url": "open page",
    "page_state": "its page is",
    "page_expires_at": "its page's end",
    "new_page_at": "another from",
    "authorised": "authorised",
    "captured": "captured",
    "released": "released",
    "refunded": "refunded",
    "refund_pending": "refund pending",
    "flags": "flags",
    "review": "to be reviewed",
    "error": "last error",
}

#: Rows that are shown although they are empty.
ALWAYS = frozenset({"state", "status", "amount", "captured"})

#: Facts' fields that every row of the history would repeat.
QUIET_FIELDS = frozenset({"operation_id", "profile_id", "client_id", "contract_id"})


def check_id(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Take a MongoDB id only."""
    if not OBJECT_ID.fullmatch(value):
        raise click.BadParameter(f"expected 24 lower-case hexadecimal digits, got {value!r}")
    return value


def read_payment(settings: Settings, payment_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a payment's view and its events, as the tasks `payments.get` and `payments.history` give them.

    Raises:
        PaymentUnreadable: there is no such payment.
        ServerSilent: the database does not answer.
    """
    with reading(settings, payment_id) as world:
        return world.service.get(payment_id).to_json(), world.service.history(payment_id)


@contextlib.contextmanager
def reading(settings: Settings, payment_id: str) -> Iterator[World]:
    """Give a world to read about a payment in.

    Raises:
        PaymentUnreadable: there is no such payment.
        ServerSilent: the database does not answer.
    """
    try:
        with opened_world(settings) as world, pymongo.timeout(READ_SECONDS):
            yield world
    except InvalidArgument as error:
        raise PaymentUnreadable(payment_id, str(error)) from error


def read_payment_at(
    settings: Settings, payment_id: str, moment: datetime
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Return a payment's view and its events as they stood at a moment, from its events alone.

    Raises:
        PaymentUnreadable: there is no such payment.
        ServerSilent: the database does not answer.
    """
    with reading(settings, payment_id) as world:
        world.service.get(payment_id)
        history = [event for event in world.store.load(payment_id) if event.recorded_at <= moment]
        view = view_payment(payment_id, history, None, cards=world.cards.store).to_json() if history else None
        return view, view_history(history)


def payment_tables(view: Json, history: Sequence[Json]) -> RenderableType:
    """Lay out a payment's state and its history."""
    return Group(state_table(view), history_table(history) if history else "Nothing has happened to it yet.")


def state_table(view: Json) -> Table:
    """Lay out how a payment stands."""
    table = Table(title=f"Payment {view['payment_id']}", title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for field, name in STATE_ROWS.items():
        if field in ALWAYS or view[field] not in (None, "0", [], ()):
            table.add_row(name, Text(_value(view, field)))
    return table


def history_table(history: Sequence[Json]) -> Table:
    """Lay out what happened to a payment, oldest first."""
    table = Table(title="History (UTC)", title_justify="left")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("time", no_wrap=True)
    table.add_column("what happened", no_wrap=True)
    table.add_column("details", overflow="fold")
    shown = ""
    for event in history:
        day, _, time = str(event["recorded_at"]).partition("T")
        when = Text(time[:12]) if day == shown else Text(f"{day}\n{time[:12]}")
        shown = day
        what = Text(str(event["type"]), style="bold").append(f"\n{event['source']}", style="not bold dim")
        told = {name: value for name, value in event["data"].items() if name not in QUIET_FIELDS}
        details = "  ".join(f"{name}={value}" for name, value in told.items() if value is not None)
        table.add_row(str(event["version"]), when, what, Text(details))
    return table


def wide(console: Console) -> Console:
    """Give a pipe or a file room for whole lines, which only a terminal has a width for."""
    if not console.is_terminal:
        console.width = max(console.width, 160)
    return console


def _value(view: Json, field: str) -> str:
    value = view[field]
    if field in {"amount", "authorised", "captured", "released", "refunded", "refund_pending"}:
        return f"{value} {view['currency']}"
    if field == "card":
        return f"{value['scheme']} {value['masked']}, until {value['expires']} ({value['card_id']})"
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
