"""A broker that is killed, loads, is demoted, is full or cannot save, at random instants under load: what it costs.

Two things are counted: processes of the system that ended, and messages that the broker had taken and no worker began.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import redis

from tests.chaos.stage import Stage
from tests.support.cms import seed_payment
from tests.support.waiting import eventually
from workers.stack import EmbeddedValkey

#: How many entries it has besides the system's, so that it answers LOADING while it starts, and each one's delay then.
BALLAST, LOAD_DELAY_US = 4_000, 250

#: How long PayTabs takes for a page: tasks are under way whenever the broker goes.
PAYTABS_SECONDS = 0.6

#: How long the broker is in trouble, and how long it is left alone between two troubles, in seconds.
TROUBLE_SECONDS, PEACE_SECONDS = (0.2, 1.2), (0.5, 4.0)

#: After how long without another message begun, or acknowledged, what is left is lost, in seconds: the machine may be
#: slow, and there may be many.
STILL_SECONDS = 45.0

#: Seconds between two looks.
LOOK_SECONDS = 1.0


class TriedValkey(EmbeddedValkey):
    """A Valkey of which everything can be tried; whatever it has answered survives its death."""

    load_delay_us = 0

    def _arguments(self, port: int) -> list[str]:
        # With a sync every second, answers may go out before they are written, and die with the process.
        more = {"appendfsync": "no", "enable-protected-configs": "local", "key-load-delay": self.load_delay_us}
        return super()._arguments(port) + [part for name, value in more.items() for part in (f"--{name}", str(value))]


@dataclass
class Ordeal:
    """One broker, and what is done to it.

    Args:
        valkey: The broker, which runs.
        rng: Draws instants and lengths.
        trouble_seconds: How long each trouble lasts, at least and at most.
    """

    valkey: TriedValkey
    rng: random.Random
    trouble_seconds: tuple[float, float] = TROUBLE_SECONDS
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Give it something to load."""
        with redis.Redis(port=self.valkey.port, db=9) as client, client.pipeline(transaction=False) as together:
            for number in range(BALLAST):
                together.set(f"ballast:{number}", "x")
            together.execute()

    def run(self, name: str) -> None:
        """Do one thing to the broker, after a random while."""
        time.sleep(self.rng.uniform(*PEACE_SECONDS))
        TROUBLES[name](self)
        self.done[name] += 1

    def wait(self) -> None:
        """Let the trouble last."""
        time.sleep(self.rng.uniform(*self.trouble_seconds))

    def kill(self) -> None:
        """Kill it, and start it again after a while."""
        self.valkey.kill()
        self.wait()
        self.valkey.start()

    def load(self) -> None:
        """Kill it, and have it take its time to load."""
        self.valkey.load_delay_us = LOAD_DELAY_US
        self.valkey.kill()
        self.valkey.start()
        self.valkey.load_delay_us = 0

    def demote(self, serves_stale: str) -> None:
        """Make it the replica of a server that is not there; it answers READONLY, or MASTERDOWN."""
        with self._client() as client:
            client.config_set("replica-serve-stale-data", serves_stale)
            client.execute_command("REPLICAOF", "127.0.0.1", "1")
            self.wait()
            client.execute_command("REPLICAOF", "NO", "ONE")

    def fill(self) -> None:
        """Leave it no memory: OOM."""
        with self._client() as client:
            client.config_set("maxmemory", "1")
            self.wait()
            client.config_set("maxmemory", "0")

    def cannot_save(self) -> None:
        """Let it fail to save itself: MISCONF."""
        with self._client() as client:
            home = client.config_get("dir")["dir"]
            client.config_set("dir", "/proc")
            client.config_set("save", "3600 1")
            client.bgsave()
            eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", what="a failed save")
            self.wait()
            client.config_set("save", "")
            client.config_set("dir", home)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        with redis.Redis(port=self.valkey.port, decode_responses=True, socket_timeout=5) as client:
            yield client


