"""Threads of one process that look for the same thing at the same moment share one look.

A look that has begun is not joined: it may have missed what the newcomer has a right to see. The newcomers gather while
it is under way, and the next look is for all of them.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Found = TypeVar("Found")


@dataclass
class _Look(Generic[Found]):
    """One look: what it gives, and whether it has begun."""

    given: "Future[Found]" = field(default_factory=Future)
    begun: bool = False


class SharedLooks(Generic[Found]):
    """Gathers looks by key."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._last: dict[str, _Look[Found]] = {}

    def __call__(self, key: str, look: Callable[[], Found]) -> Found:
        """Return what `look`, begun after this call, gives here or in another thread; its error is everybody's."""
        with self._guard:
            last = self._last.get(key)
            if last is None or last.begun:
                mine = self._last[key] = _Look()
            else:
                mine = None
        if mine is None:
            assert last is not None  # noqa: S101 - for the type checker: there is one to join
            return last.given.result()
        return self._lead(key, mine, last, look)

    def _lead(self, key: str, mine: _Look[Found], last: _Look[Found] | None, look: Callable[[], Found]) -> Found:
        try:
            if last is not None:
                wait([last.given])  # a time limit may end this too, and others wait for `mine` already
            with self._guard:
                mine.begun = True
            found = look()
        except BaseException as error:
            mine.given.set_exception(error)
            raise
        else:
            mine.given.set_result(found)
            return found
        finally:
            with self._guard:
                if self._last.get(key) is mine:
                    del self._last[key]
