import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from aggregations.parameters import ContractParameters
from tests.support.views import Views
from workers.stack import EmbeddedMongo

Json = dict[str, Any]


@pytest.fixture(scope="module")
def short_memory(servers_directory: Path) -> Iterator[EmbeddedMongo]:
    """A node whose oplog holds a megabyte."""
    server = EmbeddedMongo(servers_directory / "short", oplog_megabytes=1, extra_arguments=("--syncdelay", "1"))
    server.start()
    yield server
    server.stop(immediately=True)


class TestLostToken:
    """What followed the token is no longer in the oplog (error 286)."""

    def test_rebuilt(self, short_memory: EmbeddedMongo) -> None:
        """A new generation: operators are told, all that is remembered is forgotten, and the views are right."""
        contract, payment = ObjectId(), ObjectId()
        client: MongoClient[Json] = MongoClient(short_memory.uri, tz_aware=True, w="majority")
        with client:
            views = Views(client["nestcms"], client)
            views.db["contracts"].insert_one({"_id": contract, "paymentsIds": [payment]})
            views.settle()
            views.watcher.stop()
            views.db["payments"].insert_one({"_id": payment, "amount": "7", "currency": "SAR", "status": "paid"})
            overflow(client, views.desk.state.position().token)
            forgotten = views.told.forgotten
            views.watcher = views.another_watcher()
            views.settle()
            asked, now = ContractParameters(contract_id=str(contract)), datetime.now(UTC)
            found = views.by_view("contract_balance", asked, now)
            assert found == views.by_pipeline("contract_balance", asked, now)
            assert found["balances"][0]["paid"] == "7.00"
            assert views.told.alerts == [("views_history_lost", "watcher")]
            assert views.told.forgotten == forgotten + 2  # before the map is made, and after it
            assert views.desk.state.position().generation == 2
            views.db["payments"].update_one({"_id": payment}, {"$set": {"amount": "8"}})
            views.settle()
            assert views.by_view("contract_balance", asked, datetime.now(UTC))["balances"][0]["paid"] == "8.00"


def overflow(client: MongoClient[Json], token: Json | None) -> None:
    """Write until the oplog has lost what followed a token."""
    ends_at = time.monotonic() + 60
    while time.monotonic() < ends_at:
        client["other"]["filling"].insert_many([{"filling": "x" * 100_000} for _ in range(20)])
        try:
            client["nestcms"].watch(start_after=token).close()
        except OperationFailure as error:
            if error.code == 286:
                return
            raise
        time.sleep(0.2)
    pytest.fail("the oplog keeps everything")
