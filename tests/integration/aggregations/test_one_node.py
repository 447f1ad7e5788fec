from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from pymongo.database import Database

from aggregations.replicas import Place, Replicas


class TestOneNode:
    """A set without secondaries reads its primary as if there were no such thing as a replica."""

    def test_no_cap(self, database: Database[dict[str, Any]]) -> None:
        """Four reads are at the primary at once although one would be the cap, and no heartbeat is written."""
        replicas = Replicas(database, bound_seconds=5, fallback_at_once=1)
        together = Barrier(4, timeout=20)
        database["rows"].insert_one({"_id": 1})

        def look(place: Place) -> tuple[str, float, int]:
            together.wait()
            (row,) = place.database["rows"].aggregate([{"$count": "n"}])
            return place.source, place.lag_seconds, row["n"]

        def read(_: int) -> tuple[str, float, int]:
            return replicas.read(look, intent="replica", timeout_seconds=20)

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(read, range(4))) == [("primary", 0.0, 1)] * 4
        assert database.list_collection_names() == ["rows"]
        assert [one.role for one in replicas.members()] == ["primary"]
        replicas.close()
