"""One limiter per profile over all processes: how often PayTabs is called, and how many calls are under way.

A call reserves its turn and is told how long to wait for it, so nobody polls for a turn; a wait that is not worth it
reserves nothing. A place under way is leased: a caller that was killed gives it back when the lease ends.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from paytabs.breaker_errors import LimitExceeded
from paytabs.breaker_fallback import Fallback
from paytabs.breaker_rules import ScriptClient
from paytabs.limiter_homes import LocalLimiter, SharedLimiter
from paytabs.limiter_rules import LimiterRules, LimiterState

#: How long one who waits for a place waits between two looks, at most; at least half of it.
LOOK_SECONDS = 0.05


class Limiter:
    """The limiter of one profile, the same in every process that is given the same Redis and name.

    Args:
        client: Redis, with short time limits and no retries of its own.
        name: Which limiter.
        outages: What `client` raises when Redis cannot be used, `(redis.exceptions.RedisError,)`; then this process
            keeps to the same numbers by itself.
        rules: The numbers.
        rng: Where the jitter comes from.
        sleep: How to wait.
    """

    def __init__(
        self,
        client: ScriptClient,
        name: str,
        *,
        outages: tuple[type[Exception], ...],
        rules: LimiterRules | None = None,
        rng: Callable[[], float] = random.random,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.rules = rules or LimiterRules()
        self._rng, self._sleep = rng, sleep
        shared: LimiterState = SharedLimiter(client, name, self.rules)
        self._homes = Fallback("limiter", shared, LocalLimiter(self.rules), outages)

    def reserve(self) -> float:
        """Reserve a turn.

        Returns:
            How many seconds to wait for it, 0 for none.

        Raises:
            LimitExceeded: The wait would be longer than the rules allow; nothing was reserved.
        """
        _, reserved = self._homes.ask(lambda home: home.reserve())
        if not reserved.granted:
            raise self._exceeded("the calls of the next seconds are spoken for", reserved.wait_seconds)
        return reserved.wait_seconds

    @contextmanager
    def slot(self, owner: str) -> Iterator[None]:
        """Hold one of the places for calls under way.

        Args:
            owner: Who holds it, for operators.

        Raises:
            LimitExceeded: No place became free within the longest wait.
        """
        token = f"{owner}#{uuid4().hex}"
        home = self._take(token)
        try:
            yield
        finally:
            self._homes.tell(home, lambda state: state.give(token))

    def _take(self, token: str) -> LimiterState:
        waited_seconds = 0.0
        while True:
            home, taken = self._homes.ask(lambda state: state.take(token))
            if taken:
                return home
            if waited_seconds >= self.rules.longest_wait_seconds:
                raise self._exceeded("all places are taken", 0.0)
            look_seconds = (1 + self._rng()) / 2 * LOOK_SECONDS
            self._sleep(look_seconds)
            waited_seconds += look_seconds

    def _exceeded(self, reason: str, wait_seconds: float) -> LimitExceeded:
        return LimitExceeded(reason, wait_seconds + self._rng() * self.rules.jitter_seconds)
