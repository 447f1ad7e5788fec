"""Makes requests and urllib3 obey an `Exchange`.

They time each socket operation, not the call: an answer fed drop by drop would last for ever. And urllib3 writes a
request's head and body apart: here both are gathered, so that the exchange can write them at once.
"""

import io
import socket
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Any, Protocol

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

from paytabs.errors import AnswerTooLarge
from paytabs.exchange import CURRENT_EXCHANGE

#: Longer than any answer of PayTabs; a query by cart holds at most 20 thin entries.
MAX_ANSWER_BYTES = 1024 * 1024

#: What one read from an answer asks for.
_CHUNK_BYTES = 65_536


class TimedAdapter(HTTPAdapter):
    """A requests adapter whose connections obey `CURRENT_EXCHANGE`; it never retries and never uses a proxy."""

    def __init__(self) -> None:
        super().__init__(max_retries=0)
        self.poolmanager.pool_classes_by_scheme = {"http": _TimedPool, "https": _TimedTLSPool}


class _Readable(Protocol):
    def read(self, amt: int, *, decode_content: bool) -> bytes: ...


def read_answer(answer: _Readable) -> bytes:
    """Read an answer's body to its end, as it is on the wire.

    Raises:
        AnswerTooLarge: When it is longer than `MAX_ANSWER_BYTES`.
    """
    body = bytearray()
    while chunk := answer.read(_CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise AnswerTooLarge
    return bytes(body)


class _TimedReader(io.RawIOBase):
    """Gives each read from a socket what is left of the whole call."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        super().__init__()
        self._raw = raw
        self._connection = connection
        self._exchange = CURRENT_EXCHANGE.get()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - typeshed's buffer type exists for checkers only
        self._connection.settimeout(self._exchange.remaining())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on as they are
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_TimedReader(self.fp.detach(), sock))


class _TimedConnection(HTTPConnection):
    response_class = _TimedResponse

    _gathered: bytearray

    def _new_conn(self) -> socket.socket:
        try:
            connection = CURRENT_EXCHANGE.get().connect(self.host, self.port)
        except OSError as error:
            # urllib3 forgives some plain socket errors while it sends; a connection that never stood is none of those.
            raise NewConnectionError(self, str(error)) from error
        for option in self.socket_options or ():
            connection.setsockopt(*option)
        return connection

    def request(  # type: ignore[override]  # urllib3's own request breaks with its base class in the same way
        self,
        method: str,
        url: str,
        body: Any = None,  # noqa: ANN401 - urllib3 accepts many types, requests gives bytes
        headers: Mapping[str, str] | None = None,
        **options: bool,
    ) -> None:
        self._gathered = bytearray()
        super().request(method, url, body=body, headers=headers, **options)
        if self.sock is None:
            self.connect()
        CURRENT_EXCHANGE.get().write(self.sock, bytes(self._gathered))

    def send(self, data: Any) -> None:  # noqa: ANN401 - http.client accepts many types, requests sends bytes
        self._gathered += data


class _TimedTLSConnection(_TimedConnection, HTTPSConnection):
    pass


class _TimedPool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TimedTLSPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTLSConnection
