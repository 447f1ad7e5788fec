import redis
from pymongo.database import Database

from tests.support.cms import Document, seed_payment
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
