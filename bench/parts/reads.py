"""How heavy reads are timed: today's pipeline and ours in turn, without our indexes, with them, and from the cache."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from aggregations.catalogue import CATALOGUE, Aggregation
from aggregations.errors import AggregationError
from aggregations.runner import to_json
from bench.parts.reads_desk import ReadsDesk
from tests.support.todays_pipelines import TODAY

Document = dict[str, Any]

#: How often each is asked in one round, one time after the other, with our indexes and from the cache.
INDEXED, CACHED = 20, 10

#: What takes longer than this in one round, in seconds, is asked less often in it.
IN_A_ROW_SECONDS = 0.3


@dataclass
class Times:
    """What was measured of one aggregation, in seconds.

    Attributes:
        today: today's pipeline without our indexes, where there is one and it runs.
        bare: ours without our indexes.
        indexed: ours with them.
        cached: the runner's answer when it is remembered.
        failures: what today's pipeline answered instead.
        wrong: how often today's answer was another than ours.
        asked: how often today's was asked.
    """

    today: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    indexed: list[float] = field(default_factory=list)
    cached: list[float] = field(default_factory=list)
    failures: set[str] = field(default_factory=set)
    wrong: int = 0
    asked: int = 0


def timed_rounds(desk: ReadsDesk, rounds: int, *, tell: Any = lambda _: None) -> dict[str, Times]:  # noqa: ANN401 - a callable
    """Measure every aggregation in turn, round after round, about other documents each time."""
    times: dict[str, Times] = defaultdict(Times)
    random = Random(desk.plan.seed)  # noqa: S311 - data, not secrets
    for number in range(rounds):
        desk.show_indexes(visible=False)
        for name, _, asked in _each(desk, random):
            _without_indexes(desk, name, asked, times[name])
        desk.show_indexes(visible=True)
        for questions in zip(*[list(_each(desk, random)) for _ in range(INDEXED + 1)], strict=True):
            times[questions[0][0]].indexed += _in_a_row(desk, questions)
        for name, _, asked in _each(desk, random):
            times[name].cached += _cached(desk, name, asked)
        tell(number + 1)
    return dict(times)


def _each(desk: ReadsDesk, random: Random) -> Iterator[tuple[str, Aggregation, Document]]:
    """Give every aggregation with something to ask it."""
    for name, asked in desk.ask(random).items():
        if name in CATALOGUE:
            yield name, CATALOGUE[name], asked


def _in_a_row(desk: ReadsDesk, questions: Sequence[tuple[str, Aggregation, Document]]) -> list[float]:
    """Ask one question after the other; the first is not timed: what was planned without indexes is planned anew."""
    took: list[float] = []
    for _, row, asked in questions:
        took.append(ours(desk, row, asked)[1])
        if len(took) > 1 and sum(took) > IN_A_ROW_SECONDS:
            break
    return took[1:]


def ours(desk: ReadsDesk, row: Aggregation, asked: Document, comment: str | None = None) -> tuple[Any, float]:
    """Ask the database for one of ours, nothing remembered.

    Returns:
        The answer, and the seconds until its documents were there: the same as is timed of today's pipelines.
    """
    pipeline = row.build(row.parameters.model_validate(asked), desk.now)
    began = time.perf_counter()
    found = list(desk.db[row.collections[0]].aggregate(pipeline, comment=comment))
    took = time.perf_counter() - began
    return to_json(row.answer(found)), took


def examined(desk: ReadsDesk, *, seed: int = 0, times: int = 5) -> dict[str, tuple[int, int]]:
    """Count what the server examines for each, with our indexes as they are, and how many documents come back.

    The subject itself counts among those that come back: it is read as well.
    """
    counted: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    random = Random(seed)  # noqa: S311 - data, not secrets
    desk.db.command("profile", 2)
    for _ in range(times):
        for name, asked in desk.ask(random).items():
            if name in CATALOGUE:
                comment = f"examined {ObjectId()}"
                returned = 1 + len(listed(ours(desk, CATALOGUE[name], asked, comment)[0]))
                profiled = desk.db["system.profile"].find_one({"command.comment": comment, "op": "command"})
                documents = int((profiled or {}).get("docsExamined", 0))
                counted[name] = (counted[name][0] + documents, counted[name][1] + returned)
    desk.db.command("profile", 0)
    return dict(counted)


def listed(value: object) -> list[str]:
    """List the ids of the documents in an answer's lists."""
    if isinstance(value, dict):
        return [one for member in value.values() for one in listed(member)]
    if not isinstance(value, list):
        return []
    own = [str(one["_id"]) for one in value if isinstance(one, dict) and "_id" in one]
    return own + [one for member in value if isinstance(member, dict) for one in listed(member)]


def _without_indexes(desk: ReadsDesk, name: str, asked: Document, times: Times) -> None:
    answer, seconds = ours(desk, CATALOGUE[name], asked)
    times.bare.append(seconds)
    if name not in TODAY:
        return
    pipeline = TODAY[name].build(asked)
    times.asked += 1
    began = time.perf_counter()
    try:
        found = list(desk.db[TODAY[name].collection].aggregate(pipeline))
    except PyMongoError as error:
        times.failures.add(str((getattr(error, "details", None) or {}).get("codeName", type(error).__name__)))
        return
    times.today.append(time.perf_counter() - began)
    member = TODAY[name].member
    todays = [str(one["_id"]) for one in (found[0].get(member, []) if found and member else [])]
    times.wrong += sorted(todays) != sorted(listed(answer))


def _cached(desk: ReadsDesk, name: str, asked: Document) -> list[float]:
    """Ask the runner until it remembers, and time what it remembers; nothing, when it remembers nothing."""
    parameters = CATALOGUE[name].parameters.model_validate(asked)
    try:
        desk.world.aggregations.run(name, parameters)
    except (AggregationError, PyMongoError):  # over its time budget, on a machine that has much else to do
        return []
    taken = []
    for _ in range(CACHED):
        began = time.perf_counter()
        answer = desk.world.aggregations.run(name, parameters)
        if answer["source"] == "cache":
            taken.append(time.perf_counter() - began)
    return taken
