from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from observability.dead_letters import DeadLetters, Kind, Letter, letter_id

AT = datetime(2026, 11, 27, 3, 0, 0, 250, tzinfo=UTC)


class TestKeep:
    """A letter is carried at least once, and counted once."""

    def test_carried_twice(self, database: Database[dict[str, Any]]) -> None:
        """Two carriers of one letter leave what is kept as it is; another letter about the same thing is counted."""
        kept = DeadLetters(database, clock=lambda: AT)
        one = Letter(letter_id=letter_id("a"), kind=Kind.MALFORMED, at=AT, error="Malformed", text="no task")
        for letter in (one, one):
            kept.keep(letter)
        (row,) = kept.newest()
        assert row["seen"] == 1
        kept.rows.update_one({"_id": one.letter_id}, {"$set": {"status": "replayed"}})
        kept.keep(one)
        assert kept.newest() == []
        kept.keep(replace(one, at=AT + timedelta(microseconds=1)))
        (row,) = kept.newest()
        assert (row["seen"], row["status"]) == (2, "waiting")
