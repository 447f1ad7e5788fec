from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from pymongo.database import Database

from aggregations.catalogue import CATALOGUE
from aggregations.errors import NotFound, UnknownAggregation
from config.queues import queue_of
from config.settings import Settings
from tasks import aggregations
from tasks.base import positions
from tasks.errors import InvalidArguments
from tasks.wiring import build_world, use_world
from tests.support.cms import seed_payment
from tests.support.system import serving

Json = dict[str, Any]
NOBODY = "0" * 24

#: An aggregation, what it is asked with, and the field that the complaint must name.
WRONG: dict[str, tuple[str, Json, str]] = {
    "no id": ("project_notes", {}, "project_id"),
    "malformed id": ("client_payments", {"client_id": "s3cret"}, "client_id"),
    "number for an id": ("org_earnings", {"org_id": 7}, "org_id"),
    "upper-case id": ("user_projects", {"user_id": "A" * 24}, "user_id"),
    "absurd limit": ("client_payments", {"client_id": NOBODY, "limit": 1_000_001}, "limit"),
    "no limit": ("project_steps", {"project_id": NOBODY, "limit": 0}, "limit"),
    "text for a limit": ("project_steps", {"project_id": NOBODY, "limit": "10"}, "limit"),
    "absurd skip": ("user_permissions", {"user_id": NOBODY, "skip": 10**12}, "skip"),
    "negative skip": ("project_designs", {"project_id": NOBODY, "skip": -1}, "skip"),
    "no ids": ("earnings_compound", {"earning_ids": []}, "earning_ids"),
    "too many ids": ("earnings_compound", {"earning_ids": [NOBODY] * 1_001}, "earning_ids"),
    "one wrong id": ("earnings_compound", {"earning_ids": [NOBODY, "x"]}, "earning_ids.1"),
    "unknown status": ("client_payments", {"client_id": NOBODY, "status": "lost"}, "status"),
    "no zone": ("payments_summary", {"since": "2026-01-01T00:00:00"}, "since"),
    "no time": ("payments_summary", {"until": "yesterday"}, "until"),
    "year 0": ("payments_summary", {"until": "0001-01-01T00:00:00+14:00"}, "until"),
    "no year left": ("gateway_performance", {"since": "9999-12-01T00:00:00Z"}, "since"),
    "too long a span": ("gateway_performance", {"days": 93}, "days"),
    "descending": ("receivables_ageing", {"brackets_days": [60, 30]}, "brackets_days"),
    "absurd age": ("receivables_ageing", {"brackets_days": [3_651]}, "brackets_days.0"),
    "extra": ("project_overview", {"project_id": NOBODY, "$where": "s3cret"}, r"\$where"),
}


@pytest.fixture(autouse=True)
def served(settings: Settings) -> Iterator[Celery]:
    """The tasks as a worker's child has them, on a world of this test's database."""
    with serving(settings) as app:
        use_world(build_world(settings))
        yield app
        use_world(None)


class TestNamed:
    """Every aggregation is a task of its own, and one among all."""

    def test_all(self, served: Celery) -> None:
        """There is one per row of the catalogue, on the queue of reads; that name is the API."""
        assert aggregations.NAMED.keys() == CATALOGUE.keys()
        for name, task in aggregations.NAMED.items():
            assert task.name == f"aggregations.{name}"
            assert task.name in served.tasks
            assert queue_of(task.name) == "aggregations"

    def test_same_answer(self, database: Database[Json]) -> None:
        """By either name, by position or by name, whoever asks: the same answer."""
        seeded = seed_payment(database, currency="sar")
        task = aggregations.NAMED["contract_balance"]
        answers = [
            aggregations.run(name="contract_balance", params={"contract_id": seeded.contract_id}),
            task(seeded.contract_id),
            task(contract_id=seeded.contract_id, requested_by="cms"),
        ]
        expected = {"currency": "SAR", "payments": 1, "due": "115.00", "paid": "0.00", "refunded": "0.00"}
        for answer in answers:
            assert answer["data"]["balances"] == [expected | {"outstanding": "115.00"}]

    def test_order(self) -> None:
        """By position whom it is about comes first, and then which part of the list."""
        arguments = {name: positions(aggregations.arguments_of(row)) for name, row in CATALOGUE.items()}
        assert arguments["client_payments"] == ["client_id", "limit", "skip", "status"]
        assert arguments["user_permissions"] == ["user_id", "limit", "skip"]

    def test_defaults(self) -> None:
        """What has defaults may be left out, and times may be text."""
        assert aggregations.NAMED["payments_summary"]()["data"]["rows"] == []
        since = aggregations.NAMED["gateway_performance"](since="2026-01-01T03:00:00+03:00", days=1)["data"]["since"]
        assert since == "2026-01-01T00:00:00.000Z"


class TestRefused:
    """A mistake fails at once and names its field; no value is repeated."""

    @pytest.mark.parametrize("case", WRONG)
    def test_field(self, case: str) -> None:
        """The same field by either name."""
        name, asked, field = WRONG[case]
        with pytest.raises(InvalidArguments, match=rf"^{field}: ") as failed:
            aggregations.NAMED[name](**asked)
        assert "s3cret" not in str(failed.value)
        with pytest.raises(InvalidArguments, match=rf"^params\.{field}: "):
            aggregations.run(name=name, params=asked)

    def test_backwards(self) -> None:
        """A span that ends before it begins says what was expected of it."""
        backwards = {"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
        with pytest.raises(InvalidArguments, match=r"^arguments: expected since to be earlier than until"):
            aggregations.NAMED["payments_summary"](**backwards)
        with pytest.raises(InvalidArguments, match=r"^params: expected since to be earlier than until"):
            aggregations.run(name="payments_summary", params=backwards)

    def test_unknown_aggregation(self) -> None:
        """A name that there is not is answered with all fourteen that there are."""
        with pytest.raises(UnknownAggregation, match=r"^name: expected one of ") as failed:
            aggregations.run(name="everything", params={})
        assert set(failed.value.known) == CATALOGUE.keys()

    def test_unknown_subject(self) -> None:
        """Somebody who does not exist is named by the parameter."""
        with pytest.raises(NotFound, match=r"^client_id: expected the id of a user of the CMS"):
            aggregations.NAMED["client_payments"](client_id=NOBODY)
