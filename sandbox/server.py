"""The server: one process, one thread per connection, on a port of its own."""

import threading
from typing import TYPE_CHECKING, Self

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.app import create_application
from sandbox.world import World

if TYPE_CHECKING:
    from types import TracebackType

#: How often the accepting loop looks whether it shall end.
POLL_SECONDS = 0.05


class QuietHandler(WSGIRequestHandler):
    """Leaves the log to the wire, which knows of faults and writes no headers."""

    # Flask's debugger is not wanted, but HTTP/1.1 status lines are.
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing: the wire has done so."""


class SandboxServer:
    """A sandbox that listens; a context manager."""

    def __init__(self, world: World, host: str = "127.0.0.1", port: int = 0) -> None:
        """Bind the port.

        Args:
            world: The sandbox.
            host: Address to listen on.
            port: 0 for a free one.
        """
        self.world = world
        self._server: BaseWSGIServer = make_server(
            host, port, create_application(world), threaded=True, request_handler=QuietHandler
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="sandbox", daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{self._server.host}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.world.close()
