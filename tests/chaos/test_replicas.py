import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from aggregations.cache import Cache
from aggregations.catalogue import ContractParameters
from aggregations.members import only_the_chosen
from aggregations.replicas import MemberView, Place, PrimaryBusy, Replicas
from aggregations.routed import RoutedReader
from aggregations.runner import AggregationRunner
from config.connections import bytes_client
from tests.support.waiting import eventually
from workers.stack import EmbeddedMongo

Document = dict[str, Any]

#: The longest lag that the tests allow, in seconds, and how many reads the primary takes for want of a secondary.
BOUND_SECONDS, AT_ONCE = 3.0, 2

#: What reading, telling the time and a busy machine may add to an answer's age, in seconds.
SLACK_SECONDS = 1.0


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedMongo]:
    """Three nodes, of which only the first votes, so that it stays primary whatever becomes of the others."""
    arguments = ("--setParameter", "enableTestCommands=1")
    with EmbeddedMongo(tmp_path_factory.mktemp("replicas"), members=3, extra_arguments=arguments) as server:
        primary = server.wait_for_primary()
        with MongoClient[Document](server.uri) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            for member in config["members"]:
                if member["_id"] != primary:
                    member.update(votes=0, priority=0)
                    config["version"] += 1
                    client.admin.command("replSetReconfig", config)
        yield server


@pytest.fixture
def client(mongo: EmbeddedMongo) -> Iterator[MongoClient[Document]]:
    """A client whose reads can be sent to one member, of nodes that all run."""
    for member in range(3):
        mongo.thaw(member)
    mongo.start()
    with MongoClient[Document](mongo.uri, server_selector=only_the_chosen, timeoutMS=10_000) as connected:
        yield connected


@pytest.fixture
def written(client: MongoClient[Document]) -> Iterator[Database[Document]]:
    """A database in which one document always tells the time, as the primary has it."""
    db = client["replicas"]
    stopped = threading.Event()

    def write() -> None:
        rows = client["replicas"]["times"]
        while not stopped.wait(0.05):
            rows.update_one({"_id": 1}, {"$set": {"t": time.monotonic()}}, upsert=True)

    thread = threading.Thread(target=write)
    thread.start()
    eventually(lambda: db["times"].count_documents({}), what="the first document")
    yield db
    stopped.set()
    thread.join()


@pytest.fixture
def replicas(written: Database[Document]) -> Iterator[Replicas]:
    """Reads that are sent where they belong; both secondaries are known to be healthy."""
    made = Replicas(written, bound_seconds=BOUND_SECONDS, fallback_at_once=AT_ONCE)
    eventually(lambda: len(readable(made)) == 2, what="two healthy secondaries")
    yield made
    made.close()


def readable(replicas: Replicas) -> list[str]:
    """List the secondaries that reads may go to; asking keeps the watch going."""
    return [f"{host}:{port}" for host, port in replicas._members.readable()]


def clock(place: Place) -> tuple[str, float]:
    """Read the document that tells the time, by a pipeline: where it was read, and how old the answer is."""
    (row,) = place.database["times"].aggregate([{"$match": {"_id": 1}}, {"$project": {"t": 1}}])
    return place.source, time.monotonic() - row["t"]


def view(replicas: Replicas, mongo: EmbeddedMongo, member: int) -> MemberView:
    """Tell how one member stands."""
    return next(one for one in replicas.members() if one.address.endswith(f":{mongo.ports[member]}"))


def watch(replicas: Replicas, until: Callable[[], bool], *, within_seconds: float) -> float:
    """Read on and on until something is so, hold every answer to its bound, and tell how long it took."""
    began = time.monotonic()
    while not until():
        source, age = replicas.read(clock, intent="replica", timeout_seconds=1.0)
        assert age < BOUND_SECONDS + SLACK_SECONDS, f"an answer of a {source} was {age:.1f} s old"
        assert time.monotonic() - began < within_seconds
        time.sleep(0.02)
    return time.monotonic() - began


def secondaries(mongo: EmbeddedMongo) -> list[int]:
    """List the members that are not primary."""
    return [member for member in range(3) if member != mongo.wait_for_primary()]


def employed(db: Database[Document]) -> str:
    """Have a contract with one employee, known to the secondaries as well; give the contract's id."""
    user = db["users"].insert_one({"username": "huda"}).inserted_id
    contract = db["contracts"].insert_one({"employee": [user]}).inserted_id
    time.sleep(0.3)  # until the secondaries have both
    return str(contract)


def asking(
    db: Database[Document], replicas: Replicas, cache: Cache | None
) -> tuple[Callable[[str], Document], list[datetime]]:
    """Give what asks for the employees of a contract, and the clock that it goes by."""
    clock = [datetime.now(UTC)]
    reader = RoutedReader(db, replicas)
    runner = AggregationRunner(db, clock=lambda: clock[0], cache=cache, readers=lambda _: reader)

    def ask(contract: str) -> Document:
        return runner.run("contract_employees", ContractParameters(contract_id=contract))

    return ask, clock


