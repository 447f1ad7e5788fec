import json
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, DatetimeMS, MinKey, ObjectId, Regex, Timestamp
from pymongo.database import Database

from aggregations.catalogue import CATALOGUE
from aggregations.errors import AnswerTooLarge
from aggregations.runner import AggregationRunner
from tasks.base import CALLERS_MISTAKES, may_pass
from tests.support.cms import mongoose
from tests.support.random_cms import NOW

Json = dict[str, Any]

#: Values that JSON has no word for, and what is told of them.
STRANGE: dict[str, tuple[object, object]] = {
    "bytes": (b"\x00\xff", {"$binary": {"base64": "AP8=", "subType": "00"}}),
    "uuid": (Binary(b"\x01" * 16, 4), {"$binary": {"base64": "AQEBAQEBAQEBAQEBAQEBAQ==", "subType": "04"}}),
    "pattern": (Regex("^a"), {"$regularExpression": {"pattern": "^a", "options": ""}}),
    "oplog time": (Timestamp(7, 1), {"$timestamp": {"t": 7, "i": 1}}),
    "least of all": (MinKey(), {"$minKey": 1}),
    "year 275760": (DatetimeMS(8_640_000_000_000_000), {"$date": {"$numberLong": "8640000000000000"}}),
}

#: Times of JavaScript before the year 1 and after the year 9999, in milliseconds.
BEYOND = (-8_640_000_000_000_000, -62_135_596_800_001, 253_402_300_800_000, 8_640_000_000_000_000)


@pytest.fixture
def runner(database: Database[Json]) -> AggregationRunner:
    """The runner, its clock standing still."""
    return AggregationRunner(database, clock=lambda: NOW)


def ask(runner: AggregationRunner, name: str, **asked: Any) -> Any:
    """Give an answer's data."""
    return runner.run(name, CATALOGUE[name].parameters.model_validate(asked))["data"]


def project_of(database: Database[Json], *designs: Json) -> str:
    """Write a project with these designs, and give its id."""
    project = mongoose(designs=[one["_id"] for one in designs])
    database["projects"].insert_one(project)
    database["designs"].insert_many(designs)
    return str(project["_id"])


class TestStrangeValues:
    """A strange member of one document keeps nobody from the answer."""

    @pytest.mark.parametrize("kind", STRANGE)
    def test_told(self, runner: AggregationRunner, database: Database[Json], kind: str) -> None:
        """What JSON has no word for is MongoDB's Extended JSON."""
        value, told = STRANGE[kind]
        project = project_of(database, {"_id": ObjectId(), "scan": value})
        answer = json.loads(json.dumps(ask(runner, "project_designs", project_id=project), allow_nan=False))
        assert answer["designs"][0]["scan"] == told

    @pytest.mark.parametrize("moment", BEYOND)
    def test_no_month(self, runner: AggregationRunner, database: Database[Json], moment: int) -> None:
        """A payment from a year that nobody can write is in the sums, under no month."""
        payment = {"amount": "7.00", "currency": "SAR"}
        created = {"createdAt": datetime(2026, 8, 1, tzinfo=UTC)}
        database["payments"].insert_many([payment | {"createdAt": DatetimeMS(moment)}, {**payment, **created}])
        rows = ask(runner, "payments_summary")["rows"]
        assert [(row["month"], row["amount"]) for row in rows] == [(None, "7.00"), ("2026-08", "7.00")]
        ageing = ask(runner, "receivables_ageing")
        assert sum(row["payments"] for row in ageing["brackets"]) == 2


class TestTooLarge:
    """MongoDB puts no more than 16 MB into one document."""

    def test_said(self, runner: AggregationRunner, database: Database[Json]) -> None:
        """The error says what to do, and the same is not tried again; a shorter page is answered."""
        project = project_of(database, *({"_id": ObjectId(), "desc": "x" * 1_000_000} for _ in range(18)))
        with pytest.raises(AnswerTooLarge, match=r"^project_designs: .* 16 MB .* ask for less") as failed:
            ask(runner, "project_designs", project_id=project)
        assert isinstance(failed.value, CALLERS_MISTAKES)
        assert not may_pass(failed.value)
        assert ask(runner, "project_designs", project_id=project, limit=2)["more"] is True
