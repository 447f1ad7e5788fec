from typing import Any

import pytest
from pymongo.database import Database
from structlog.testing import capture_logs

from aggregations.errors import BudgetExceeded
from aggregations.performance import PerformanceLog
from tasks.base import may_pass
from tests.integration.aggregations.conftest import MakeShelf
from tests.integration.aggregations.shelf import WORTH
from tests.support.waiting import eventually

Json = dict[str, Any]

#: A stage that keeps the server busy for 50 ms with each document.
SLOW = {"$match": {"$expr": {"$function": {"body": "function() { sleep(50); return true }", "args": [], "lang": "js"}}}}


def slow(_asked: object, _now: object) -> list[Json]:
    """Read everything, slowly."""
    return [SLOW]


class TestBudget:
    """A read that takes too long ends on the server, and its caller is told why."""

    def test_killed_on_the_server(self, make_shelf: MakeShelf, database: Database[Json]) -> None:
        """The error names the budget and is not tried again; nothing of the query runs on."""
        shelf = make_shelf(changes={"build": slow, "budget_ms": 300})
        database["things"].insert_many([{} for _ in range(200)])
        with pytest.raises(BudgetExceeded, match=r"^worth: .* time budget of 300 ms") as failed:
            shelf.ask()
        assert not may_pass(failed.value)
        eventually(lambda: not running(database), within_seconds=5, what="the end of the query")
        assert shelf.text.exists(f"{shelf.key}:lock") == 0


def running(database: Database[Json]) -> list[Json]:
    """List what of our reads runs on the server."""
    operations = database.client.admin.aggregate([{"$currentOp": {}}])
    return [one for one in operations if one.get("command", {}).get("comment") == "aggregations.worth"]


class TestPerformanceLog:
    """Slow and scanning reads are told of, with their plan and without what was asked for."""

    @pytest.fixture
    def watch(self) -> PerformanceLog:
        """A log for which a tenth of a second is slow."""
        return PerformanceLog(slow_seconds=0.1)

    def test_slow(self, make_shelf: MakeShelf, watch: PerformanceLog) -> None:
        """One line with name, parameters' names, plan and time; the next one without asking for the plan again."""
        slowly = {"build": lambda asked, now: [*WORTH.build(asked, now), SLOW, SLOW, SLOW]}
        shelf = make_shelf(changes=slowly, watch=watch)
        with capture_logs() as lines:
            shelf.ask()
            eventually(lambda: told(lines, "aggregation_slow"))
            shelf.change(2)
            shelf.ask()
            eventually(lambda: len(told(lines, "aggregation_slow")) == 2)
        first, second = told(lines, "aggregation_slow")
        assert (first["aggregation"], first["parameters"], first["returned"]) == ("worth", ["thing"], 1)
        assert first["milliseconds"] >= 100
        assert any("IDHACK" in step or "_id_" in step for step in first["plan"])
        assert (first["examined"], second["plan"]) == (1, None)
        assert shelf.thing not in str(lines)

    def test_scans(self, make_shelf: MakeShelf, watch: PerformanceLog, database: Database[Json]) -> None:
        """A fast read that goes through a whole large collection is told of, one through a small one is not."""
        pipeline = [{"$match": {"kind": "secret"}}, {"$limit": 1}]
        shelf = make_shelf(changes={"build": lambda *_: pipeline, "answer": len}, watch=watch)
        database["things"].insert_many([{"kind": "other"} for _ in range(1_500)])
        with capture_logs() as lines:
            shelf.ask()
            (line,) = eventually(lambda: told(lines, "aggregation_scans"))
        assert line["examined"] >= 1_500
        assert any("COLLSCAN" in step for step in line["plan"])
        assert "secret" not in str(lines)
        few = {"collections": ("few",), "build": lambda *_: pipeline, "answer": len}
        calm = PerformanceLog(slow_seconds=9)
        small = make_shelf(changes=few, watch=calm)
        database["few"].insert_one({"kind": "other"})
        with capture_logs() as lines:
            small.ask()
            eventually(lambda: not calm._one_at_a_time.locked())
        assert told(lines, "aggregation_scans") == []


def told(lines: list[Any], event: str) -> list[Any]:
    """List the lines of one kind."""
    return [line for line in lines if line["event"] == event]
