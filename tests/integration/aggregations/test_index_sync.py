from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from aggregations.index_facts import CMS_COLLECTIONS, read_indexes, read_usage
from aggregations.index_plan import make_plan
from aggregations.index_standing import IndexPlan, State
from aggregations.index_sync import IndexBuilder, Progress, SyncReport
from aggregations.indexes import INDEXES, Index
from tests.support.cms import mongoose
from tests.support.waiting import eventually

Json = dict[str, Any]


def planned(database: Database[Json], *declared: Index) -> IndexPlan:
    """Compare what is declared, ours unless others are given, with what is there."""
    found = read_indexes(database, CMS_COLLECTIONS)
    return make_plan(declared or INDEXES.values(), found, read_usage(database, found.indexes))


def sync(database: Database[Json], *declared: Index, **options: bool) -> SyncReport:
    """Build what is missing."""
    return IndexBuilder(database).sync(planned(database, *declared), **options)


def pictured(database: Database[Json]) -> dict[str, list[Json]]:
    """Every index of every collection, as the server describes it."""
    return {
        name: [dict(one) for one in database[name].list_indexes()] for name in sorted(database.list_collection_names())
    }


@pytest.fixture
def cms(database: Database[Json]) -> Database[Json]:
    """A document in each of the collections that ours are on, as Mongoose writes it, and in `users`."""
    ids = [ObjectId(), ObjectId()]
    for name in {"users", *(index.collection for index in INDEXES.values())}:
        database[name].insert_one(mongoose(title=name))
    database["projects"].insert_one(mongoose(employee=ids[0], designs=ids, steps=ids, workers=ids, earnings=ids))
    database["users"].create_index("username", unique=True, partialFilterExpression={"username": {"$exists": True}})
    return database


class TestTwice:
    """`sync` on the CMS's collections with data in them."""

    def test_second_does_nothing(self, cms: Database[Json]) -> None:
        """The first builds the whole set, the second nothing, and the server's indexes stay as they are."""
        assert set(sync(cms).built) == set(INDEXES)
        after_first = pictured(cms)
        assert sync(cms) == SyncReport()
        assert pictured(cms) == after_first
        assert all(one.state is State.PRESENT for one in planned(cms).declared)

    def test_writes_go_on(self, cms: Database[Json]) -> None:
        """A project with designs, steps, workers and earnings is inserted and updated afterwards."""
        sync(cms)
        lists = {name: [ObjectId() for _ in range(3)] for name in ("designs", "steps", "workers", "earnings")}
        project = mongoose(employee=ObjectId(), contract=ObjectId(), notes=[ObjectId(), ObjectId()], **lists)
        cms["projects"].insert_one(project)
        more = {"$push": {"designs": ObjectId(), "steps": ObjectId()}}
        changed = cms["projects"].update_one({"_id": project["_id"]}, more)
        assert changed.modified_count == 1

    def test_planned_one_stops_writes(self, cms: Database[Json]) -> None:
        """The index that was planned once is refused over such documents; ours are built all the same."""
        arrays = Index("nw_arrays", "projects", (("_id", 1), ("designs", 1), ("steps", 1)), "planned once")
        report = sync(cms, arrays, *INDEXES.values())
        assert set(report.built) == set(INDEXES)
        [sentence] = report.refused.values()
        assert sentence.startswith("projects: nw_arrays was not built: documents have lists in more than one of ")


class TestRefused:
    """What cannot be built costs only itself, and is one sentence."""

    def test_cms_index_stays(self, cms: Database[Json]) -> None:
        """Neither the CMS's equal index nor its others are touched, whatever is asked for."""
        cms["projects"].create_index("employee", name="employee_1")
        cms["projects"].create_index("status", name="status_1")
        report = sync(cms, drop_undeclared=True)
        assert "nw_projects_employee" not in report.built
        assert {"employee_1", "status_1"} <= cms["projects"].index_information().keys()

    def test_hidden_and_narrow(self, cms: Database[Json]) -> None:
        """A hidden index of the same keys is in the way; beside a sparse one ours is built."""
        cms["projects"].create_index("employee", name="hidden", hidden=True)
        cms["projects"].create_index("contract", name="narrow", sparse=True)
        report = sync(cms)
        assert report.refused.keys() == {"nw_projects_employee"}
        assert "unhide it" in report.refused["nw_projects_employee"]
        assert "nw_projects_contract" in report.built

    def test_full_collection(self, cms: Database[Json]) -> None:
        """A collection with 64 indexes takes no more, and the sentence says so."""
        names = [f"f{number}" for number in range(62)]
        cms.command("createIndexes", "projects", indexes=[{"key": {name: 1}, "name": name} for name in names])
        report = sync(cms)
        assert len(report.refused) == 1
        assert "has 64 indexes, as many as MongoDB allows" in next(iter(report.refused.values()))
        assert len(cms["projects"].index_information()) == 64
        assert len(report.built) == len(INDEXES) - 1

    def test_view(self, database: Database[Json]) -> None:
        """A view has no indexes."""
        database.create_collection("projects", viewOn="others", pipeline=[])
        report = sync(database)
        assert "projects is a view" in report.refused["nw_projects_employee"]


class TestOurs:
    """Ours that are declared no longer, and collections that are not there."""

    def test_dropped_when_told(self, cms: Database[Json]) -> None:
        """They stay unless told otherwise, and one in the way of a declared one is replaced."""
        cms["projects"].create_index("status", name="nw_old")
        cms["projects"].create_index("status", name="nw_projects_employee", sparse=True)
        kept = sync(cms)
        assert kept.refused.keys() == {"nw_projects_employee"}
        assert "nw_old" in cms["projects"].index_information()
        report = sync(cms, drop_undeclared=True)
        assert set(report.dropped) == {"nw_old", "nw_projects_employee"}
        assert report.built.keys() == {"nw_projects_employee"}
        assert cms["projects"].index_information()["nw_projects_employee"]["key"] == [("employee", 1)]

    def test_missing_collections(self, database: Database[Json]) -> None:
        """A database without the CMS in it is left alone, unless it is to be made."""
        assert set(sync(database).waiting) == set(INDEXES)
        assert database.list_collection_names() == []
        assert set(sync(database, create_collections=True).built) == set(INDEXES)
        assert sync(database) == SyncReport()


class TestProgress:
    """A build that takes long."""

    def test_told(self, database: Database[Json]) -> None:
        """It says how far it is, in documents of all documents."""
        texts = [{"text": "x" * 400, "number": number} for number in range(40_000)]
        database["notes"].insert_many(texts)
        told: list[Progress] = []
        index = Index("nw_text", "notes", (("text", 1), ("number", 1)), "nothing")
        builder = IndexBuilder(database, on_progress=told.append, look_seconds=0.005)

        def built() -> bool:
            """Build it anew, and see whether anything was told: on a busy machine a build may end between two looks."""
            database["notes"].drop_indexes()
            assert builder.sync(planned(database, index)).built.keys() == {"nw_text"}
            return bool(told)

        eventually(built, within_seconds=60, what="a build that was looked at")
        assert {one.collection for one in told} == {"notes"}
        assert {one.phase for one in told} & {"scanning collection", "inserting keys from external sorter into index"}
        assert all(0 <= one.done <= one.total for one in told)
