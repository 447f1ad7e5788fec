"""One request and its answer: the time they have, and the exact moment the request begins to exist.

Every socket operation is given what is left of the whole call. The request is written at once, after one last look at
the fence: before that write nothing happened, after it anything may have.
"""

import socket
import threading
import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from paytabs.errors import DeadlineExceeded, FenceExpired
from paytabs.fault_points import fault_point

_Address = tuple[int, int, int, str, Any]


@dataclass
class Exchange:
    """One request and its answer on the wire.

    Attributes:
        connect_deadline: When the connection, TLS included, has to stand (`time.monotonic`).
        deadline: When the answer has to be read to its end.
        not_after: The fence: from here on nothing may be written.
        request_written: True from just before the first byte is handed to the kernel.
        stage: What to call a failure that happens now, while nothing is written.
    """

    connect_deadline: float
    deadline: float
    not_after: float | None = None
    request_written: bool = False
    stage: str = "not_connected"

    def remaining(self) -> float:
        """Give the seconds left of the call.

        Raises:
            DeadlineExceeded: When there are none.
        """
        return _left_until(self.deadline)

    def connect(self, host: str, port: int) -> socket.socket:
        """Open a TCP connection, giving each of the host's addresses a fair share of the time.

        Raises:
            OSError: When no address answers; `stage` says why.
        """
        self.stage = "dns"
        addresses = _resolve(host, port, _left_until(self.connect_deadline))
        failure: OSError = OSError("the name has no address")
        for position, address in enumerate(addresses):
            self.stage = "connect_timeout"
            share = _left_until(self.connect_deadline) / (len(addresses) - position)
            try:
                connection = _open(address, share)
            except OSError as error:
                self.stage = _connect_failure(error)
                failure = error
                continue
            # The TLS handshake that may follow is one operation and gets what is left for connecting.
            self.stage = "tls"
            connection.settimeout(_left_until(self.connect_deadline))
            return connection
        raise failure

    def write(self, connection: socket.socket, request: bytes) -> None:
        """Write a whole request, unless the fence or the deadline has passed.

        Raises:
            FenceExpired: Before the first byte.
            DeadlineExceeded: Before the first byte or between two.
        """
        self.stage = "connect_timeout"
        connection.settimeout(self.remaining())
        if self.not_after is not None:
            fault_point("before_write")
        if self.not_after is not None and time.monotonic() >= self.not_after:
            self.stage = "fence_expired"
            raise FenceExpired
        self.request_written = True
        sent = connection.send(request)
        while sent < len(request):
            connection.settimeout(self.remaining())
            sent += connection.send(memoryview(request)[sent:])
        if self.not_after is not None:
            fault_point("after_write")


#: The exchange this thread is busy with. urllib3 builds and keeps connections by itself, so it cannot be an argument.
CURRENT_EXCHANGE: ContextVar[Exchange] = ContextVar("paytabs_exchange")


def _left_until(moment: float) -> float:
    left = moment - time.monotonic()
    if left <= 0:
        raise DeadlineExceeded
    return left


def _resolve(host: str, port: int, timeout_seconds: float) -> Sequence[_Address]:
    # getaddrinfo knows no timeout: it runs in a thread of its own, which is left behind when it takes too long.
    answers: SimpleQueue[Sequence[_Address] | OSError | UnicodeError] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="paytabs-dns", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_seconds)
    except Empty:
        raise DeadlineExceeded from None
    if isinstance(answer, Exception):
        raise OSError("the name could not be resolved") from answer
    return answer


def _open(address: _Address, timeout_seconds: float) -> socket.socket:
    family, kind, protocol, _, sockaddr = address
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(timeout_seconds)
        connection.connect(sockaddr)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_failure(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "connect_refused"
    return "connect_timeout" if isinstance(error, TimeoutError) else "connect_failed"
