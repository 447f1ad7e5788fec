"""The cache of answers, shared by all processes: what it holds, whose turn it is to build, and what may be stored.

Decided here: one look is one round trip; what an earlier run of the server kept is a miss, because a restart may bring
back an entry and lose the invalidation that came after it; and a cache that has failed is left alone for a moment, so
that one which hangs costs each process one short wait a second and not one a read.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol
from uuid import uuid4

import structlog
from bson import Timestamp

from aggregations.entries import Entry, decode
from aggregations.errors import CacheAway
from aggregations.keyspace import Keyspace
from aggregations.sharing import SharedLooks
from aggregations.tokens import KEPT_SECONDS, latest

log = structlog.get_logger(__name__)

#: How long a cache that has failed is left alone, in seconds.
REST_SECONDS = 1.0

#: How long a fence is remembered, in seconds: longer than any build is paused and lives to tell. Later, its builder
#: finds none and stores nothing.
FENCE_SECONDS = 600

#: How many marks a process remembers.
MARKS_KNOWN = 10_000

_LOOK, _BEGIN, _FINISH = ((files("aggregations") / "lua" / f"{name}.lua").read_text() for name in
                          ("look", "begin", "finish"))  # fmt: skip
_MARK = "return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0"


class ScriptClient(Protocol):
    """The one thing needed of the cache; a `redis.Redis` that leaves its answers as bytes is one."""

    def eval(self, script: str, numkeys: int, *keys_and_args: str | bytes) -> Any:  # noqa: ANN401 - whatever the script returns
        """Run a script; the server keeps its compiled form."""


@dataclass(frozen=True)
class Seen:
    """What was found under a key: an entry that stands, if there is one, and whether somebody builds another."""

    entry: Entry | None
    building: bool


@dataclass(frozen=True)
class Turn:
    """The turn to build an entry: the fence, the run of the server, and the tags' tokens from before the build."""

    fence: str
    run: str
    tokens: dict[str, str]

    @property
    def read_after(self) -> Timestamp | None:
        """Return the time of the database that the build must have reached, if one is known."""
        return latest(self.tokens.values())


class Cache:
    """The cache of answers.

    Args:
        client: the server, with short time limits.
        outages: what `client` raises when the server cannot be used.
        monotonic: a clock in seconds.
        space: where the database's keys are.
    """

    def __init__(
        self,
        client: ScriptClient,
        *,
        outages: tuple[type[Exception], ...],
        monotonic: Callable[[], float] = time.monotonic,
        space: Keyspace = Keyspace(),  # noqa: B008 - it cannot change
    ) -> None:
        self._client, self._outages, self._monotonic, self._space = client, outages, monotonic, space
        self._away_until = 0.0
        self._marked: dict[str, float] = {}
        self._guard = threading.Lock()
        self._looks: SharedLooks[Seen] = SharedLooks()

    def look(self, key: str, tags: Sequence[str]) -> Seen:
        """Look for an entry that nothing has made out of date; how old it may be is the caller's to judge.

        Raises:
            CacheAway: the cache cannot be used now; so do all others.
        """
        return self._looks(key, lambda: self._look(key, tags))

    def _look(self, key: str, tags: Sequence[str]) -> Seen:
        named, place = self._space.tokens(tags), self._space.entry(key)
        run, raw, lock, *tokens = self._run(_LOOK, [place, _lock(place), *named.values()])
        entry = decode(raw) if raw is not None else None
        known = {name: token.decode() if token else None for name, token in zip(named, tokens, strict=True)}
        stands = entry is not None and entry.tokens.keys() == known.keys() and entry.stands(run.decode(), known)
        return Seen(entry if stands else None, lock is not None)

    def begin(self, key: str, tags: Sequence[str], *, lease_seconds: float) -> Turn | None:
        """Take the turn to build an entry, or None while another has it; read the tokens that it is built under."""
        named, place = self._space.tokens(tags), self._space.entry(key)
        arguments = [str(int(lease_seconds * 1000)), str(FENCE_SECONDS), str(KEPT_SECONDS), uuid4().hex]
        got = [part.decode() for part in self._run(_BEGIN, [_lock(place), _fence(place), *named.values()], arguments)]
        return Turn(got[0], got[1], dict(zip(named, got[2:], strict=True))) if got else None

    def finish(self, key: str, turn: Turn, raw: bytes, *, keep_seconds: float) -> bool:
        """Store what was built, and end the turn; False when a later turn has begun, or the server anew."""
        keep_ms = str(max(1, int(keep_seconds * 1000)))
        place = self._space.entry(key)
        keys = [_lock(place), _fence(place), place]
        return bool(self._run(_FINISH, keys, [turn.fence, turn.run, keep_ms, raw]))

    def give_up(self, key: str, turn: Turn) -> None:
        """End a turn without an entry."""
        self.finish(key, turn, b"", keep_seconds=0)

    def mark(self, key: str, *, seconds: float) -> bool:
        """Tell whether nobody has done this within the last seconds: of all who ask at once, one is told so."""
        now = self._monotonic()
        with self._guard:
            if now - self._marked.get(key, -seconds) < seconds:
                return False  # this process knows without asking
            if len(self._marked) >= MARKS_KNOWN:
                self._marked.clear()
            self._marked[key] = now
        return bool(self._run(_MARK, [f"{self._space.entry(key)}:asked"], [str(int(seconds * 1000))]))

    def _run(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes] = ()) -> Any:  # noqa: ANN401 - what the script returns
        if self._monotonic() < self._away_until:
            raise CacheAway
        try:
            return self._client.eval(script, len(keys), *keys, *arguments)
        except self._outages as error:
            self._away_until = self._monotonic() + REST_SECONDS
            log.warning("cache_unavailable", reason=type(error).__name__)
            raise CacheAway from error


def _lock(key: str) -> str:
    return f"{key}:lock"


def _fence(key: str) -> str:
    return f"{key}:fence"
