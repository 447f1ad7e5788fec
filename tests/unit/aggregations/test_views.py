import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from unittest.mock import MagicMock

import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS

from aggregations.catalogue import CATALOGUE
from aggregations.change_stream import just_before, time_of
from aggregations.changes import Change, Key, fields_after, listed_in
from aggregations.view_keys import LAST_MOMENT, NOTHING, OUTSIDE, UNDATED, day_of, days_of, ids, within
from aggregations.view_sources import ABOUT, KEPT, REFERENCES, TAGS, WATCHED, kept, tags_of
from aggregations.view_sums import added, bracket_of
from aggregations.views import VIEWS, groups_of

ONE, OTHER = ObjectId(), ObjectId()

AT = Timestamp(1_700_000_000, 1)


class TestKeys:
    """Values of any type belong somewhere, or nowhere."""

    def test_ids(self) -> None:
        """A reference is an id or a list of them; whatever else stands there is none."""
        assert ids(ONE) == (ONE,)
        assert ids([ONE, "x", None, [OTHER], OTHER]) == (ONE, OTHER)
        assert ids(str(ONE)) == ids({"$oid": ONE}) == ids(None) == ()

    def test_days(self) -> None:
        """Days are those of UTC; what is no time has none."""
        assert day_of(datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=3)))) == "2026-02-28"
        assert day_of(datetime(88, 3, 1, tzinfo=UTC)) == "0088-03-01"
        assert [day_of(odd) for odd in ("2026-03-01", None, DatetimeMS(10**17), [1])] == [UNDATED] * 4

    def test_within(self) -> None:
        """A day is matched from its first moment to its last, no list; what is no day matches nothing."""
        match = within("2026-03-01")["createdAt"]
        last = datetime(2026, 3, 1, 23, 59, 59, 999_000, tzinfo=UTC)
        assert match == {"$gte": datetime(2026, 3, 1, tzinfo=UTC), "$lte": last, "$not": {"$type": "array"}}
        assert within("9999-12-31")["createdAt"]["$lte"] == LAST_MOMENT
        assert within("gossip") == within("2026-3-01") == within("2026-02-30") == NOTHING

    def test_no_days(self) -> None:
        """What is no day is in one of two groups; in doubt both are told."""
        assert days_of(datetime(2026, 3, 1, tzinfo=UTC)) == ("2026-03-01",)
        odd: list[object] = [None, "yesterday", []]
        assert [*map(days_of, odd)] == [(UNDATED,), (UNDATED,), (OUTSIDE,)]
        assert [days_of(odd) for odd in (True, DatetimeMS(10**17))] == [(UNDATED, OUTSIDE)] * 2

    def test_brackets(self) -> None:
        """A day is in the bracket that the whole of it is in."""
        now = datetime(2026, 4, 30, 9, tzinfo=UTC)
        days = ("2026-04-30", "2026-04-29", "2026-02-01", "2020-01-01", UNDATED)
        assert [bracket_of(day, [30, 60], now) for day in days] == [0, 0, 2, 2, None]

    def test_token_time(self) -> None:
        """A token says its time in its first bytes."""
        assert time_of({"_data": "826B08F12000004E382B0229296E04"}) == Timestamp(0x6B08F120, 0x4E38)
        assert [time_of(odd) for odd in (None, {}, {"_data": "82zz"}, {"_data": "8" * 40})] == [None] * 4


class TestSums:
    """Rows are added up as the database adds."""

    def test_exact(self) -> None:
        """All 34 digits count, whole numbers mix with decimals, and nothing sorts before anything."""
        large = Decimal128("1234567890123456789012345.000000001")
        rows = [
            {"_id": {"currency": currency}, "amount": amount, "payments": 1, "lost": 0}
            for currency, amount in (("SAR", large), ("SAR", Decimal128("0.000000001")), (None, 0), ("AED", 0))
        ]
        found = added([*rows, rows[2]], ["currency"])
        assert [row["_id"]["currency"] for row in found] == [None, "AED", "SAR"]
        assert found[0]["payments"] == 2
        assert found[2]["amount"].to_decimal() == Decimal("1234567890123456789012345.000000002")


