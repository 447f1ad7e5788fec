from pathlib import Path

import pytest
import redis
import requests
from pymongo.database import Database

from tests.support.cms import Document, seed_payment
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox, SandboxError
from workers.stack import EmbeddedMongo


class TestServersOfTheRun:
    """What every other integration test stands on."""

    def test_valkey_is_empty(self, redis_url: str) -> None:
        """A test that asks for the address finds nothing of earlier tests, and a durable server."""
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            assert client.dbsize() == 0
            assert client.config_get("appendonly") == {"appendonly": "yes"}
            client.set("left", "behind")

    def test_valkey_is_emptied_again(self, redis_url: str) -> None:
        """What the test before left is gone."""
        with redis.Redis.from_url(redis_url) as client:
            assert client.get("left") is None

    def test_database_is_fresh(self, database: Database[Document]) -> None:
        """A test's database is empty, and takes a CMS payment whose references lead somewhere."""
        assert database.list_collection_names() == []
        ids = seed_payment(database, amount="20.000", currency="kwd")
        payment = database["payments"].find_one({"_id": ids.payment}) or {}
        contract = database["contracts"].find_one({"_id": payment["contractId"]}) or {}
        assert (payment["amount"], payment["currency"], payment["status"]) == ("20.000", "kwd", "pending")
        assert contract["paymentsIds"] == [ids.payment]
        assert database["users"].count_documents({"_id": {"$in": [payment["client"], contract["employee"]]}}) == 2

    def test_transactions_work(self, database: Database[Document], mongo: EmbeddedMongo) -> None:
        """The one-node server is a replica set: it takes transactions."""
        with database.client.start_session() as session:
            session.with_transaction(lambda inside: database["pairs"].insert_one({"a": 1}, session=inside))
        assert database["pairs"].count_documents({}) == 1
        assert mongo.primary_index() == 0

    def test_frozen_is_silent(self, database: Database[Document], mongo: EmbeddedMongo) -> None:
        """Once a node is frozen nothing of it runs: a test that goes on then gets no late answer."""
        process = mongo.servers[0].process
        assert process is not None
        running = []
        for _ in range(60):
            database.command("ping")
            mongo.freeze(0)
            stats = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/stat")]
            mongo.thaw(0)
            running += [line for line in stats if line.rpartition(")")[2].split()[0] != "T"]
        assert not running


class TestSandboxOfTheRun:
    """PayTabs, as every other test meets it."""

    def test_page_and_payment(self, sandbox: Sandbox) -> None:
        """A page requested over HTTP can be paid at the desk, and the ledger shows the money."""
        body = {
            "profile_id": PROFILE_ID,
            "tran_type": "sale",
            "tran_class": "ecom",
            "cart_id": "cart-1",
            "cart_description": "Second instalment",
            "cart_currency": "SAR",
            "cart_amount": 115.00,
        }
        url = f"{sandbox.url}/payment/request"
        page = requests.post(url, json=body, headers={"authorization": SERVER_KEY}, timeout=10).json()
        sandbox.pay(page["tran_ref"], "4111111111111111")
        (row,) = sandbox.ledger(cart_id="cart-1")
        assert (row["tran_ref"], row["status"], row["amount"]) == (page["tran_ref"], "A", "115.00")
        assert [one["path"] for one in sandbox.requests("/payment/request")] == ["/payment/request"]
        assert sandbox.requests("/payment/query") == []
        assert sandbox.movements()

    def test_forgets(self, sandbox: Sandbox) -> None:
        """A test finds nothing of an earlier test's payments."""
        assert (sandbox.ledger(), sandbox.requests(), sandbox.notifications()) == ([], [], [])

    def test_refuses_unknown_switch(self, sandbox: Sandbox) -> None:
        """A switch that does not exist fails the test that sets it, naming it."""
        with pytest.raises(SandboxError, match="no_such_switch"):
            sandbox.switch(no_such_switch=True)

    def test_faults_are_cleared(self, sandbox: Sandbox) -> None:
        """A fault is queued for a path and can be taken back."""
        sandbox.fault("/payment/request", "cut_after_accept")
        sandbox.clear_faults()
        answer = requests.post(f"{sandbox.url}/payment/request", json={}, timeout=10)
        assert answer.headers["content-type"].startswith("application/json")
