from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from aggregations.catalogue import CATALOGUE
from aggregations.index_facts import Existing, Found, Use, from_description
from aggregations.index_plan import make_plan, serves
from aggregations.index_standing import IndexPlan, Standing, State
from aggregations.index_usage import NodeUsage, over_all
from aggregations.indexes import INDEXES, PLANNED, PREFIX, Index

WANTED = Index("nw_notes_on", "notes", (("onModel", 1), ("onId", 1)), "the notes on a project")
SINCE = datetime(2024, 5, 1, tzinfo=UTC)


def on_server(name: str, *keys: str, **options: Any) -> Existing:
    """An index on `notes`, its keys ascending."""
    return Existing("notes", name, tuple((key, 1) for key in keys), options)


def judged(*there: Existing, **usage: Use) -> IndexPlan:
    """The plan for the one wanted index, with what is on the server."""
    by_id = Existing("notes", "_id_", (("_id", 1),))
    found = Found({"notes": (by_id, *there)})
    return make_plan([WANTED], found, {("notes", name): use for name, use in usage.items()})


def standing(*there: Existing, **usage: Use) -> Standing:
    """How the wanted index stands."""
    [one] = judged(*there, **usage).declared
    return one


class TestDeclared:
    """The declared set itself."""

    def test_no_beginning_of_another(self) -> None:
        """None of ours does what another of ours does as well, and none begins with what is unique already."""
        for one in INDEXES.values():
            assert one.keys[0][0] != "_id"
            longer = [row for row in INDEXES.values() if row is not one and row.collection == one.collection]
            assert not [row.name for row in longer if row.keys[: len(one.keys)] == one.keys]

    def test_no_two_arrays(self) -> None:
        """None has two of the fields in which the CMS keeps lists."""
        lists = {"paymentsIds", "designs", "steps", "workers", "earnings", "projects", "earningIds.ids"}
        for one in INDEXES.values():
            assert len({name for name, _ in one.keys} & lists) < 2

    def test_names(self) -> None:
        """All are known as ours, and every aggregation leans on declared ones."""
        assert all(name.startswith(PREFIX) and row.name == name for name, row in INDEXES.items())
        assert {name for row in CATALOGUE.values() for name in row.indexes} <= INDEXES.keys()

    def test_planned_once(self) -> None:
        """Six were planned; each has its reason, and what does its work is declared."""
        assert len(PLANNED) == 6
        assert all(one.wrong and one.because for one in PLANNED)
        assert {name for one in PLANNED for name in one.instead} - {"_id_"} <= INDEXES.keys()


class TestStanding:
    """How a declared index stands."""

    def test_missing(self) -> None:
        """Neither another field, nor another order, nor the beginning alone does its work."""
        for other in (on_server("a", "status"), on_server("b", "onId", "onModel"), on_server("c", "onModel")):
            assert standing(other).state is State.MISSING

    def test_present(self) -> None:
        """It is there, also when the server writes directions as other kinds of numbers."""
        described = {"v": 2, "name": WANTED.name, "key": {"onModel": 1.0, "onId": 1}}
        assert standing(from_description("notes", described)).state is State.PRESENT

    def test_other_name(self) -> None:
        """The CMS's own index of the same keys is as good, read backwards too; a unique one as well."""
        found = standing(on_server("onModel_1_onId_1", "onModel", "onId", unique=True))
        assert (found.state, found.by) == (State.UNDER_OTHER_NAME, "onModel_1_onId_1")
        backwards = Existing("notes", "back", (("onModel", -1), ("onId", -1)))
        assert standing(backwards).state is State.UNDER_OTHER_NAME
        assert not serves(Existing("notes", "mixed", (("onModel", 1), ("onId", -1))), WANTED.keys)

    def test_longer(self) -> None:
        """A longer index that begins with its keys does its work, and nothing is built that would be redundant."""
        found = standing(on_server("long", "onModel", "onId", "status"))
        assert (found.state, found.by) == (State.WITHIN_LONGER, "long")

    @pytest.mark.parametrize(
        "options", [{"sparse": True}, {"partialFilterExpression": {"status": "seen"}}, {"collation": {"locale": "en"}}]
    )
    def test_differing(self, options: dict[str, Any]) -> None:
        """One that leaves documents out or compares otherwise does not, and ours may be built beside it."""
        found = standing(on_server("theirs", "onModel", "onId", **options))
        assert (found.state, found.by, found.obstacle) == (State.DIFFERING, "theirs", "")

    def test_hidden(self) -> None:
        """A hidden one does not either, and is in the way."""
        found = standing(on_server("theirs", "onModel", "onId", hidden=True))
        assert found.state is State.DIFFERING
        assert "hidden" in found.obstacle

    def test_name_taken(self) -> None:
        """Ours of an earlier version is in the way, and is listed as declared no longer."""
        plan = judged(on_server(WANTED.name, "onId"))
        assert "other keys" in plan.declared[0].obstacle
        assert [one.name for one in plan.undeclared] == [WANTED.name]

    def test_being_built(self) -> None:
        """What is being built is not built a second time."""
        use = {WANTED.name: Use(0, SINCE, building=True)}
        assert standing(**use).state is State.BUILDING
        listed_already = judged(on_server(WANTED.name, "onModel", "onId"), **use)
        assert (listed_already.building, listed_already.to_build) == ([WANTED.name], ())

    def test_no_collection(self) -> None:
        """A collection that is not there, and a view, are told apart."""
        [gone] = make_plan([WANTED], Found({})).declared
        [view] = make_plan([WANTED], Found({}, frozenset({"notes"}))).declared
        assert (gone.state, gone.has_collection) == (State.NO_COLLECTION, False)
        assert "view" in view.obstacle


class TestOthers:
    """What else is on the server."""

    def test_redundant(self) -> None:
        """The beginning of a longer one is redundant, unless it promises more; so is one that begins with _id."""
        there = (
            on_server("long", "a", "b", "c"), on_server("short", "a", "b"), on_server("only", "a", unique=True),
            on_server("by_id", "_id", "status"), on_server("sparse", "x", "y", sparse=True), on_server("x", "x"),
        )  # fmt: skip
        said = {one.index.name: one.redundant for one in judged(*there).others}
        assert said["short"] == "is the beginning of long"
        assert "_id" in said["by_id"]
        assert [said[name] for name in ("long", "only", "sparse", "x")] == ["", "", "", ""]

    def test_unused(self) -> None:
        """Only what is known never to have been used is called unused."""
        there = (on_server("a", "a"), on_server("b", "b"), on_server("c", "c"))
        plan = judged(*there, a=Use(0, SINCE), b=Use(3, SINCE))
        assert [one.index.name for one in plan.others if one.unused] == ["a"]

    def test_undeclared(self) -> None:
        """Ours that nobody declares is told apart from the CMS's."""
        plan = judged(on_server("nw_old", "a"), on_server("theirs", "b"), on_server(WANTED.name, "onModel", "onId"))
        assert [one.name for one in plan.undeclared] == ["nw_old"]

    def test_silent_node(self) -> None:
        """Uses are added up over all nodes; when one is silent nothing is known."""
        one = NodeUsage("one", {("notes", "a"): Use(0, SINCE)})
        two = NodeUsage("two", {("notes", "a"): Use(2, SINCE.replace(year=2025))})
        assert over_all([one, two]) == {("notes", "a"): Use(2, SINCE.replace(year=2025))}
        assert over_all([one, replace(two, used=None)]) is None
        assert over_all([]) is None
