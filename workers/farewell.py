"""Ends a worker that was told to stop and does not: whatever it is at, it is gone within its grace.

Celery's own way to stop waits for whatever the main thread is in, and that may be a broker that does not answer. So a
thread hears the signal as the kernel delivers it, gives the worker its time, and then ends the process with its
children. What it was at comes back as after any death.
"""

import os
import signal
import socket
import threading
import time
from contextlib import suppress
from typing import Self

import psutil
import structlog

from config.settings import Settings

log = structlog.get_logger(__name__)

#: What ends a worker with the soft shutdown; SIGTERM does so where it stands for SIGQUIT.
STOPS = frozenset({signal.SIGTERM, signal.SIGQUIT})

#: How much longer than its soft shutdown a worker may take; who stops it waits two seconds more.
MARGIN_SECONDS = 3.0

#: The exit code of a worker that had to be ended.
EXIT_CODE = 1


class Farewell:
    """Hears the signal to stop and sees to it that the worker ends; made in the main thread, before children are.

    Args:
        settings: of this process.
    """

    def __init__(self, settings: Settings) -> None:
        self._seconds = settings.soft_shutdown_seconds + MARGIN_SECONDS
        self._hears, self._told = socket.socketpair()
        self._told.setblocking(False)  # noqa: FBT003 - the standard library's
        self._thread = threading.Thread(target=self._wait, name="farewell", daemon=True)

    def start(self) -> Self:
        """Begin to listen."""
        signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        # A signal to a child is none to its parent.
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
        self._thread.start()
        return self

    def _wait(self) -> None:
        while not any(number in STOPS for number in self._hears.recv(64)):
            pass
        time.sleep(self._seconds)
        log.critical("worker_ended", reason="it was told to stop and did not")
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.kill()
        os._exit(EXIT_CODE)
