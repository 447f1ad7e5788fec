"""The world that a command acts in, made for it and closed after it; whoever acts is named.

What a command says is its answer: of the world's own log lines only errors appear, and on standard error.
"""

import contextlib
import getpass
import logging
import socket
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pymongo
import structlog
from pymongo.database import Database
from pymongo.errors import PyMongoError

from config.addresses import hosts
from config.connections import database, mongo_client
from config.logs import redact_event
from config.redaction import redact_text
from config.settings import Settings
from payments.events import Context
from tasks.publishing import leave_to_sweeps
from tasks.wiring import World, build_world
from workers.cli_errors import database_silent

#: How long the database has for all that is asked of it, in seconds.
READ_SECONDS = 8.0


@contextlib.contextmanager
def opened_database(settings: Settings) -> Iterator[Database[Any]]:
    """Give the database to read from, within a few seconds in all.

    Raises:
        ServerSilent: the database does not answer.
    """
    try:
        with mongo_client(settings) as client, pymongo.timeout(READ_SECONDS):
            yield database(client, settings)
    except PyMongoError as error:
        raise database_silent(hosts(settings.mongo_uri or ""), error) from error


@contextlib.contextmanager
def opened_world(settings: Settings, *, log_level: int = logging.ERROR) -> Iterator[World]:
    """Give a world whose database answers, and close it.

    Args:
        settings: With the addresses of the servers.
        log_level: From which level on the world's own log lines are shown.

    Raises:
        ServerSilent: the database does not answer.
    """
    try:
        with _logging_to_stderr(log_level), contextlib.closing(build_world(settings, send=leave_to_sweeps)) as built:
            with pymongo.timeout(READ_SECONDS):
                built.client.admin.command("ping")
            yield built
    except PyMongoError as error:
        raise database_silent(hosts(settings.mongo_uri or ""), error) from error


def whoever_types() -> str:
    """Return who runs this command: the account and the machine."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def acting(by: str) -> Context:
    """Return the context of what a person does at the command line."""
    return Context(correlation_id=f"cli-{uuid4()}", source="cli", requested_by=redact_text(by))


@contextlib.contextmanager
def _logging_to_stderr(level: int) -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            redact_event,
            structlog.processors.KeyValueRenderer(key_order=["level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        yield
    finally:
        structlog.configure(**before)
