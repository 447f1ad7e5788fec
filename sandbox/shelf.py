"""What outlives the process: each change of ledger, pages, cards and invoices is in a file before anybody is answered.

One SQLite file; a killed process leaves it whole. Without a file nothing is kept. Switches, faults, the records of
requests and deliveries, notices still on their way and the duplicate filter's memory end with the process.
"""

import os
import sqlite3
import threading
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from sandbox.errors import SandboxError

Thing = TypeVar("Thing")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS things
    (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (kind, name))
"""

_PUT = """
INSERT INTO things (kind, name, body) VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body
"""


class ShelfUnusable(SandboxError):
    """Raised when the file cannot be used: another sandbox has it, or it is none of ours."""


class Shelf:
    """Keeps things by kind and name, in the order in which they were first put there."""

    def __init__(self, file: Path | None = None) -> None:
        """Open the file.

        Args:
            file: Where things are kept, made if need be; None for nowhere.

        Raises:
            ShelfUnusable: When it cannot be used.
        """
        self._lock = threading.Lock()
        self._adapters: dict[type, TypeAdapter[object]] = {}
        self._connection = _connect(file) if file is not None else None

    def put(self, kind: str, name: str, thing: object) -> None:
        """Keep a thing, in the place of an earlier one of that name.

        Args:
            kind: What it is.
            name: Its name, one of its kind.
            thing: A dataclass or a plain value.
        """
        if self._connection is not None:
            body = self._adapter(type(thing)).dump_json(thing)
            with self._lock:
                self._connection.execute(_PUT, (kind, name, body))

    def drop(self, kind: str, name: str) -> None:
        """Keep a thing no longer."""
        if self._connection is not None:
            with self._lock:
                self._connection.execute("DELETE FROM things WHERE kind = ? AND name = ?", (kind, name))

    def load(self, kind: str, of: type[Thing]) -> list[tuple[str, Thing]]:
        """Give everything of a kind.

        Args:
            kind: What it is.
            of: Its class.

        Returns:
            Name and thing, in the order in which the names were first put.
        """
        if self._connection is None:
            return []
        with self._lock:
            rows = self._connection.execute("SELECT name, body FROM things WHERE kind = ? ORDER BY id", (kind,))
            found = rows.fetchall()
        adapter = TypeAdapter(of)
        return [(name, adapter.validate_json(body)) for name, body in found]

    def forget(self, *kinds: str) -> None:
        """Keep nothing of some kinds any longer."""
        if self._connection is not None:
            with self._lock:
                self._connection.executemany("DELETE FROM things WHERE kind = ?", [(kind,) for kind in kinds])

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            with self._lock:
                self._connection.close()

    def _adapter(self, of: type) -> TypeAdapter[object]:
        if of not in self._adapters:
            self._adapters[of] = TypeAdapter(of)
        return self._adapters[of]


def _connect(file: Path) -> sqlite3.Connection:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # It holds tokens and buyers' details, if only those of tests.
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(file, timeout=1, isolation_level=None, check_same_thread=False)
        # One sandbox at a time; whoever is killed lets go of it.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(_SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise ShelfUnusable(f"{file} cannot be used: {error}") from None
    return connection
