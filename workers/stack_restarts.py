"""Who starts an embedded server again that ended by itself, as its container's restart policy would."""

from collections.abc import Iterator

from workers.errors import StackError
from workers.stack import LocalServers
from workers.stack_server import LocalServer
from workers.supervisor_restarts import Restarts


class KeptServers:
    """Looks after the servers that a run has started; those of the settings are their operator's.

    Args:
        servers: The run's.
    """

    def __init__(self, servers: LocalServers) -> None:
        own = [servers.valkey.server] if servers.valkey else []
        own += servers.mongo.servers if servers.mongo else []
        self._kept = [(server, Restarts()) for server in own]

    def __call__(self) -> Iterator[str]:
        """Start what has ended, when its time has come, and say so."""
        for server, restarts in self._kept:
            if restarts.is_due():
                yield _started(server, restarts)
            elif restarts.due is None and not server.running:
                seconds = restarts.ended()
                yield f"{server.program} has ended; it is started again in {seconds:g} s (restart {restarts.count})"


def _started(server: LocalServer, restarts: Restarts) -> str:
    server.stop(immediately=True)  # gives its directory back
    try:
        server.start()
    except StackError as error:
        return f"{error} It is tried again in {restarts.ended():g} s"
    restarts.began()
    return f"{server.program} is started again"