class TestReplicas:
    """Heavy reads go to secondaries that are fresh enough, and leave the primary alone as far as possible."""

    def test_intent(self, replicas: Replicas) -> None:
        """What may be read at a secondary is, within its lag; what decides about money is read at the primary."""
        sources = {replicas.read(clock, intent="replica", timeout_seconds=5)[0] for _ in range(20)}
        assert sources == {"replica"}
        assert replicas.read(clock, intent="primary", timeout_seconds=5)[0] == "primary"
        roles = sorted((one.role, one.ejected) for one in replicas.members())
        assert roles == [("primary", ""), ("secondary", ""), ("secondary", "")]
        assert all(one.lag_seconds is not None and one.lag_seconds < BOUND_SECONDS for one in replicas.members())

    def test_frozen(self, replicas: Replicas, mongo: EmbeddedMongo) -> None:
        """A frozen secondary is ejected within five seconds, costs no read, and is back after three healthy probes."""
        frozen = secondaries(mongo)[0]
        mongo.freeze(frozen)
        took = watch(replicas, lambda: bool(view(replicas, mongo, frozen).ejected), within_seconds=30)
        assert took < 30  # the promise is 5 s, on a machine that does nothing else
        watch(replicas, lambda: len(readable(replicas)) == 1, within_seconds=1)
        mongo.thaw(frozen)
        thawed = time.monotonic()
        watch(replicas, lambda: len(readable(replicas)) == 2, within_seconds=40)
        assert time.monotonic() - thawed > 0.9  # three probes; the first may have been under way
        (health,) = [one for address, one in replicas._members.health().items() if address[1] == mongo.ports[frozen]]
        assert health.healthy >= 3

    def test_delayed(self, replicas: Replicas, mongo: EmbeddedMongo) -> None:
        """A secondary that gets no more changes answers as ever; it is not asked before it is older than the bound."""
        delayed = secondaries(mongo)[1]
        with MongoClient[Document](mongo.member_uri(delayed)) as node:
            node.admin.command("configureFailPoint", "rsSyncApplyStop", mode="alwaysOn")
            try:
                # When the node really stops is its own affair, and takes it up to half a minute on a busy machine;
                # what counts is that every answer until then, and from then on, is within the bound.
                watch(replicas, lambda: len(readable(replicas)) == 1, within_seconds=90)
                watch(replicas, lambda: view(replicas, mongo, delayed).ejected == "lagging", within_seconds=30)
            finally:
                node.admin.command("configureFailPoint", "rsSyncApplyStop", mode="off")
        watch(replicas, lambda: len(readable(replicas)) == 2, within_seconds=40)

    def test_aggregation(self, replicas: Replicas, written: Database[Document]) -> None:
        """An aggregation of the catalogue is answered by a secondary, and says of when its answer is."""
        ask, _ = asking(written, replicas, None)
        answer = ask(employed(written))
        assert answer["source"] == "replica"
        assert [one["username"] for one in answer["data"]] == ["huda"]
        assert 0 <= (datetime.now(UTC) - datetime.fromisoformat(answer["as_of"])).total_seconds() < BOUND_SECONDS + 1

    def test_stale_serves(
        self, replicas: Replicas, written: Database[Document], mongo: EmbeddedMongo, redis_url: str
    ) -> None:
        """With every secondary dead and the primary's cap spent, a remembered answer past its soft age is served."""
        known, unknown = employed(written), employed(written)
        cache = Cache(bytes_client(redis_url, timeout_seconds=1), outages=(redis.exceptions.RedisError,))
        ask, clock = asking(written, replicas, cache)
        ask(known)
        for member in secondaries(mongo):
            mongo.kill(member)
        eventually(lambda: not readable(replicas), what="the ejection of both")
        clock[0] += timedelta(seconds=60)
        for _ in range(AT_ONCE):
            assert replicas._turns.acquire(blocking=False)
        assert ask(known)["source"] == "cache"
        with pytest.raises(PrimaryBusy):
            ask(unknown)

    def test_all_dead(self, replicas: Replicas, mongo: EmbeddedMongo, client: MongoClient[Document]) -> None:
        """With every secondary dead the primary has no more of their reads at once than its cap; the rest may pass."""
        for member in secondaries(mongo):
            mongo.kill(member)
        eventually(lambda: not readable(replicas), what="the ejection of both")
        at_once: list[int] = []
        done = threading.Event()

        def slow(place: Place) -> str:
            pause = {"$function": {"body": "function() { sleep(400); return 1 }", "args": [], "lang": "js"}}
            list(place.database["times"].aggregate([{"$project": {"x": pause}}], comment="tests.slow"))
            return place.source

        def ask(_: int) -> str:
            try:
                return replicas.read(slow, intent="replica", timeout_seconds=10)
            except PrimaryBusy:
                return "refused"

        def count() -> None:
            running = {"command.comment": "tests.slow", "active": True}
            while not done.is_set():
                found = client.admin.aggregate([{"$currentOp": {}}, {"$match": running}, {"$count": "n"}])
                at_once.extend(row["n"] for row in found)

        counting = threading.Thread(target=count)
        counting.start()
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(ask, range(12)))
        done.set()
        counting.join()
        assert set(answers) == {"primary", "refused"}
        assert max(at_once) == AT_ONCE
        assert replicas.read(clock, intent="primary", timeout_seconds=5)[0] == "primary"

    def test_own_mistake(self, mongo: EmbeddedMongo, client: MongoClient[Document]) -> None:
        """An error that is the read's own is not tried elsewhere."""
        made = Replicas(client["replicas"], bound_seconds=BOUND_SECONDS, fallback_at_once=AT_ONCE)
        asked: list[str] = []

        def wrong(place: Place) -> None:
            asked.append(place.source)
            list(place.database["times"].aggregate([{"$nonsense": 1}]))

        assert mongo.members == 3
        with pytest.raises(PyMongoError, match="nonsense"):
            made.read(wrong, intent="replica", timeout_seconds=5)
        made.close()
        assert len(asked) == 1
