"""The primary dies while the CMS writes and people read: what failed, for how long, and what was lost."""

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from threading import Event
from typing import Any

from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from aggregations.errors import AggregationError
from aggregations.parameters import ClientPage, ContractParameters, SpanParameters
from tasks.publishing import leave_to_sweeps
from tasks.wiring import World, build_world
from tests.chaos.stage import Stage
from tests.support.cms import mongoose, seed_payment, user
from tests.support.waiting import eventually

Json = dict[str, Any]

#: The processes that read and keep reads fresh, beside those that take payments.
PROCESSES = ("worker-money", "worker-reads", "watcher", "beat", "receiver")

#: Between two writes, and between two reads of one kind, in seconds.
PAUSE_SECONDS = 0.02

#: The longest that anything may take to go on by itself, in seconds.
GOES_ON_SECONDS = 60.0


@dataclass
class Tries:
    """What came of doing one thing again and again: when it was done, and what it met with otherwise."""

    done: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def longest_gap(self) -> float:
        """Tell for how long it could not be had: the longest time from one success to the next, in seconds."""
        return max(late - early for early, late in pairwise(self.done))

    def keep_on(self, act: Callable[[], object], ended: Event) -> None:
        """Do it until the end; whatever the database says is noted."""
        while not ended.wait(PAUSE_SECONDS):
            try:
                act()
            except (PyMongoError, AggregationError) as error:
                self.errors.append(type(error).__name__)
            else:
                self.done.append(time.monotonic())


class Till:
    """One contract of the CMS, whose payments are written one after the other.

    Args:
        cms: the database, from a client that knows nothing of us.
    """

    def __init__(self, cms: Database[Json]) -> None:
        self._cms, self._client, contract = cms, user("Huda Saleh"), mongoose(title="Villa")
        self.contract, self.client = contract["_id"], self._client["_id"]
        self.acknowledged: list[ObjectId] = []
        cms["users"].insert_one(self._client)
        cms["contracts"].insert_one(contract)

    def write(self) -> None:
        """Write one payment, and note that it was acknowledged."""
        links = {"contractId": self.contract, "client": self.client}
        row = mongoose(amount="10.00", currency="SAR", status="paid", **links)
        self._cms["payments"].insert_one(row)
        self.acknowledged.append(row["_id"])

    def present(self) -> set[ObjectId]:
        """Return the payments that a majority has."""
        rows = self._cms.get_collection("payments", read_concern=ReadConcern("majority"))
        return {row["_id"] for row in rows.find({"contractId": self.contract}, {"_id": 1})}


@dataclass
class FailOver:
    """What a killed primary has done."""

    tries: dict[str, Tries]
    elected_seconds: float
    acknowledged: int
    lost: int
    went_on_seconds: float
    pages: int
    page_requests: int
    same_processes: bool


def kill_primary(stage: Stage, *, seconds: float, pages: int) -> FailOver:
    """Kill the primary amid reads and writes and tell what came of it; its node is back at the end.

    Args:
        stage: three nodes, with `PROCESSES`.
        seconds: how long reads and writes go on before the kill, and at least as long after.
        pages: how many payments' pages are asked for, half of them just after the kill.
    """
    settings = stage.system.settings.model_copy(update={"cache_url": None})
    plain = MongoClient[Json](settings.mongo_uri, tz_aware=True)
    with plain, closing(build_world(settings, send=leave_to_sweeps)) as world:
        till = Till(plain[settings.mongo_database])
        till.write()
        eventually(lambda: _shown(world, till) == 1, within_seconds=GOES_ON_SECONDS, what="the views")
        payments = [seed_payment(stage.database).payment_id for _ in range(pages)]
        ask = partial(stage.system.enqueue, "payments.create_page")
        before, members = stage.system.pids(), _read_members(world, till)
        with going_on({"write": till.write, **members}) as tries:
            asked = [ask(payment_id=payment) for payment in payments[: pages // 2]]
            time.sleep(seconds)
            killed = stage.mongo.wait_for_primary()
            began = time.monotonic()
            stage.mongo.kill(killed)
            asked += [ask(payment_id=payment) for payment in payments[pages // 2 :]]
            stage.mongo.wait_for_primary(other_than=killed)
            elected = time.monotonic() - began
            time.sleep(seconds)
        answers = [one.get(within_seconds=GOES_ON_SECONDS) for one in asked]
        made = [_until_made(stage, payment, answer) for payment, answer in zip(payments, answers, strict=True)]
        went_on = _until_shown(world, till)
        stage.mongo.restart(killed)
        return FailOver(
            tries=tries,
            elected_seconds=elected,
            acknowledged=len(till.acknowledged),
            lost=len(set(till.acknowledged) - till.present()),
            went_on_seconds=went_on,
            pages=len({page["tran_ref"] for page in made}),
            page_requests=len(stage.sandbox.requests("/payment/request")),
            same_processes=before == stage.system.pids(),
        )


@contextmanager
def going_on(acts: Mapping[str, Callable[[], object]]) -> Iterator[dict[str, Tries]]:
    """Do each of these again and again, beside one another, in this block."""
    ended, tries = Event(), {name: Tries() for name in acts}
    with ThreadPoolExecutor(len(acts)) as pool:
        running = [pool.submit(tries[name].keep_on, act, ended) for name, act in acts.items()]
        try:
            yield tries
        finally:
            ended.set()
        for one in running:
            one.result()


def _until_made(stage: Stage, payment_id: str, answer: Json) -> Json:
    """Return a page's answer; one that the lost primary left `queued` is asked for again, as its caller would."""

    def asked_again() -> Json | None:
        again = dict(stage.system.run("payments.create_page", payment_id=payment_id, within_seconds=GOES_ON_SECONDS))
        return again if "tran_ref" in again else None

    if "tran_ref" in answer:
        return answer
    made = eventually(asked_again, within_seconds=GOES_ON_SECONDS, every_seconds=0.5, what=f"the page of {payment_id}")
    assert made is not None
    return made


def _read_members(world: World, till: Till) -> dict[str, Callable[[], object]]:
    """List reads of every kind: from a view, at a secondary, and at the primary."""
    run = world.aggregations.run
    return {
        "payments_summary": partial(run, "payments_summary", SpanParameters()),
        "client_payments": partial(run, "client_payments", ClientPage(client_id=str(till.client), limit=5)),
        "contract_balance": partial(run, "contract_balance", ContractParameters(contract_id=str(till.contract))),
    }


def _shown(world: World, till: Till) -> int:
    """Return how many payments the stored view counts."""
    row = world.db["mv_contract_balances"].find_one({"_id": till.contract})
    return sum(one["payments"] for one in row["rows"]) if row else 0


def _until_shown(world: World, till: Till) -> float:
    """Write one more payment and wait until the stored view has all of them; return how long that took, in seconds."""
    till.write()
    began = time.monotonic()
    count = len(till.present())
    eventually(lambda: _shown(world, till) == count, within_seconds=GOES_ON_SECONDS, what="a view with every payment")
    return time.monotonic() - began
