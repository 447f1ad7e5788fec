"""How time passes for whatever has an end: pages, invoices, agreements, cards. A test lets it pass without waiting.

Only ages are told by this clock. The times in answers and notices stay true ones, which receivers hold against theirs.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sandbox.identifiers import utc_now
from sandbox.shelf import Shelf


class Clock:
    """The true time and how far it was put forward."""

    def __init__(self, shelf: Shelf, source: Callable[[], datetime] = utc_now) -> None:
        self._shelf = shelf
        self._source = source
        kept = dict(shelf.load("clock", timedelta))
        self._ahead = kept.get("ahead", timedelta(0))
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
            self._shelf.put("clock", "ahead", self._ahead)

    def set_ahead(self, ahead: timedelta) -> None:
        """Put it so far ahead of the true time; zero is the true time."""
        with self._lock:
            self._ahead = ahead
            self._shelf.put("clock", "ahead", ahead)
