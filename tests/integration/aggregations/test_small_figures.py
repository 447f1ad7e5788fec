"""The measurement of heavy reads in small: what a server counts instead of what a clock says."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from aggregations.catalogue import CATALOGUE
from bench.parts.bars import bars
from bench.parts.inserts import insert_rates
from bench.parts.reads import examined, listed, timed_rounds
from bench.parts.reads_desk import ReadsDesk, on_servers
from bench.parts.reads_report import chart, report
from bench.parts.reads_targets import FASTER, Figures, targets
from config.settings import Settings
from workers.seed_plan import SeedPlan

#: The namespace of drawings.
SVG = "{http://www.w3.org/2000/svg}"

#: Those that are promised to be many times faster, as far as they are in the catalogue.
PROMISED = sorted(FASTER.keys() & CATALOGUE.keys())


@pytest.fixture
def desk(settings: Settings) -> Iterator[ReadsDesk]:
    """A hundred families on the servers of the test run."""
    with on_servers(settings, SeedPlan(0.002)) as built:
        yield built
        built.world.client.drop_database(settings.mongo_database)


class TestFigures:
    """The whole measurement, a thousandth of its size."""

    def test_whole(self, desk: ReadsDesk) -> None:
        """Every aggregation is asked in every way, every target is judged; and our indexes spare the promised reads."""
        times = timed_rounds(desk, 2)
        counted = examined(desk, seed=5, times=3)
        desk.show_indexes(visible=False)
        hidden = examined(desk, seed=5, times=3)
        desk.show_indexes(visible=True)
        figures = Figures(desk.plan, 2, times, counted, insert_rates(desk, 1))
        assert times.keys() == CATALOGUE.keys()
        assert all(one.bare and one.indexed for one in times.values())
        for name in PROMISED:
            looked, returned = counted[name]
            assert 0 < looked <= 2 * returned
            assert hidden[name][0] > 3 * looked
        told = report(figures)
        assert all(name in told for name in CATALOGUE)
        judged = {one.promise: one for one in targets(figures)}
        assert len(judged) == len(targets(figures)) >= len(CATALOGUE)
        drawn = ET.fromstring(bars("Small", ("a", "b", "c", "d"), chart(figures)))  # noqa: S314 - our own
        texts = {element.text for element in drawn.iter(f"{SVG}text")}
        assert CATALOGUE.keys() <= texts


class TestListed:
    """How many documents an answer has."""

    def test_nested(self) -> None:
        """Documents in lists count, at any depth; the subject around them and plain values do not."""
        answer = {"_id": "u", "projects": [{"_id": "p", "designs": [{"_id": "d"}]}], "more": False, "rows": [{"a": 1}]}
        assert listed(answer) == ["p", "d"]
        assert listed([{"_id": "a"}, {"_id": "b"}]) == ["a", "b"]


class TestChart:
    """The chart."""

    def test_longer_is_slower(self) -> None:
        """Ten times as slow is one step longer, whatever the figures; a figure that is not there has no bar."""
        text = bars("T <&>", ("a", "b", "c"), {"x": (1.0, 10.0, 100.0), "y": (None, 1.0, None)})
        rectangles = ET.fromstring(text).iter(f"{SVG}rect")  # noqa: S314 - our own
        wide = [float(bar.get("width", "")) for bar in rectangles if bar.get("x") == "180"]
        legend, *lengths = wide
        assert legend == 12
        assert lengths == pytest.approx([1.0, 280.0, 560.0, 1.0])


def test_script_is_measured_once() -> None:
    """`make bench` finds the script once, among the others, and its parts are none."""
    scripts = [one.name for one in (Path(__file__).parents[3] / "bench").glob("*.py")]
    assert scripts.count("aggregations.py") == 1
