"""The sandbox's answers and notices against the contract's facts, member by member."""

import re
from datetime import datetime
from typing import Any

import pytest

from tests.contract.sandbox.facts import ANSWERS, CARD, NOTICE, NOTICES, differences, maybe, paid


class TestAnswers:
    """What PayTabs' server answers."""

    @pytest.mark.parametrize("kind", ANSWERS)
    def test_members(self, desk: Any, kind: str) -> None:
        """Every member of the table is there as it says, and no other."""
        make, facts = ANSWERS[kind]
        assert differences(make(desk), facts) == []

    def test_differences(self) -> None:
        """The comparison finds each kind of difference."""
        facts = {"a": "1", "b": int, "c": re.compile("x"), "d": {"e": "f"}, "g": maybe(str)}
        good: dict[str, Any] = {"a": "1", "b": 2, "c": "x", "d": {"e": "f"}}
        assert differences(good, facts) == []
        wrong: list[dict[str, Any]] = [
            {"a": 1},
            {"a": None},
            {"b": True},
            {"b": "2"},
            {"c": "xy"},
            {"d": {}},
            {"d": "f"},
            {"g": 3},
        ]
        for bad in wrong:
            assert differences(good | bad, facts) != []
        assert differences(good | {"h": 1}, facts) == [".h is there"]
        assert differences({name: good[name] for name in "abc"}, facts) == [".d is missing"]


class TestNotices:
    """What PayTabs tells unasked."""

    @pytest.mark.parametrize("kind", NOTICES)
    def test_members(self, desk: Any, receiver: Any, until: Any, kind: str) -> None:
        """Every member of the table is there as it says, and no other; it is sent by Go's own client."""
        make, facts = NOTICES[kind]
        make(desk, receiver.url)
        until(lambda: receiver.deliveries)
        assert differences(receiver.notices()[0], facts) == []
        assert receiver.deliveries[0]["agent"] == "Go-http-client/1.1"

    def test_extras_switch(self, desk: Any, receiver: Any, until: Any) -> None:
        """Issuer and bank's step may be left out."""
        desk.switch(notice_extras=False)
        paid(desk, callback=receiver.url)
        until(lambda: receiver.deliveries)
        rows = {name: fact for name, fact in NOTICE.items() if name != "threeDSDetails"}
        assert differences(receiver.notices()[0], {**rows, "payment_info": CARD}) == []

    def test_times(self, desk: Any) -> None:
        """The times are true ones, however far the sandbox's own clock was put forward."""
        desk.let_pass(minutes=60 * 24)
        told = datetime.fromisoformat(paid(desk)["payment_result"]["transaction_time"])
        assert abs((datetime.now(told.tzinfo) - told).total_seconds()) < 60