class TestChanges:
    """Which fields a document has after a change, told by the change itself."""

    def test_in_order(self) -> None:
        """An update is taken from what it sets, not from the document, which may be newer by many changes."""
        before = {"contractId": ONE, "status": "pending"}
        document = {"contractId": "newer", "status": "newer"}
        change = Change("update", Key.of("payments", 1), AT, document, {"contractId": OTHER}, ["status"])
        assert fields_after(change, before) == {"contractId": OTHER}
        assert fields_after(change, None) == document

    @pytest.mark.parametrize(
        ("one", "equal"),
        [
            (7, Int64(7)), (7.0, 7), (Decimal128("7.00"), 7.0), (-0.0, 0), (2.0**70, Decimal128(str(2**70))),
            (Decimal128("1E+6111"), Decimal128("10E+6110")), (math.nan, Decimal128("NaN")),
            (-math.inf, Decimal128("-Infinity")), ({"a": [7, "7"]}, {"a": [7.0, "7"]}),
        ],
    )  # fmt: skip
    def test_equal_keys(self, one: object, equal: object) -> None:
        """Ids that the database takes for the same are the same."""
        assert Key.of("c", one) == Key.of("c", equal)

    @pytest.mark.parametrize(
        ("one", "other"), [(7, "7"), (1, True), (0.1, Decimal128("0.1")), (2**60, 2.0**60 + 1024), ({"a": 1}, {"a": 2})]
    )
    def test_other_keys(self, one: object, other: object) -> None:
        """All others are not."""
        assert Key.of("c", one) != Key.of("c", other)

    @pytest.mark.parametrize(
        ("held", "told", "expected"),
        [
            ([ONE], {"parts": [("contractId.0", OTHER)]}, [OTHER]),
            ([ONE], {"parts": [("contractId.1", OTHER)]}, [ONE, OTHER]),
            ([], {"parts": [("contractId.2", OTHER), ("contractId.1", "odd")]}, [None, None, OTHER]),
            ([None, ONE, OTHER], {"parts": [("contractId.2.deeper", ONE), ("amount.0", ONE)]}, [None, ONE, OTHER]),
            ([ONE, ONE, OTHER], {"cut": {"contractId": 1, "amount": 0}, "parts": [("contractId.0", OTHER)]}, [OTHER]),
            (True, {"parts": [("contractId.0", OTHER)], "cut": {"contractId": 0}}, True),
        ],
    )
    def test_parts(self, held: object, told: dict[str, Any], expected: object) -> None:
        """An update within a list is done to the list that was kept."""
        change = Change("update", Key.of("payments", 1), AT, {"contractId": "newer"}, **told)
        assert fields_after(change, {"contractId": held}) == {"contractId": expected}

    def test_parts_of_unknown(self) -> None:
        """Of a document that nobody knew, what an update has set within a list is added to what it is by now."""
        change = Change("update", Key.of("payments", 1), AT, {"contractId": [ONE]}, parts=[("contractId.0", OTHER)])
        assert fields_after(change, None) == {"contractId": [ONE, OTHER]}

    def test_kept(self) -> None:
        """Of odd values only that they were there is kept."""
        odd = {"contractId": {"$where": 1}, "status": "x" * 65, "client": [ONE, 5], "amount": "1", "createdAt": 5}
        assert kept("payments", odd) == {"contractId": True, "status": True, "client": [ONE], "createdAt": True}

    def test_listed(self) -> None:
        """Lists name documents in the collections that they are lists of; ids may be of any type."""
        project = {"designs": [ONE, "x"], "steps": ONE, "workers": None}
        expected = {Key.of("designs", ONE), Key.of("designs", "x"), Key.of("projectsteps", ONE)}
        assert listed_in("projects", project) == expected

    def test_tags(self) -> None:
        """A user is a client as well; a document whose id is odd has no tag of its own."""
        assert list(tags_of("users", ONE, {})) == ["users", f"user:{ONE}", f"client:{ONE}"]
        assert list(tags_of("payments", "odd", {"contractId": [ONE, OTHER]})) == [
            "payments", f"contract:{ONE}", f"contract:{OTHER}",
        ]  # fmt: skip


class TestTags:
    """What a change says is out of date."""

    def test_about(self) -> None:
        """Whatever a document is about stands in a field that is kept, or nobody would know of it."""
        assert all({*fields} <= {*KEPT[collection]} for collection, fields in ABOUT.items())

    @pytest.mark.parametrize("name", [name for name, row in CATALOGUE.items() if {*row.collections} <= {*WATCHED}])
    def test_reached(self, name: str) -> None:
        """A change to any collection that an answer is made of reaches one of its tags."""
        row = CATALOGUE[name]
        called = {tag.partition(":")[0] for tag in row.tags(MagicMock())}
        for collection in row.collections:
            holders = {holder for holder, fields in REFERENCES.items() if collection in fields.values()}
            names = {*TAGS[collection], *ABOUT.get(collection, {}).values(), *(TAGS[holder][0] for holder in holders)}
            assert names & called, collection


class TestTimes:
    """Times of the database."""

    def test_just_before(self) -> None:
        """There is none between a time and the one before it."""
        assert just_before(AT) == Timestamp(1_700_000_000, 0)
        assert just_before(just_before(AT)) == Timestamp(1_699_999_999, 2**32 - 1)


class TestTable:
    """Which groups of which views a document is in."""

    @pytest.mark.parametrize(
        ("view", "collection", "fields", "groups"),
        [
            ("mv_receivables", "payments", {"status": "paid", "createdAt": None}, ()),
            ("mv_receivables", "payments", {"status": ["pending"], "createdAt": None}, (UNDATED,)),
            ("mv_receivables", "payments", {}, (UNDATED,)),
            ("mv_project_overview", "notes", {"onModel": "Design", "onId": ONE}, ()),
            ("mv_project_overview", "notes", {"onModel": "Project", "onId": ONE}, (ONE,)),
            ("mv_project_overview", "notes", {"onModel": ["Project"], "onId": ONE}, (ONE,)),
            ("mv_contract_balances", "contracts", {"_id": "odd"}, ()),
            ("mv_contract_balances", "users", {"_id": ONE}, ()),
        ],
    )
    def test_groups(self, view: str, collection: str, fields: dict[str, object], groups: tuple[object, ...]) -> None:
        """Where it is not sure, a document is in a group rather than in none."""
        assert groups_of(VIEWS[view], collection, fields) == groups
