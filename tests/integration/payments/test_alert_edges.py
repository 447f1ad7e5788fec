from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from observability.alert_table import ALERTS
from tasks.alert_tending import tend
from tests.integration.payments.alert_edges import EDGES, ELSEWHERE
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment

TESTS = Path(__file__).parents[2]


def constants(path: str) -> set[str]:
    """Return the texts that names of a test's module, and of the modules that it imports, stand for."""
    module = import_module("tests." + path.removesuffix(".py").replace("/", "."))
    known = [module, *(one for one in vars(module).values() if isinstance(one, ModuleType))]
    values = [value for one in known for value in vars(one).values()]
    texts = [text for value in values for text in (value if isinstance(value, tuple) else [value])]
    return {text for text in texts if isinstance(text, str)}


class TestEdges:
    """Every alert of the table opens with its cause and closes without it."""

    def test_each(self) -> None:
        """Both edges of each are tested, here or where its own look is."""
        assert {*EDGES, *ELSEWHERE} == {*ALERTS}
        assert not EDGES.keys() & ELSEWHERE.keys()

    @pytest.mark.parametrize("name", EDGES)
    def test_both(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """Raised, it stays open while it is looked at; once the cause is gone the next look closes it, saying why."""
        alerts = stage.world.alerts
        assert alerts.open_keys(name) == []
        edge = EDGES[name](stage, seeded, monkeypatch)
        next(edge)
        (row,) = stage.database["alerts"].find({"name": name, "closed_at": None})
        tend(stage.world)
        assert alerts.open_keys(name) == [row["key"]]
        assert next(edge, "gone") == "gone"
        tend(stage.world)
        assert alerts.open_keys(name) == []
        closed = stage.database["alerts"].find_one({"_id": row["_id"]}) or {}
        assert closed["closed_why"]
        assert closed["closed_by"] in ("the system", "omar")

    @pytest.mark.parametrize(("name", "place"), ELSEWHERE.items())
    def test_elsewhere(self, name: str, place: tuple[str, str]) -> None:
        """The test that is named is there, and looks at whether that alert is open."""
        source = (TESTS / place[0]).read_text()
        body = source.partition(f"def {place[1]}(")[2].partition("\n    def ")[0]
        assert any(look in body for look in ("open_keys", "alerts ==", "overdue(", "open_alerts()"))
        assert name in source or name in constants(place[0])
