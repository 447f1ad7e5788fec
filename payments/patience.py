"""How long a comparison puts up with PayTabs' silence: parked questions wait for their turn, but not for ever.

A long run is throttled by the limiter and the breaker rather than failing: it sleeps and asks again. Only when nothing
conclusive has been said for a whole stretch of time, or the key is refused, is there no point in going on.
"""

import random
import time
from collections.abc import Callable

from payments.reconcile import is_conclusive
from paytabs.answers import PARKED
from paytabs.errors import LISTED_CODES
from paytabs.resilience import spread
from paytabs.responses import Answer

#: How long a parked question waits at least when nobody says how long, in seconds.
USUAL_WAIT_SECONDS = 1.0


class Patience:
    """Asks questions one after the other.

    Args:
        seconds: For how long PayTabs may say nothing conclusive.
        sleep: How to wait.
        monotonic: A clock in seconds.
        rng: Where the jitter comes from.
    """

    def __init__(
        self,
        seconds: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._seconds, self._sleep, self._monotonic, self._rng = seconds, sleep, monotonic, rng
        self._silent_since: float | None = None
        #: Whether there is no point in asking on.
        self.exhausted = False

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Ask a question, again whenever its turn has come, until it was asked or patience is exhausted.

        Returns:
            The last answer, conclusive or not.
        """
        while True:
            answer = question()
            if is_conclusive(answer):
                self._silent_since = None
                return answer
            left = self._left(answer)
            if answer.detail != PARKED or left <= 0:
                return answer
            wait = spread(answer.retry_after_seconds or USUAL_WAIT_SECONDS, self._rng)
            self._sleep(min(wait, left))

    def _left(self, answer: Answer) -> float:
        """Return how long PayTabs may still be silent, and note when that is over."""
        now = self._monotonic()
        if self._silent_since is None:
            self._silent_since = now
        left = self._silent_since + self._seconds - now
        known = LISTED_CODES.get(answer.error_code or 0)
        refused = known is not None and known.configuration_fault
        self.exhausted = refused or left < 0 or (left == 0 and answer.detail == PARKED)
        return 0.0 if refused else left
