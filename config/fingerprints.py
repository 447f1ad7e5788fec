"""Whose a broker or cache is: it carries the fingerprint of one replica set, database and profile.

Two systems on one server take each other's messages, and answer from each other's cache. So whoever connects looks at
the fingerprint, writes its own where there is none, and leaves a server alone that carries another's. Two sets may have
one name, and two databases too: so a database has an id of its own, made once, which is a part of it.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self
from uuid import uuid4

import pymongo
import redis
from pymongo import ReturnDocument
from pymongo.database import Database

from config.connections import Document, database, mongo_client
from config.settings import Settings

#: The server's key.
KEY: Final = "nestcms:fingerprint"

#: The collection with a database's own id, and its only document.
COLLECTION: Final = "fingerprint"
ONE: Final = "database"

#: The command that hands a server over.
HAND_OVER: Final = "nestcms-workers servers hand-over"

#: Seconds that MongoDB has to say whose database this is.
ASK_SECONDS = 2.0


class ForeignServer(redis.exceptions.ConnectionError):
    """Raised when a server carries another system's fingerprint; to whoever uses it, it is not there.

    Attributes:
        theirs: What it carries.
        ours: What this process has.
    """

    def __init__(self, part: str, theirs: str, ours: str) -> None:
        self.part, self.theirs, self.ours = part, theirs, ours
        super().__init__(part, theirs, ours)

    def __str__(self) -> str:
        return (
            f"the {self.part} is another system's: it carries {self.theirs}, this is {self.ours}. Nothing is taken "
            "from it and nothing put into it. Correct REDIS_URL, CACHE_URL, MONGO_URI, MONGO_DATABASE or "
            f"PAYTABS_PROFILE; or, after a restore, a move or a new profile, hand it over: {HAND_OVER} --reason …"
        )


@dataclass(frozen=True)
class Fingerprint:
    """Which system.

    Attributes:
        set: The replica set's name.
        id: The database's own id.
        database: Its name.
        profile: PayTabs' profile.
    """

    set: str
    id: str
    database: str
    profile: int

    def __str__(self) -> str:
        return f"set {self.set}, database {self.database} ({self.id[:8]}), profile {self.profile}"

    def to_json(self) -> str:
        """Write it as a server carries it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str | bytes) -> Self | None:
        """Read what `to_json` wrote, None for something else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None


def fingerprint_of(db: Database[Document], profile: int) -> Fingerprint:
    """Return the fingerprint of a database and a profile; the database gets its id where it has none."""
    found = db[COLLECTION].find_one({"_id": ONE})
    if found is None:
        change = {"$setOnInsert": {"id": uuid4().hex}}
        found = db[COLLECTION].find_one_and_update(
            {"_id": ONE}, change, upsert=True, return_document=ReturnDocument.AFTER
        )
    replica_set = str(db.client.admin.command("hello").get("setName") or "")
    return Fingerprint(replica_set, str((found or {})["id"]), db.name, profile)


_known: dict[tuple[str | None, str, int], Fingerprint] = {}


def ours(settings: Settings) -> Fingerprint:
    """Return this process's fingerprint: asked of the database once, and remembered.

    Raises:
        PyMongoError: the database does not answer.
        SettingsError: MONGO_URI is not set.
    """
    found = known(settings)
    if found is None:
        # A client of its own, closed at once: this may be a process that forks.
        with pymongo.timeout(ASK_SECONDS), mongo_client(settings) as client:
            found = _known[_name(settings)] = fingerprint_of(database(client, settings), settings.paytabs_profile)
    return found


def known(settings: Settings) -> Fingerprint | None:
    """Return this process's fingerprint if it was asked for before, without asking now."""
    return _known.get(_name(settings))


def _name(settings: Settings) -> tuple[str | None, str, int]:
    return settings.mongo_uri, settings.mongo_database, settings.paytabs_profile


def claim(connection: Any, own: Fingerprint, part: str) -> None:  # noqa: ANN401 - redis-py has several classes of them
    """Look at a server's fingerprint over a new connection to it, and write one's own where there is none.

    Args:
        connection: The connection.
        own: This process's fingerprint.
        part: What the server is for: `broker` or `cache`.

    Raises:
        ForeignServer: it carries another's.
        RedisError: it does not answer.
    """
    found = _asked(connection, "GET", KEY)
    if found is None:
        try:
            _asked(connection, "SET", KEY, own.to_json(), "NX")
        except redis.exceptions.ResponseError:
            return  # full, or a replica: it is looked at again with the next connection
        found = _asked(connection, "GET", KEY)
    require_own(found, own, part)


def look(connection: Any, own: Fingerprint, part: str) -> None:  # noqa: ANN401 - as above
    """Look at a server's fingerprint and write nothing.

    Raises:
        ForeignServer: it carries another's.
        RedisError: it does not answer.
    """
    require_own(_asked(connection, "GET", KEY), own, part)


def require_own(found: Any, own: Fingerprint, part: str) -> None:  # noqa: ANN401 - what a server gives
    """Compare what a server carries with one's own; one that carries nothing is nobody's.

    Raises:
        ForeignServer: it is another's, or unreadable.
    """
    if found is None:
        return
    theirs = Fingerprint.read(found)
    if theirs != own:
        raise ForeignServer(part, str(theirs) if theirs else "something unreadable", str(own))


def _asked(connection: Any, *command: str) -> Any:  # noqa: ANN401 - as above
    connection.send_command(*command)
    return connection.read_response()


def hand_over(server: redis.Redis, own: Fingerprint) -> str | None:
    """Have a server carry one's own fingerprint; returns in words what it carried before, None for nothing."""
    found: Any = server.get(KEY)
    server.set(KEY, own.to_json())
    return None if found is None else str(Fingerprint.read(found) or "something unreadable")


@contextlib.contextmanager
def lent(servers: Sequence[redis.Redis]) -> Iterator[None]:
    """Have servers carry nobody's fingerprint at first, and after the block what they carried before it."""
    before: list[Any] = [server.getdel(KEY) for server in servers]
    try:
        yield
    finally:
        for server, carried in zip(servers, before, strict=True):
            with contextlib.suppress(redis.exceptions.RedisError):
                server.delete(KEY) if carried is None else server.set(KEY, carried)
