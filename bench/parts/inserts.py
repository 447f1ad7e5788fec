"""What our indexes cost a writer: the CMS's payments inserted with and without them, in turn."""

import time
from itertools import islice
from typing import Any

from pymongo.collection import Collection

from aggregations.indexes import INDEXES
from bench.parts.reads_desk import ReadsDesk
from workers.seed_plan import SeedPlan
from workers.seed_writing import chunks, documents

Document = dict[str, Any]

#: How many are inserted one by one, as the CMS does, and how many at once, in one round.
ONE_BY_ONE, AT_ONCE = 150, 2_000

#: How many payments are there before.
BEFORE = 100_000

#: A seed that was not used for what is there.
OTHER_SEED = 99


def insert_rates(desk: ReadsDesk, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Insert payments.

    Returns:
        Documents a second without and with our indexes, one pair a round: `one by one`, acknowledged by the majority's
        journal as the CMS writes, and `at once`.
    """
    plain, indexed = (_filled(desk, name) for name in ("bench_plain", "bench_indexed"))
    for index in INDEXES.values():
        if index.collection == "payments":
            indexed.create_index(list(index.keys), name=index.name)
    fresh = _payments(SeedPlan(max(desk.plan.scale, 0.5), OTHER_SEED))
    rates: dict[str, list[tuple[float, float]]] = {"one by one": [], "at once": []}
    for number in range(rounds):
        for how, count in (("one by one", ONE_BY_ONE), ("at once", AT_ONCE)):
            batch = list(islice(fresh, count))
            order = (plain, indexed) if number % 2 else (indexed, plain)
            took = {one.name: _seconds(one, batch, one_by_one=how == "one by one") for one in order}
            rates[how].append((count / took[plain.name], count / took[indexed.name]))
    plain.drop()
    indexed.drop()
    return rates


def _filled(desk: ReadsDesk, name: str) -> Collection[Document]:
    desk.db["payments"].aggregate([{"$limit": BEFORE}, {"$out": name}])
    return desk.db[name]


def _payments(plan: SeedPlan) -> Any:  # noqa: ANN401 - an iterator of documents
    return (one for chunk in chunks(plan) for name, one in documents(plan, chunk) if name == "payments")


def _seconds(into: Collection[Document], batch: list[Document], *, one_by_one: bool) -> float:
    began = time.perf_counter()
    if one_by_one:
        for one in batch:
            into.insert_one(one)
    else:
        into.insert_many(batch, ordered=False)
    return time.perf_counter() - began
