import json
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from aggregations.indexes import INDEXES
from tests.integration.cli.conftest import Command
from tests.support.cms import mongoose
from tests.support.waiting import eventually
from workers.stack import EmbeddedMongo

Json = dict[str, Any]


@pytest.fixture
def cms(database: Database[Json]) -> Database[Json]:
    """A CMS with its own index on projects, and one of ours of an earlier version; other collections do not exist."""
    database["projects"].insert_many([mongoose(status=str(number)) for number in range(3)])
    database["projects"].create_index("employee", name="employee_1")
    database["projects"].create_index("status", name="nw_old")
    return database


class TestPlan:
    """What there is to do, before anything is done."""

    def test_tables(self, command: Command, servers: dict[str, str], cms: Database[Json]) -> None:
        """Missing, present under the CMS's name, ours of old; and the six that were planned once."""
        shown = command("indexes", "plan", **servers | {"COLUMNS": "250"})
        assert shown.exit_code == 0, shown.stderr
        assert "present under another name: employee_1" in shown.stdout
        assert "client.id does not exist" in shown.stdout
        assert "ours, declared no longer" in shown.stdout
        assert len(list(cms["projects"].list_indexes())) == 3

    @pytest.mark.usefixtures("cms")
    def test_json(self, command: Command, servers: dict[str, str]) -> None:
        """The same for programs; what nobody has used is known from the nodes."""
        plan = json.loads(command("indexes", "plan", "--json", **servers).stdout)
        states = {one["name"]: one["state"] for one in plan["declared"]}
        assert states["nw_projects_employee"] == "present under another name"
        assert states["nw_projects_contract"] == "missing"
        assert states["nw_notes_on"] == "no collection yet"
        assert {one["name"]: one["unused"] for one in plan["on_the_server"]} == {"employee_1": True, "nw_old": True}
        assert len(plan["planned_once"]) == 6


class TestSync:
    """Building what is missing, as an operator's act."""

    def test_twice(self, command: Command, servers: dict[str, str], cms: Database[Json]) -> None:
        """The first builds and is written down; the second does nothing and says so."""
        options = ("--create-collections", "--drop-undeclared", "--reason", "a quiet hour", "--by", "omar")
        first = command("indexes", "sync", *options, **servers)
        assert first.exit_code == 0, first.stderr
        assert "Built nw_projects_contract in " in first.stdout
        assert "Dropped nw_old." in first.stdout
        begun, ended = cms["audit_entries"].find().sort("_id", 1)
        assert (begun["command"], begun["by"], begun["reason"]) == ("indexes sync", "omar", "a quiet hour")
        assert "Built nw_projects_contract" in ended["outcome"]
        second = command("indexes", "sync", *options, **servers)
        assert second.exit_code == 0
        assert "There was nothing to do" in second.stdout
        assert cms["audit_entries"].count_documents({}) == 2
        assert "employee_1" in cms["projects"].index_information()

    def test_collections_that_do_not_exist(
        self, command: Command, servers: dict[str, str], database: Database[Json]
    ) -> None:
        """A wrong database is not filled with empty collections."""
        done = command("indexes", "sync", "--json", "--reason", "first try", **servers)
        assert done.exit_code == 0, done.stderr
        assert set(json.loads(done.stdout)["waiting"]) == set(INDEXES)
        assert database.list_collection_names() == []

    def test_refused(self, command: Command, servers: dict[str, str], cms: Database[Json]) -> None:
        """What could not be built makes the command fail, in one sentence each; the rest is built."""
        cms["projects"].drop_index("employee_1")
        cms["projects"].create_index("employee", name="hidden", hidden=True)
        done = command("indexes", "sync", "--reason", "a quiet hour", **servers)
        assert done.exit_code == 1
        assert "projects: nw_projects_employee was not built: hidden has the same keys and is hidden" in done.stdout
        assert "nw_projects_contract" in cms["projects"].index_information()

    def test_no_reason(self, command: Command, servers: dict[str, str], cms: Database[Json]) -> None:
        """Without a reason nothing is built."""
        assert command("indexes", "sync", **servers).exit_code == 2
        assert len(cms["projects"].index_information()) == 3


class TestUsage:
    """Which node has used which index how often."""

    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Spare the test the patience that a real server deserves."""
        monkeypatch.setattr("workers.cli_indexes_server.READ_SECONDS", 2.0)
        monkeypatch.setattr("workers.cli_indexes_server.NODE_SECONDS", 1.0)

    def test_counted(self, command: Command, servers: dict[str, str], cms: Database[Json]) -> None:
        """A query counts on the node that answered it, and the table names the node."""
        list(cms["projects"].find({"status": "1"}))
        [node] = json.loads(command("indexes", "usage", "--json", **servers).stdout)
        ops = {one["name"]: one["ops"] for one in node["indexes"]}
        assert (ops["nw_old"], ops["employee_1"]) == (1, 0)
        shown = command("indexes", "usage", **servers | {"COLUMNS": "200"}).stdout
        assert node["node"] in shown
        assert "employee_1" in shown

    def test_silent_database(self, command: Command, silent_port: int) -> None:
        """A database that does not answer is one sentence."""
        nowhere = {"MONGO_URI": f"mongodb://127.0.0.1:{silent_port}/"}
        done = command("indexes", "usage", **nowhere)
        assert done.exit_code == 2
        assert "does not answer" in done.stderr
        assert "Traceback" not in done.output

    def test_every_node(self, command: Command, mongo_three: EmbeddedMongo) -> None:
        """Of three nodes each is asked: a use on a secondary shows there, and one that is dead is told as silent."""
        primary = mongo_three.wait_for_primary()
        reader, dead = sorted({0, 1, 2} - {primary})
        with MongoClient[Json](mongo_three.uri, w=3) as whole:
            whole["cms"]["projects"].create_index("status", name="status_1")
            whole["cms"]["projects"].insert_one(mongoose(status="new"))
        with MongoClient[Json](mongo_three.member_uri(reader), readPreference="secondary") as one:
            eventually(lambda: one["cms"]["projects"].count_documents({"status": "new"}), what="the document there")
        mongo_three.kill(dead)
        three = {"MONGO_URI": mongo_three.uri, "MONGO_DATABASE": "cms"}
        nodes = json.loads(command("indexes", "usage", "--json", **three).stdout)
        ports = {int(node["node"].rpartition(":")[2]): node["indexes"] for node in nodes}
        told = [ports[mongo_three.ports[member]] for member in (primary, reader, dead)]
        assert [indexes and max(one["ops"] for one in indexes) > 0 for indexes in told] == [False, True, None]
