"""Payments with times that no schema of the CMS allows: each is in one group, and no answer changes for it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aggregations.parameters import AgeParameters, SpanParameters
from aggregations.view_groups import GroupReader
from aggregations.view_keys import within
from aggregations.views import VIEWS
from tests.support.views import Views

Json = dict[str, Any]

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)

#: Times of all kinds; a text with `far` is made by the database, which has room for it.
TIMES: dict[str, Any] = {
    "first": datetime(1, 1, 1, tzinfo=UTC),
    "last": datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    "usual": NOW,
    "none": None,
    "text": "yesterday",
    "number": 5,
    "document": {"at": NOW},
    "list": [NOW],
    "two": [NOW - timedelta(days=90), NOW],
    "empty": [],
    "texts": ["yesterday"],
    "future": NOW,
    "past": NOW,
}

#: Spans that are open at either end, at both, at none.
SPANS = [
    SpanParameters(since=since, until=until)
    for since in (None, NOW - timedelta(days=40))
    for until in (None, NOW + timedelta(days=40))
]


@pytest.fixture
def odd(views: Views) -> Views:
    """A payment with each of those times, unpaid, and one without any."""
    payment = {"amount": "10", "currency": "SAR", "status": "pending"}
    rows = views.db["payments"]
    rows.insert_many([{"_id": name, "createdAt": time, **payment} for name, time in TIMES.items()])
    rows.insert_one({"_id": "missing", **payment})
    for name, far in (("future", 10**15), ("past", -(10**14))):
        rows.update_one({"_id": name}, [{"$set": {"createdAt": {"$add": ["$createdAt", far]}}}])
    views.settle()
    return views


def agree(views: Views) -> list[bool]:
    """Check all that is answered; tell what is."""
    asked = [("payments_summary", span) for span in SPANS]
    answers = []
    for name, parameters in [*asked, ("receivables_ageing", AgeParameters())]:
        given = views.by_view(name, parameters, NOW)
        assert given is None or given == views.by_pipeline(name, parameters, NOW), (name, parameters)
        answers.append(given is not None)
    return answers


class TestOddTimes:
    """Whatever stands as a payment's time."""

    def test_one_group(self, odd: Views) -> None:
        """Each payment is in exactly one group, and the rebuild knows every group."""
        groups, _ = GroupReader(odd.db).days(VIEWS["mv_payments_monthly"])
        assert len({*groups}) == len(groups)
        found = [row["_id"] for group in groups for row in odd.db["payments"].find(within(str(group)), {"_id": 1})]
        assert sorted(found) == sorted([*TIMES, "missing"])

    def test_answers(self, odd: Views) -> None:
        """Answers are the pipelines'; a span that may hold more than its days is left to them."""
        assert agree(odd) == [True, False, False, False, True]
        assert set(odd.rebuild().values()) == {0}

    def test_back(self, odd: Views) -> None:
        """Once they are put right every span is answered by the view again."""
        odd.db["payments"].update_many({}, {"$set": {"createdAt": NOW}})
        odd.follow()
        agree(odd)
        odd.refresh()
        assert agree(odd) == [True] * 5
