from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from random import Random
from typing import Any

import bson
import pytest

from aggregations.catalogue import CATALOGUE
from workers.seed_plan import PER_FAMILY, SeedPlan
from workers.seed_questions import questions
from workers.seed_writing import chunks, documents

Json = dict[str, Any]

SMALL = SeedPlan(0.002, seed=7)


def made(plan: SeedPlan) -> dict[str, list[Json]]:
    """Every document of a plan, by collection."""
    found: dict[str, list[Json]] = defaultdict(list)
    for chunk in chunks(plan):
        for name, document in documents(plan, chunk):
            found[name].append(document)
    return found


@pytest.fixture(scope="module")
def cms() -> dict[str, list[Json]]:
    """A hundred families."""
    return made(SMALL)


def digest(plan: SeedPlan) -> str:
    """A digest of every byte of a plan's documents."""
    hashed = sha256()
    for chunk in chunks(plan):
        for name, document in documents(plan, chunk):
            hashed.update(name.encode() + bson.encode(document))
    return hashed.hexdigest()


class TestDeterminism:
    """The same seed gives the same documents."""

    def test_golden(self) -> None:
        """Down to the byte, in every run and on every day."""
        assert digest(SeedPlan(0.0002)) == GOLDEN

    def test_any_order(self) -> None:
        """A chunk is the same whatever was made before it, so that processes may share the work."""
        plan = SeedPlan(0.03)
        last = [chunk for chunk in chunks(plan) if chunk.subject == "families"][-1]
        assert last.first > 0
        assert list(documents(plan, last)) == list(documents(plan, last))

    def test_other_seeds(self, cms: dict[str, list[Json]]) -> None:
        """Another seed gives other ids, and nothing that has to be unique is in both."""
        other = made(SeedPlan(0.002, seed=8))
        for name in ("users", "payments"):
            assert not {one["_id"] for one in other[name]} & {one["_id"] for one in cms[name]}
        for unique in ("username", "phone"):
            values = [one[unique] for one in (*other["users"], *cms["users"])]
            assert len(values) == len(set(values))

    def test_ends(self) -> None:
        """Nothing is younger than the day asked for, and nothing much older than four years."""
        ends = date(2020, 3, 1)
        found = made(SeedPlan(0.0002, ends=ends))
        days = [one["createdAt"].date() for all_of_it in found.values() for one in all_of_it if "createdAt" in one]
        assert ends - timedelta(days=4 * 365) <= min(days)
        assert max(days) <= ends


class TestSize:
    """How much there is."""

    def test_scale_one(self) -> None:
        """What the scale promises: counted without making it."""
        plan = SeedPlan(1)
        counted = {kind: sum(plan.size_of(kind, one) for one in range(plan.families)) for kind in PER_FAMILY}
        assert (plan.users, plan.families) == (10_000, 50_000)
        assert (counted["payments"], counted["notes"], counted["projectearnings"]) == (500_000, 300_000, 250_000)
        assert plan.documents > 1_300_000

    def test_counted_as_made(self, cms: dict[str, list[Json]]) -> None:
        """The number told beforehand is the number made, and no id is made twice."""
        ids = [(name, one["_id"]) for name, all_of_it in cms.items() for one in all_of_it]
        assert len(ids) == SMALL.documents == len(set(ids))


class TestShape:
    """Documents as the CMS has them."""

    def test_references(self, cms: dict[str, list[Json]]) -> None:
        """Nearly every reference leads somewhere; a few dangle."""
        ids = {name: {one["_id"] for one in all_of_it} for name, all_of_it in cms.items()}
        payments = cms["payments"]
        to = (("client", "users"), ("contractId", "contracts"))
        dangling = [one for one in payments for field, name in to if one[field] not in ids[name]]
        assert 0 < len(dangling) < len(payments) * 0.03
        for project in cms["projects"]:
            assert set(project.get("designs", [])) <= ids["designs"]
            assert {project["employee"], project["contract"]} <= ids["users"] | ids["contracts"]
        assert {one["onId"] for one in cms["notes"]} <= ids["projects"] | ids["designs"]

    def test_mongoose(self, cms: dict[str, list[Json]]) -> None:
        """Mongoose's own members are there but for a few old payments, with times that the id agrees with."""
        for name, all_of_it in cms.items():
            for one in all_of_it:
                assert one["__v"] == 0
                if name != "payments" or "createdAt" in one:
                    assert abs(one["_id"].generation_time - one["createdAt"]) < timedelta(seconds=1)
                    assert one["createdAt"] <= one["updatedAt"]

    def test_awkward(self, cms: dict[str, list[Json]]) -> None:
        """There are payments without status, amount or currency, with unreadable amounts and lower-case currencies."""
        payments = cms["payments"]
        counts: Counter[str] = Counter()
        for one in payments:
            counts.update(name for name in ("status", "amount", "currency", "createdAt") if name not in one)
            counts["lower"] += one.get("currency", "").islower()
            counts["unreadable"] += "amount" in one and not readable(one["amount"])
        assert counts.keys() >= {"status", "amount", "currency", "createdAt"}
        assert all(0 < count < len(payments) * 0.2 for count in counts.values()), counts
        assert all(isinstance(one.get("amount", ""), str | None) for one in payments)


def readable(amount: str | None) -> bool:
    """Tell whether an amount is a plain decimal text."""
    try:
        return amount is not None and Decimal(amount) >= 0
    except InvalidOperation:
        return False


class TestQuestions:
    """What can be asked of seeded data."""

    def test_every_aggregation(self, cms: dict[str, list[Json]]) -> None:
        """There are parameters for each, which its model takes, about documents that are there."""
        ids = {str(one["_id"]) for all_of_it in cms.values() for one in all_of_it}
        for number in range(20):
            asked = questions(SMALL, Random(number))  # noqa: S311 - data, not secrets
            assert asked.keys() >= CATALOGUE.keys()
            for name, parameters in asked.items():
                if name in CATALOGUE:
                    CATALOGUE[name].parameters.model_validate(parameters)
                about = [
                    one for value in parameters.values() for one in (value if isinstance(value, list) else [value])
                ]
                assert {one for one in about if len(str(one)) == 24} <= ids


#: Of scale 0.0002 with seed 1.
GOLDEN = "cb446e3b7b02757a5216eff694484d182d9437261dec6e18f953d1c711b3617d"
