import time
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pymongo import MongoClient
from pymongo.database import Database

from aggregations.catalogue import ContractParameters
from aggregations.members import only_the_chosen
from aggregations.parameters import SpanParameters
from aggregations.replicas import Replicas
from aggregations.routed import RoutedReader
from aggregations.runner import AggregationRunner
from tests.support.waiting import eventually
from workers.stack import EmbeddedMongo

Document = dict[str, Any]

#: The longest that a read may take, whatever becomes of one member, in seconds; the promise is 5 on an idle machine.
LONGEST_SECONDS = 7.0


@pytest.fixture
def db(mongo_three: EmbeddedMongo) -> Iterator[Database[Document]]:
    """A database of three healthy nodes, of a client with the time limits of a task."""
    for member in range(3):
        mongo_three.thaw(member)
    mongo_three.start()
    limits: dict[str, Any] = {"timeoutMS": 15_000, "serverSelectionTimeoutMS": 12_000, "connectTimeoutMS": 12_000}
    with MongoClient[Document](mongo_three.uri, server_selector=only_the_chosen, tz_aware=True, **limits) as client:
        client["promises"]["payments"].insert_one({"amount": 1})
        time.sleep(1)  # until everybody has it
        yield client["promises"]


@pytest.fixture
def replicas(db: Database[Document]) -> Iterator[Replicas]:
    """Reads that are sent where they belong, as a process has them that has just begun."""
    made = Replicas(db, bound_seconds=5, fallback_at_once=2)
    yield made
    made.close()


def runner(db: Database[Document], replicas: Replicas) -> AggregationRunner:
    """Give who answers aggregations from there, remembering nothing."""
    reader = RoutedReader(db, replicas)
    return AggregationRunner(db, clock=lambda: datetime.now(UTC), readers=lambda _: reader)


def healthy(replicas: Replicas) -> None:
    """Wait until both secondaries are read."""
    eventually(lambda: len(replicas._members.readable()) == 2, what="two healthy secondaries")


def other(mongo: EmbeddedMongo) -> int:
    """Give a member that is not primary."""
    primary = mongo.wait_for_primary()
    return next(member for member in range(3) if member != primary)


class TestHealthySet:
    """On a set that lacks nothing secondaries are read, and nobody is told otherwise."""

    def test_survey(self, db: Database[Document]) -> None:
        """Who looks at a healthy set, as `nestcms-workers status` does, is told that it is healthy."""
        found = []
        for _ in range(4):
            made = Replicas(db, bound_seconds=5, fallback_at_once=2)
            found += [one.ejected for one in made.survey()]
            made.close()
        assert set(found) == {""}

    def test_first_read(self, db: Database[Document]) -> None:
        """The first read of a process goes to a secondary."""
        sources = []
        for _ in range(4):
            made = Replicas(db, bound_seconds=5, fallback_at_once=2)
            sources.append(made.read(lambda place: place.source, intent="replica", timeout_seconds=5))
            made.close()
        assert set(sources) == {"replica"}

    @pytest.mark.parametrize("oldest_seconds", [0, 1])
    def test_fresh_on_demand(self, db: Database[Document], replicas: Replicas, oldest_seconds: float) -> None:
        """What must be fresher than a secondary can prove to be is read at the primary."""
        healthy(replicas)
        contract = str(db["contracts"].insert_one({"employee": []}).inserted_id)
        answer = runner(db, replicas).run(
            "contract_employees", ContractParameters(contract_id=contract), oldest_seconds
        )
        assert answer["data"] == []

    def test_just_written(self, db: Database[Document], replicas: Replicas) -> None:
        """What was written a moment ago is not said not to exist because a secondary has not heard of it yet."""
        healthy(replicas)
        run = runner(db, replicas)
        for _ in range(20):
            contract = str(db["contracts"].insert_one({"employee": []}).inserted_id)
            assert run.run("contract_employees", ContractParameters(contract_id=contract))["data"] == []

    def test_own_write(self, db: Database[Document], replicas: Replicas) -> None:
        """Who names the time of a write gets an answer that has seen it, at a secondary as well."""
        healthy(replicas)
        run, sources = runner(db, replicas), set()
        contract = db["contracts"].insert_one({"employee": []}).inserted_id
        asked = ContractParameters(contract_id=str(contract))
        for number in range(20):
            with db.client.start_session() as session:
                user = db["users"].insert_one({"username": f"u{number}"}, session=session).inserted_id
                db["contracts"].update_one({"_id": contract}, {"$push": {"employee": user}}, session=session)
                after = session.operation_time
            answer = run.run("contract_employees", asked, after=after)
            assert len(answer["data"]) == number + 1
            sources.add(answer["source"])
        assert "replica" in sources


class TestNobodyWaits:
    """Whatever becomes of one member, a read takes no longer than a few seconds."""

    @pytest.mark.parametrize("what", ["step_up", "freeze"])
    def test_longest(self, db: Database[Document], replicas: Replicas, mongo_three: EmbeddedMongo, what: str) -> None:
        """A read with a budget of ten seconds is answered elsewhere long before that."""
        healthy(replicas)
        run, took, stopped = runner(db, replicas), [0.0], Event()

        def read() -> None:
            while not stopped.is_set():
                began = time.monotonic()
                run.run("payments_summary", SpanParameters())
                took.append(time.monotonic() - began)

        readers = [Thread(target=read) for _ in range(3)]
        for one in readers:
            one.start()
        time.sleep(1)
        getattr(mongo_three, what)(other(mongo_three))
        time.sleep(5.5)
        stopped.set()
        for one in readers:
            one.join()
        assert max(took) < LONGEST_SECONDS


class TestRemoved:
    """A member that has left the set is forgotten."""

    def test_metrics(self, db: Database[Document], replicas: Replicas, mongo_three: EmbeddedMongo) -> None:
        """Its last ejection does not stand in the metrics for ever."""
        healthy(replicas)
        gone = other(mongo_three)
        name = f"127.0.0.1:{mongo_three.ports[gone]}"
        mongo_three.kill(gone)
        eventually(lambda: len(replicas._members.readable()) == 1, within_seconds=20, what="its ejection")
        admin = db.client.admin
        config = admin.command("replSetGetConfig")["config"]
        before = list(config["members"])
        config["members"] = [one for one in before if one["host"] != name]
        admin.command("replSetReconfig", config | {"version": config["version"] + 1})
        try:
            eventually(
                lambda: name not in {one.address for one in replicas.members()}, within_seconds=20, what="its removal"
            )
            eventually(
                lambda: replicas._members.readable() and len(replicas._members.health()) == 1, what="the next round"
            )
            assert not REGISTRY.get_sample_value("nestcms_replica_ejected", {"member": name})
        finally:
            config = admin.command("replSetGetConfig")["config"]
            admin.command("replSetReconfig", config | {"version": config["version"] + 1, "members": before})
