"""Every act of an operator through the command line is written down: who, when, what, why, and how it ended.

The entry that an act begins is there before the act, so that none goes unrecorded; the one that it has ended follows.
Both stand in the chain of `audit_entries`, which the minute's seal covers. Secrets never get in.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import click
import pymongo
from pymongo.database import Database
from pymongo.errors import PyMongoError

from config.addresses import hosts
from config.connections import database, mongo_client
from config.redaction import redact, redact_text
from config.settings import Settings
from payments.audit_entries import AuditEntries
from payments.database_clock import DatabaseClock
from payments.errors import StreamContended
from workers.cli_errors import ServerSilent, database_silent
from workers.cli_world import whoever_types

Json = dict[str, Any]

#: How long the database has for one entry, in seconds.
WRITE_SECONDS = 8.0

#: The longest text of an outcome, in characters.
LONGEST_OUTCOME = 1_000


@dataclass
class Action:
    """An act under way; whoever acts may say how it ended.

    Attributes:
        entry: The number of the entry that says that it began.
        outcome: How it ended, in words.
    """

    entry: int
    outcome: str = "done"


def worded(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Take words, or nothing at all: blanks say neither who nor why."""
    if value is not None and not value.strip():
        raise click.BadParameter("expected words, got none")
    return value and value.strip()


def reason_option(*, default: str | None = None) -> Callable[[Any], Any]:
    """Return the option in which a person says why; without a default it has to be there."""
    if default is None:
        return click.option("--reason", required=True, callback=worded, help="Why; it is kept.")
    return click.option("--reason", default=default, show_default=True, callback=worded, help="Why; it is kept.")


def by_option() -> Callable[[Any], Any]:
    """Return the option in which a person says who."""
    return click.option("--by", default=whoever_types, callback=worded, help="Who; you, when left out.")


@contextmanager
def operator_action(
    where: Settings | Database[Json], *, command: str, by: str, reason: str, arguments: Mapping[str, Any]
) -> Iterator[Action]:
    """Have what is done within the block written down before it begins and when it has ended, however it ends.

    Args:
        where: The settings, or the database, of the trail.
        command: What was typed, without its arguments: "dead-letters replay".
        by: Who.
        reason: Why.
        arguments: What it was given; what is secret in it is left out.

    Raises:
        ServerSilent: the database does not answer; when it did not before the act, nothing was done.
    """
    with _trail(where) as entries:
        said = {"command": command, "arguments": plain(redact(arguments))}
        said |= {"by": redact_text(by), "reason": redact_text(reason)}
        action = Action(_append(entries, {"phase": "begun", "began": None, "outcome": None, **said}, where))
        try:
            yield action
        except BaseException as error:
            action.outcome = f"failed: {type(error).__name__}: {error}".removesuffix(": ")
            with suppress(ServerSilent):  # why it failed is the better answer; an act without an end shows as such
                _append(entries, _end(action, said), where)
            raise
        _append(entries, _end(action, said), where)


def _end(action: Action, said: Mapping[str, Any]) -> Json:
    outcome = redact_text(action.outcome)[:LONGEST_OUTCOME]
    return {"phase": "ended", "began": action.entry, "outcome": outcome, **said}


def plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return JSON that MongoDB keeps as it is: numbers that it would change become text."""
    read: Any = json.loads(json.dumps(value, default=str), parse_float=str, parse_constant=str, parse_int=_whole)
    return read


def _whole(text: str) -> int | str:
    return int(text) if len(text.lstrip("-")) <= len(str(2**53)) - 1 else text


@contextmanager
def _trail(where: Settings | Database[Json]) -> Iterator[AuditEntries]:
    if isinstance(where, Database):
        yield AuditEntries(where)
        return
    with mongo_client(where) as client:
        yield AuditEntries(database(client, where))


def _append(entries: AuditEntries, members: Json, where: Settings | Database[Json]) -> int:
    try:
        with pymongo.timeout(WRITE_SECONDS):
            return entries.append(members, DatabaseClock(entries.rows.database)())
    except (PyMongoError, StreamContended) as error:
        address = hosts(where.mongo_uri or "") if isinstance(where, Settings) else str(where.client.address)
        raise database_silent(address, error) from error
