"""Who kills what the system runs on: a whole worker every few seconds, Valkey and mongod's primary once each."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.chaos.stage import Stage

#: How long Valkey is away, in seconds.
VALKEY_AWAY_SECONDS = 1.0

#: How long the killed node of the replica set stays away after another has been elected, in seconds.
NODE_AWAY_SECONDS = 2.0


class Killers:
    """Kill in threads of their own, and count.

    Args:
        stage: The running system; its workers die in turn.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage, self.workers = stage, stage.system.workers
        self.killed: Counter[str] = Counter()
        #: What could not be started again, in words.
        self.failures: list[str] = []
        #: How long it was from one death of a worker to the next, on average.
        self.seconds_between = 0.0
        self._turn = 0
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
        """Kill a worker that runs, all of its processes, every so many seconds; it is started again meanwhile."""

        def act() -> None:
            began = time.monotonic()
            with ThreadPoolExecutor(len(self.workers)) as starters:
                starts = {name: starters.submit(_nothing) for name in self.workers}
                for number in range(1, at_most + 1):
                    if self._stop.wait(max(0.0, began + number * seconds - time.monotonic())):
                        break
                    name = self._one_that_runs(starts)
                    self.stage.system.kill(name)
                    self.killed["a whole worker"] += 1
                    starts[name] = starters.submit(self._safely, partial(self.stage.system.restart, name))
            self.seconds_between = (time.monotonic() - began) / max(1, self.killed["a whole worker"])

        return act

    def _one_that_runs(self, starts: Mapping[str, Future[Any]]) -> str:
        """Wait for a worker that is not being started, the one that was killed longest ago first."""
        wait(starts.values(), return_when=FIRST_COMPLETED)
        self._turn += 1
        names = [self.workers[(self._turn + place) % len(self.workers)] for place in range(len(self.workers))]
        return next(name for name in names if starts[name].done())

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
        except Exception as error:  # noqa: BLE001 - a killer that ends early has to be told of
            self.failures.append(f"{type(error).__name__}: {error}")


def _nothing() -> None:
    """Stand for the start of a worker that runs."""
