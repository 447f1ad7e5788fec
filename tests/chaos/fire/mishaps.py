"""What befalls the servers and processes of a run, one thing after the other, and what must not come of it."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import cycle
from types import MappingProxyType

from payments.errors import Refusal
from tests.chaos.brokers import TROUBLES, Ordeal, TriedValkey
from tests.chaos.fire.clocks import asleep
from tests.chaos.fire.people import PASSING, People
from tests.chaos.fire.report import Line
from tests.support.guarded_mongo import RotatedMongo

#: How the CMS's payments are called while they are away.
ELSEWHERE = "payments_elsewhere"

#: How long the broker is in trouble, in seconds: sometimes for longer than PayTabs takes to answer.
TROUBLE_SECONDS = (0.5, 4.0)

#: How long the system's password is another one, in seconds.
SHUT_OUT_SECONDS = 12.0

#: The mishap for which the database has to ask who one is.
PASSWORD_ROTATED = "password rotated"

#: How long between two looks at processes and rows, in seconds.
LOOK_SECONDS = 1.0


class Mishaps:
    """Has one thing after the other befall a run, and looks meanwhile who ended and what sleeps for too long.

    Args:
        people: Of the running system, whose broker is one to be tried.
        names: What befalls it, in turn; keys of `MISHAPS`.
        pause_seconds: How long it is left alone between two mishaps.
        away_seconds: How long the CMS's payments are away.
        seed: Draws how long each trouble of the broker lasts.
    """

    def __init__(
        self, people: People, names: Sequence[str], *, pause_seconds: float, away_seconds: float, seed: int
    ) -> None:
        assert isinstance(people.stage.valkey, TriedValkey)
        self.people, self.stage = people, people.stage
        self.names, self._pause_seconds, self._away_seconds = names, pause_seconds, away_seconds
        self.ordeal = Ordeal(people.stage.valkey, random.Random(seed), TROUBLE_SECONDS)  # noqa: S311 - draws lengths
        self._pids = self.stage.system.pids()
        self._stop = threading.Event()
        self.done: Counter[str] = Counter()
        #: What could not be done or undone, which processes ended, and what slept for too long, in words.
        self.failures: list[str] = []
        self.ended: list[str] = []
        self.asleep: list[str] = []

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Let things happen beside the block, each of them once at least; at its end the last of them is over."""
        threads = [threading.Thread(target=act, name="mishaps", daemon=True) for act in (self._go_on, self._watch)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
            self.look()

    def look(self) -> None:
        """Note who has ended by himself, and what sleeps beyond its ladder now."""
        now = self.stage.system.pids()
        self.ended += [name for name, pid in self._pids.items() if pid and now[name] != pid]
        self._pids = {name: pid if pid is None else now[name] for name, pid in self._pids.items()}
        with suppress(*PASSING):
            self.asleep += asleep(self.people.world)

    def roll(self) -> None:
        """Replace every process by a new one, as a deployment does."""
        for name in self.stage.system.pids():
            self._pids[name] = None  # its end is no surprise meanwhile
            self.stage.system.restart(name)
            self._pids[name] = self.stage.system.pids()[name]

    def move_documents_away(self) -> None:
        """Give the CMS's payments another name for a while; who asks for one meanwhile hears that there is none."""
        self.people.passing.add(Refusal.PAYMENT_UNKNOWN)
        database = self.stage.database
        database["payments"].rename(ELSEWHERE)
        self._stop.wait(self._away_seconds)
        database[ELSEWHERE].rename("payments")

    def rotate_password(self) -> None:
        """Have the database let nobody in with the password that the system has, until an operator has mended it."""
        mongo = self.stage.mongo
        assert isinstance(mongo, RotatedMongo)
        mongo.rotate()
        self._stop.wait(SHUT_OUT_SECONDS)
        mongo.put_back()

    def lines(self) -> list[Line]:
        """Judge what came of it."""
        befell = ", ".join(f"{name} {number}" for name, number in self.done.items())
        missing = [f"{name}: never" for name in self.names if not self.done[name]]
        return [
            Line("everything befell servers and processes", befell, [*self.failures, *missing]),
            Line("no process ended but by the run's own hand", f"{len(self.ended)} ended", self.ended),
            Line("nothing sleeps beyond its ladder", f"{len(self.asleep)} found asleep", self.asleep),
        ]

    def _go_on(self) -> None:
        for number, name in enumerate(cycle(self.names)):
            if self._stop.wait(self._pause_seconds) and number >= len(self.names):
                return
            try:
                MISHAPS[name](self)
                self.done[name] += 1
            except Exception as error:  # noqa: BLE001 - what could not be done has to be told of
                self.failures.append(f"{name}: {type(error).__name__}: {error}")

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self.look()


def _broker(trouble: Callable[[Ordeal], None], mishaps: Mishaps) -> None:
    trouble(mishaps.ordeal)


#: Everything that may befall a run, by its name.
MISHAPS: Mapping[str, Callable[[Mishaps], None]] = MappingProxyType(
    {
        **{f"broker {name}": partial(_broker, trouble) for name, trouble in TROUBLES.items()},
        "rolling restart": Mishaps.roll,
        "payments away": Mishaps.move_documents_away,
        PASSWORD_ROTATED: Mishaps.rotate_password,
    }
)
