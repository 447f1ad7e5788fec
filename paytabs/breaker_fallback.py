"""Redis first, this process alone while Redis is away: noticed by itself, said once, undone by itself."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

#: After a failure Redis is left alone for so long, so that a dead one does not cost every call its time limit.
RETRY_SHARED_SECONDS = 1.0

Home = TypeVar("Home")
Answered = TypeVar("Answered")

_log = structlog.get_logger(__name__)


class Fallback(Generic[Home]):
    """Chooses between a shared home and a local one, call by call.

    Args:
        what: What lives there, for the log.
        shared: The home in Redis.
        local: The home in this process.
        outages: What the shared home raises when it cannot be used.
        monotonic: A clock in seconds.
    """

    def __init__(
        self,
        what: str,
        shared: Home,
        local: Home,
        outages: tuple[type[Exception], ...],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._shared, self._local = what, shared, local
        self._outages, self._monotonic = outages, monotonic
        self._away = False
        self._shared_again_at = 0.0

    def ask(self, question: Callable[[Home], Answered]) -> tuple[Home, Answered]:
        """Ask the shared home, or the local one while that is away; return who answered, and what."""
        if self._away and self._monotonic() < self._shared_again_at:
            return self._local, question(self._local)
        try:
            answer = question(self._shared)
        except self._outages as error:
            self._leave(error)
            return self._local, question(self._local)
        self._come_back()
        return self._shared, answer

    def tell(self, home: Home, message: Callable[[Home], Answered]) -> Answered | None:
        """Tell one home something that belongs there; None when it is away, and what it would have learnt is lost."""
        if home is self._local:
            return message(home)
        try:
            return message(home)
        except self._outages as error:
            self._leave(error)
            return None

    def _leave(self, error: Exception) -> None:
        if not self._away:
            _log.warning("shared_state_unreachable", what=self._what, reason=type(error).__name__, detail=str(error))
        self._away = True
        self._shared_again_at = self._monotonic() + RETRY_SHARED_SECONDS

    def _come_back(self) -> None:
        if self._away:
            _log.info("shared_state_reachable", what=self._what)
        self._away = False
