"""Who kills what the system runs on: a whole worker every few seconds, Valkey and mongod's primary once each."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.chaos.stage import Stage
from workers.errors import StackError, SupervisorError

#: How long Valkey is away, in seconds.
VALKEY_AWAY_SECONDS = 1.0

#: How long the killed node of the replica set stays away after another has been elected, in seconds.
NODE_AWAY_SECONDS = 2.0


class Killers:
    """Kill in threads of their own, and count.

    Args:
        stage: The running system.
        workers: The names of its workers; they die in turn.
    """

    def __init__(self, stage: Stage, workers: Sequence[str]) -> None:
        self.stage, self.workers = stage, workers
        self.killed: Counter[str] = Counter()
        #: What could not be started again, in words.
        self.failures: list[str] = []
        self._stop = threading.Event()

    @contextmanager
    def at_work(self, *acts: Callable[[], None]) -> Iterator[None]:
        """Let the acts go on beside the block, each in a thread; at its end whatever was killed runs again."""
        threads = [threading.Thread(target=self._safely, args=(act,), name="killer", daemon=True) for act in acts]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def worker_every(self, seconds: float, *, at_most: int) -> Callable[[], None]:
        """Kill one worker after the other, all of its processes, and start it again."""

        def act() -> None:
            began = time.monotonic()
            for number in range(at_most):
                if self._stop.wait(max(0.0, began + (number + 1) * seconds - time.monotonic())):
                    return
                name = self.workers[number % len(self.workers)]
                self.stage.system.kill(name)
                self.killed["a whole worker"] += 1
                self.stage.system.restart(name)

        return act

    def valkey_after(self, seconds: float) -> Callable[[], None]:
        """Kill Valkey and start it again on its data."""

        def act() -> None:
            if not self._stop.wait(seconds):
                self.stage.valkey.kill()
                self.killed["Valkey"] += 1
                time.sleep(VALKEY_AWAY_SECONDS)
                self.stage.valkey.start()

        return act

    def primary_after(self, seconds: float) -> Callable[[], None]:
        """Kill the primary, and start it again when another one leads."""

        def act() -> None:
            if not self._stop.wait(seconds):
                first = self.stage.mongo.wait_for_primary()
                self.stage.mongo.kill(first)
                self.killed["mongod's primary"] += 1
                self.stage.mongo.wait_for_primary(other_than=first)
                time.sleep(NODE_AWAY_SECONDS)
                self.stage.mongo.restart(first)

        return act

    def _safely(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (StackError, SupervisorError) as error:
            self.failures.append(str(error))