#: Everything that is done to the broker, by the word under which it is counted.
TROUBLES: Mapping[str, Callable[[Ordeal], None]] = MappingProxyType(
    {
        "killed": Ordeal.kill,
        "full (OOM)": Ordeal.fill,
        "demoted (UNBLOCKED, READONLY)": lambda ordeal: ordeal.demote("yes"),
        "demoted (UNBLOCKED, MASTERDOWN)": lambda ordeal: ordeal.demote("no"),
        "loading (LOADING)": Ordeal.load,
        "cannot save (MISCONF)": Ordeal.cannot_save,
    }
)


class Load:
    """Sends tasks all the time: looks, which nothing but their message would repeat, and pages, which take a while.

    Args:
        stage: The running system.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        #: The ids of the tasks that the broker took, and how many it did not take.
        self.taken: list[str] = []
        self.refused = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="load", daemon=True)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Send during the block."""
        self._thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            self._thread.join()

    def _go_on(self) -> None:
        payments = [seed_payment(self._stage.database).payment_id for _ in range(20)]
        for number in count():
            if self._stopped.wait(0.06):
                return
            page = number % 4 == 0
            payment = seed_payment(self._stage.database).payment_id if page else payments[number % len(payments)]
            task = "payments.create_page" if page else "payments.get"
            try:
                asked = self._stage.system.enqueue(task, payment_id=payment)
            except Exception:  # noqa: BLE001 - whatever it is, the broker has not said that it took it
                self.refused += 1
            else:
                self.taken.append(asked.id)


@dataclass(frozen=True)
class Found:
    """What an ordeal has cost."""

    done: Counter[str]
    taken: int
    refused: int
    ended: list[str]
    lost: list[str]
    left: int
    seconds: float


def suffer(stage: Stage, names: list[str], seed: int) -> Found:
    """Do these things to the broker of a system under load, and count what it cost."""
    assert isinstance(stage.valkey, TriedValkey)
    ordeal, load = Ordeal(stage.valkey, random.Random(seed)), Load(stage)  # noqa: S311 - draws instants
    stage.sandbox.fault("/payment/request", "slow", times=0, seconds=PAYTABS_SECONDS)
    before = stage.system.pids()
    with load.going_on():
        for name in names:
            ordeal.run(name)
        time.sleep(PEACE_SECONDS[0])
    stage.sandbox.clear_faults()
    began = time.monotonic()
    lost = unbegun(stage, set(load.taken))
    after = stage.system.pids()
    ended = [name for name, pid in before.items() if after[name] != pid]
    return Found(ordeal.done, len(load.taken), load.refused, ended, lost, in_hand(stage), time.monotonic() - began)


def unbegun(stage: Stage, taken: set[str]) -> list[str]:
    """Wait until every task was begun, and name those that never were."""
    return sorted(what_stays(lambda: taken - begun(stage)))


def begun(stage: Stage) -> set[str]:
    """Return the ids of the tasks that a worker has begun."""
    return {line["task_id"] for name in stage.system.workers for line in stage.system.lines(name, event="task_started")}


def in_hand(stage: Stage) -> int:
    """Wait until every message that is taken now is acknowledged, and count those that never are."""
    with redis.Redis(port=stage.valkey.port) as client:
        noted: Any = client
        first = set(noted.hkeys("unacked"))  # those of periodic tasks come and go
        return len(what_stays(lambda: first & set(noted.hkeys("unacked"))))


def what_stays(look: Callable[[], set[Any]]) -> set[Any]:
    """Look until nothing is left, or until it has been the same for long, and return what is left."""
    left, since = look(), time.monotonic()
    while left and time.monotonic() - since < STILL_SECONDS:
        time.sleep(LOOK_SECONDS)
        now = look()
        left, since = now, since if now == left else time.monotonic()
    return left


def tried_valkey(directory: Path) -> EmbeddedValkey:
    """Return a broker to be tried."""
    return TriedValkey(directory)
