"""The members of the replica set, which of them is read now, and the thread that keeps watching the secondaries.

One client serves all of it: its `server_selector` is `only_the_chosen`, which lets through the member that the running
code has chosen, and everything where nothing is chosen.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar

import structlog
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.server_description import ServerDescription

from aggregations.errors import MayPass
from aggregations.heartbeat import Heartbeat
from aggregations.member_health import MemberHealth
from observability.metrics import REPLICA_EJECTED, REPLICA_LAG

log = structlog.get_logger(__name__)

Document = dict[str, Any]
Address = tuple[str, int | None]
Server = TypeVar("Server", bound=ServerDescription)

#: Seconds between two rounds of probes.
ROUND_SECONDS = 1.0

#: Seconds after the first round of a watch: what was written in it has reached the others by then.
FIRST_SECONDS = 0.25

#: How long after the last read the watch goes on, in seconds.
IDLE_SECONDS = 60.0

#: What members are to the driver: the one that is written to, one that may be read, those that never are.
PRIMARY, SECONDARY, NO_DATA = "RSPrimary", "RSSecondary", frozenset({"RSArbiter", "RSGhost"})

_CHOSEN: ContextVar[Address | None] = ContextVar("chosen_member", default=None)


class ChosenAway(MayPass, PyMongoError):
    """Raised at once when the chosen member is not there: the driver would wait for it as long as the read may take.

    It is no `ConnectionFailure`, after which the driver would look for that member again and again.
    """


def only_the_chosen(servers: Sequence[Server]) -> Sequence[Server]:
    """Leave the chosen member of those that may be read; PyMongo's `server_selector`.

    Raises:
        ChosenAway: it is not among them.
    """
    chosen = _CHOSEN.get()
    if chosen is None:
        return servers
    if found := [server for server in servers if server.address == chosen]:
        return found
    raise ChosenAway(f"{named(chosen)} is not there")


@contextlib.contextmanager
def chosen(address: Address) -> Iterator[None]:
    """Read from one member, and from no other, in this block."""
    token = _CHOSEN.set(address)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def named(address: Address) -> str:
    """Return a member's address as text."""
    return f"{address[0]}:{address[1]}"


class Members:
    """Watches the secondaries while anybody reads.

    Args:
        database: ours, of a client whose `server_selector` is `only_the_chosen`.
        bound_seconds: the longest lag with which a secondary is read.
        monotonic: a clock in seconds.
    """

    def __init__(
        self,
        database: Database[Document],
        *,
        bound_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._bound_seconds, self.monotonic = database.client, bound_seconds, monotonic
        self._heartbeat = Heartbeat(database, monotonic)
        self._health: dict[Address, MemberHealth] = {}
        self._lock = threading.Lock()
        self._ready, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._asked_at = 0.0

    def close(self) -> None:
        """Watch no more; returns when nothing is under way."""
        self._closed.set()
        if (thread := self._thread) is not None:
            thread.join()

    def roles(self) -> dict[Address, str]:
        """Return what each member that has data is to the driver now; empty where there is no replica set."""
        topology = self._client.topology_description
        if not topology.topology_type_name.startswith("ReplicaSet"):
            return {}
        found = {address: one.server_type_name for address, one in topology.server_descriptions().items()}
        return {address: role for address, role in found.items() if role not in NO_DATA}

    def readable(self) -> list[Address]:
        """Return the secondaries that may be read now, having begun to watch them if need be."""
        self._watch()
        now, roles = self.monotonic(), self.roles()
        with self._lock:
            well = [address for address, health in self._health.items() if health.may_be_read(now)]
        return [address for address in well if roles.get(address) == SECONDARY]

    def health(self) -> dict[Address, MemberHealth]:
        """Return what is known of each secondary."""
        with self._lock:
            return dict(self._health)

    def lag_seconds(self, address: Address) -> float:
        """Return how far a member lags at most."""
        with self._lock:
            health = self._health.get(address)
        lag = None if health is None else health.lag_seconds(self.monotonic())
        return self._bound_seconds if lag is None else lag

    def failed(self, address: Address) -> None:
        """Note that a read of a member had no answer."""
        with self._lock:
            if health := self._health.get(address):
                health.failed()
                _tell(address, health, self.monotonic())

    def survey(self) -> None:
        """Write a heartbeat and probe all secondaries for it, here and now: for those who only look."""
        with ThreadPoolExecutor() as pool:
            self._beat()
            time.sleep(FIRST_SECONDS)
            self._round(pool)

    def _watch(self) -> None:
        with self._lock:
            self._asked_at = self.monotonic()
            if self._thread is None and not self._closed.is_set():
                self._ready.clear()
                self._health.clear()
                self._thread = threading.Thread(target=self._go_on, name="replica-watch", daemon=True)
                self._thread.start()
        self._ready.wait(2 * ROUND_SECONDS)

    def _go_on(self) -> None:
        try:
            with ThreadPoolExecutor() as pool:
                self._beat()
                self._closed.wait(FIRST_SECONDS)
                while not (self._closed.is_set() or self._is_idle()):
                    began = self.monotonic()
                    self._round(pool)
                    self._ready.set()
                    self._closed.wait(max(0.0, ROUND_SECONDS - (self.monotonic() - began)))
        finally:
            with self._lock:
                self._forget(self._health.keys())
                self._thread = None  # the next read begins to watch again

    def _is_idle(self) -> bool:
        with self._lock:
            return self.monotonic() - self._asked_at > IDLE_SECONDS

    def _beat(self) -> None:
        try:
            self._heartbeat.beat()
        except PyMongoError as error:
            log.info("heartbeat_not_written", reason=type(error).__name__)

    def _round(self, pool: ThreadPoolExecutor) -> None:
        self._beat()
        secondaries = {address for address, role in self.roles().items() if role != PRIMARY}
        with self._lock:
            self._forget(self._health.keys() - secondaries)
            for new in secondaries - self._health.keys():
                self._health[new] = MemberHealth(self._bound_seconds)
        list(pool.map(self._probe, secondaries))

    def _forget(self, addresses: Iterable[Address]) -> None:
        """Know nothing of these any more, and show nothing of them."""
        for address in list(addresses):
            del self._health[address]
            for gauge in (REPLICA_LAG, REPLICA_EJECTED):
                with contextlib.suppress(KeyError):  # it was never probed
                    gauge.remove(named(address))

    def _probe(self, address: Address) -> None:
        try:
            with chosen(address):
                fresh_as_of = self._heartbeat.fresh_as_of()
        except PyMongoError:
            self.failed(address)
            return
        with self._lock:
            if health := self._health.get(address):
                health.probed(self.monotonic(), fresh_as_of)
                _tell(address, health, self.monotonic())


def _tell(address: Address, health: MemberHealth, now: float) -> None:
    lag = health.lag_seconds(now)
    if lag is not None:
        REPLICA_LAG.labels(member=named(address)).set(lag)
    REPLICA_EJECTED.labels(member=named(address)).set(bool(health.ejected))
