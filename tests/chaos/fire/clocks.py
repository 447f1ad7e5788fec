"""One worker's machine whose wall clock is wrong in every way, and what must not come of it."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

from pymongo.errors import PyMongoError

from payments.database_clock import DatabaseClock
from payments.oversleepers import sleepers
from tasks.wiring import World
from tests.chaos.fire.report import Line
from tests.support.clocks import MovedClock

#: An hour ahead, an hour behind, right, so little off that it goes on working, and there and back: seconds ahead.
JUMPS = (3600.0, -3600.0, 0.0, 40.0, -40.0, 86_400.0, 0.0, -86_400.0, 55.0, 3600.0)


def asleep(world: World) -> list[str]:
    """Name the rows that sleep beyond their ladder now."""
    parked = timedelta(seconds=world.settings.breaker_open_seconds)
    return sleepers(world.db, DatabaseClock(world.db)(), lease=world.ledger.lease, parked=parked)


class Jumping:
    """Moves a clock again and again, and looks each time whether anything sleeps for too long.

    Args:
        clock: The machine's.
        world: Through which rows are looked at.
        every_seconds: How long it stays as it is.
        jumps: Where it goes, in turn; none leaves it alone.
    """

    def __init__(
        self, clock: MovedClock, world: World, *, every_seconds: float, jumps: Sequence[float] = JUMPS
    ) -> None:
        self._clock, self._world, self._every_seconds, self._jumps = clock, world, every_seconds, jumps
        self._stop = threading.Event()
        self.jumped = 0
        #: What was found asleep beyond its ladder, in words.
        self.asleep: list[str] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Jump beside the block; at its end the clock is right."""
        thread = threading.Thread(target=self._go_on, name="jumping-clock", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._clock.move(0.0)
            self.look()

    def look(self) -> None:
        """Note what sleeps beyond its ladder now."""
        with suppress(PyMongoError):
            self.asleep += [f"{row} at {self._clock.ahead_seconds:+.0f} s" for row in asleep(self._world)]

    def lines(self) -> list[Line]:
        """Judge what came of it."""
        told = self._world.db["alerts"].count_documents({"name": "clock_off"})
        unseen = [] if told else ["nobody was told of the clock"]
        return [
            Line("a clock that jumps puts nothing to sleep", f"{self.jumped} jumps", self.asleep),
            Line("operators are told of it", f"{told} alerts", unseen if self.jumped else []),
        ]

    def _go_on(self) -> None:
        while not self._stop.wait(self._every_seconds):
            self._clock.move(self._jumps[self.jumped % len(self._jumps)])
            self.jumped += 1
            self.look()
