"""How time passes for whatever has an end: pages, invoices, agreements, cards. A test lets it pass without waiting.

Only ages are told by this clock. The times in answers and notices stay true ones, which receivers hold against theirs.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sandbox.identifiers import utc_now


class Clock:
    """The true time and how far it was put forward."""

    def __init__(self, source: Callable[[], datetime] = utc_now) -> None:
        self._source = source
        self._ahead = timedelta(0)
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        """Tell the time by which things age."""
        return self._source() + self._ahead

    @property
    def ahead(self) -> timedelta:
        """How far it is ahead of the true time."""
        return self._ahead

    def advance(self, by: timedelta) -> None:
        """Put it forward.

        Args:
            by: How far; never back.
        """
        with self._lock:
            self._ahead += by

    def set_ahead(self, ahead: timedelta) -> None:
        """Put it so far ahead of the true time; zero is the true time."""
        with self._lock:
            self._ahead = ahead
