from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from aggregations.aggregation import Aggregation
from aggregations.catalogue import CATALOGUE
from aggregations.indexes import INDEXES
from tests.support.random_cms import MEMBERS, NOW, identity
from workers.stack import EmbeddedMongo

Json = dict[str, Any]

#: Whom everything is asked about.
SUBJECT = 1

#: How many of each document the subject has, and how many others there are.
OWN, OTHERS = 10, 300

PROJECT, USER = {"project_id": str(identity("projects", SUBJECT))}, {"user_id": str(identity("users", SUBJECT))}
ASKED: dict[str, Json] = {
    "contract_employees": {"contract_id": str(identity("contracts", SUBJECT))},
    "project_designs": PROJECT, "project_steps": PROJECT, "project_notes": PROJECT, "project_overview": PROJECT,
    "user_permissions": USER, "user_projects": USER, "client_payments": {"client_id": USER["user_id"]},
    "contract_balance": {"contract_id": str(identity("contracts", SUBJECT))},
    "org_earnings": {"org_id": str(identity("orgzs", SUBJECT))},
    "earnings_compound": {"earning_ids": [str(identity("projectearnings", place)) for place in range(OWN)]},
    "payments_summary": {}, "receivables_ageing": {}, "gateway_performance": {},
}  # fmt: skip

#: Those that are about one subject: they may read its documents, itself, and as much again.
BY_SUBJECT = sorted(ASKED.keys() - {"payments_summary", "receivables_ageing", "gateway_performance"})


def document(collection: str, place: int) -> Json:
    """Make a document; the first ten of each collection belong to the subject, the others to the next in line."""
    owner = SUBJECT if place < OWN else SUBJECT + 1 + place % 40
    own = range(OWN)
    return {
        "_id": identity(collection, place), "employee": identity("users", owner), "client": identity("users", owner),
        "contractId": identity("contracts", owner), "project": identity("projects", owner),
        "orgz": identity("orgzs", owner), "_for": identity("users", owner), "onId": identity("projects", owner),
        "onModel": "Project", "amount": 12.5 if "earnings" in collection else "12.50", "currency": "SAR",
        "type": "profit", "period": "monthly", "createdAt": NOW - timedelta(days=place),
        "status": "granted" if collection == "permissions" else ("pending" if place % 10 == 0 else "paid"),
        "paymentsIds": [identity("payments", one) for one in own], "designs": [identity("designs", one) for one in own],
        "steps": [identity("projectsteps", one) for one in own],
        "workers": [identity("projectworkers", one) for one in own],
    }  # fmt: skip


def event(place: int) -> Json:
    """Make an event, most of them long ago."""
    at = NOW - timedelta(days=1 if place < OWN else 100 + place)
    return {
        "payment_id": place,
        "version": 1,
        "recorded_at": at,
        "type": "PageOpened",
        "data": {"tran_ref": f"T{place}"},
    }


@pytest.fixture(scope="module")
def indexed(mongo: EmbeddedMongo) -> Iterator[Database[Json]]:
    """A database with enough documents, the declared indexes, and the events' own; no test changes it."""
    with MongoClient[Json](mongo.uri, tz_aware=True) as client:
        database = client[f"nestcms_{uuid4().hex}"]
        fill(database)
        yield database
        client.drop_database(database.name)


def fill(database: Database[Json]) -> None:
    """Insert everything."""
    for name in MEMBERS:
        database[name].insert_many([document(name, place) for place in range(OTHERS)])
    for index in INDEXES.values():
        database[index.collection].create_index(list(index.keys), name=index.name)
    database["payment_events"].insert_many([event(place) for place in range(OTHERS)])
    database["payment_events"].create_index([("recorded_at", 1), ("payment_id", 1), ("version", 1)], name="recorded")


def explained(database: Database[Json], row: Aggregation) -> Json:
    """Have the server run an aggregation's pipeline and tell how it did."""
    pipeline = row.build(row.parameters.model_validate(ASKED[row.name]), NOW)
    command = {"aggregate": row.collections[0], "pipeline": pipeline, "cursor": {}}
    return dict(database.command("explain", command, verbosity="executionStats"))


def every(plan: object, key: str) -> Iterator[Any]:
    """Find every member of that name in a plan."""
    if isinstance(plan, dict):
        for name, value in plan.items():
            if name == key:
                yield value
            yield from every(value, key)
    elif isinstance(plan, list):
        for one in plan:
            yield from every(one, key)


def indexes_used(plan: Json) -> set[str]:
    """Name the indexes that a plan went by, `_id`'s left out: it needs no declaration."""
    ran = [plan.get("stages", []), {**plan, "stages": None}]
    winning = set(every(list(every(ran, "winningPlan")), "indexName"))
    looked_up = {name for names in every(plan, "indexesUsed") for name in names}
    return (winning | looked_up) - {"_id_"}


def misdeclared(database: Database[Json], row: Aggregation) -> set[str]:
    """Name the indexes that a row leans on and does not use, or uses and does not name."""
    return indexes_used(explained(database, row)) ^ (set(row.indexes) or ALSO.get(row.name, set()))


#: What is used beside the declared ones: the events' own index, which their store makes.
ALSO = {"gateway_performance": {"recorded"}}


class TestPlans:
    """Each pipeline as the server runs it once the declared indexes are there."""

    def test_all(self) -> None:
        """All fourteen are explained, and every declared index that they name exists."""
        assert ASKED.keys() == CATALOGUE.keys()
        assert {name for row in CATALOGUE.values() for name in row.indexes} <= INDEXES.keys()

    def test_indexes(self, indexed: Database[Json]) -> None:
        """Each goes by exactly the indexes that its row names; a row that names another one is found out."""
        wrong = {name: misdeclared(indexed, row) for name, row in CATALOGUE.items()}
        assert {name: found for name, found in wrong.items() if found} == {}
        for name in ("client_payments", "project_designs"):
            pretender = replace(CATALOGUE[name], indexes=("nw_payments_transr",))
            assert "nw_payments_transr" in misdeclared(indexed, pretender)

    def test_no_scan(self, indexed: Database[Json]) -> None:
        """Nothing is scanned whole but what has to be read whole."""
        for name, row in CATALOGUE.items():
            plan = explained(indexed, row)
            scans = [stage for stage in every(plan, "stage") if stage == "COLLSCAN"]
            scans += [count for count in every(plan, "collectionScans") if int(count)]
            assert bool(scans) == (name in {"payments_summary", "receivables_ageing"}), name

    @pytest.mark.parametrize("name", BY_SUBJECT)
    def test_examined(self, indexed: Database[Json], name: str) -> None:
        """At most twice the documents of the subject are read, beside the subject itself, of 300 in each collection."""
        row = CATALOGUE[name]
        plan = explained(indexed, row)
        read = sum(int(one) for one in every(plan.get("stages", plan), "totalDocsExamined"))
        kinds = 4 if name == "project_overview" else 1
        returned = 1 if name == "contract_employees" else OWN * kinds
        assert 1 <= read <= 2 * returned + 1

    def test_covered(self, indexed: Database[Json]) -> None:
        """An organisation's earnings are read from the index alone: only the organisation's document is looked at."""
        plan = explained(indexed, CATALOGUE["org_earnings"])
        assert sum(int(one) for one in every(plan["stages"], "totalDocsExamined")) == 1
