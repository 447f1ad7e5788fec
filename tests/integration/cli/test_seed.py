import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo.database import Database

from aggregations.index_facts import CMS_COLLECTIONS
from config.settings import Settings
from tests.integration.cli.conftest import Command
from tests.support.processes import ROOT, alive, descendants
from tests.support.waiting import eventually
from workers import seed_writing
from workers.seed_plan import SeedPlan

Json = dict[str, Any]


@pytest.fixture
def named(servers: dict[str, str]) -> tuple[str, ...]:
    """What has to be said of a database of one's own."""
    return ("--yes-into", servers["MONGO_DATABASE"])


class TestSeed:
    """Filling a database with CMS-shaped data."""

    def test_fills(
        self, command: Command, servers: dict[str, str], named: tuple[str, ...], database: Database[Json]
    ) -> None:
        """It writes what the plan says, and says what it wrote; the audit trail has it."""
        done = command("seed", "--scale", "0.0002", "--seed", "3", *named, **servers)
        assert done.exit_code == 0, done.stderr
        counted = sum(database[name].count_documents({}) for name in CMS_COLLECTIONS)
        assert counted == SeedPlan(0.0002, 3).documents
        assert f"Wrote {counted:,} documents in " in done.stdout
        assert database["audit_entries"].find_one({"command": "seed", "phase": "ended"}) is not None
        assert database["users"].index_information()["username_1"]["unique"]

    def test_existing(
        self, command: Command, servers: dict[str, str], named: tuple[str, ...], database: Database[Json]
    ) -> None:
        """A database that has the CMS's data is refused; told otherwise, what is there stays as it is."""
        command("seed", "--scale", "0.0002", *named, **servers)
        project = database["projects"].find_one_and_update({}, {"$set": {"content": "ours"}})
        assert project is not None
        before = database["payments"].count_documents({})
        refused = command("seed", "--scale", "0.0002", *named, **servers)
        assert refused.exit_code == 2
        assert "has documents of the CMS already" in refused.stderr
        again = command("seed", "--scale", "0.0002", "--into-existing", *named, **servers)
        assert again.exit_code == 0, again.stderr
        assert "Wrote 0 documents" in again.stdout
        assert database["payments"].count_documents({}) == before
        assert database["projects"].count_documents({"content": "ours"}) == 1

    def test_unnamed(self, command: Command, servers: dict[str, str], database: Database[Json]) -> None:
        """Where MONGO_URI is set, nothing is written unless its database is named, and named rightly."""
        for words, said in (((), "--yes-into"), (("--yes-into", "production"), "names production")):
            refused = command("seed", "--scale", "0.0002", *words, **servers)
            assert refused.exit_code == 2
            assert said in refused.stderr
        assert database.list_collection_names() == []

    def test_running_stack(
        self, command: Command, servers: dict[str, str], bare_environment: dict[str, str], database: Database[Json]
    ) -> None:
        """The database that `up` started for itself needs no naming; one that `up` was given does."""
        del database
        known = {"mongo_uri": servers["MONGO_URI"], "mongo_database": servers["MONGO_DATABASE"]}
        folder = bare_environment["LOCAL_DIR"]
        os.makedirs(folder)  # noqa: PTH103 - a text from the environment
        run: Json = {"pid": os.getpid(), "started": psutil.Process().create_time(), "settings": known}
        for told, code in ((f"127.0.0.1, database {known['mongo_database']}", 2), ("127.0.0.1 (embedded)", 0)):
            with open(f"{folder}/run.json", "w") as file:  # noqa: PTH123 - as above
                json.dump(run | {"addresses": {"MongoDB": told}}, file)
            assert command("seed", "--scale", "0.0002").exit_code == code

    @pytest.mark.parametrize("scale", ["0", "-1", "11", "nan", "x"])
    def test_absurd_scale(self, command: Command, servers: dict[str, str], scale: str) -> None:
        """A scale that is none is refused before anything is looked at."""
        assert command("seed", "--scale", scale, **servers).exit_code == 2

    def test_processes(self, settings: Settings, database: Database[Json], monkeypatch: pytest.MonkeyPatch) -> None:
        """Two processes write the same documents as one."""
        plan = SeedPlan(0.0004)
        pictures = []
        for processes in (1, 2):
            monkeypatch.setattr(seed_writing, "SMALL", 0)
            written = seed_writing.write(settings, plan, processes=processes)
            assert written.total() == plan.documents
            pictures.append({name: list(database[name].find().sort("_id", 1)) for name in written})
            for name in written:
                database[name].delete_many({})
        assert pictures[0] == pictures[1]

    def test_killed(self, settings: Settings, database: Database[Json], tmp_path: Path) -> None:
        """A command that is killed outright leaves no process behind, and a second one writes the rest."""
        plan, words = SeedPlan(0.02), ("--scale", "0.02", "--processes", "2", "--yes-into", settings.mongo_database)
        where = {"MONGO_URI": str(settings.mongo_uri), "MONGO_DATABASE": settings.mongo_database}
        program = [sys.executable, "-m", "workers.cli", "seed", *words]
        with subprocess.Popen(
            program, cwd=tmp_path, env={**os.environ, **where, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
        ) as begun:
            eventually(database["users"].find_one, within_seconds=30, what="the first documents")
            left = descendants(begun.pid)
            begun.kill()
        assert left
        eventually(lambda: not alive(left), what="the end of the others")
        seed_writing.write(settings, plan, processes=1)
        assert sum(database[name].count_documents({}) for name in CMS_COLLECTIONS) == plan.documents
