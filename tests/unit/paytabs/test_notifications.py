"""Notices that lack something: each member in turn missing, null, empty and of a wrong type."""

import json
from typing import Any

import pytest

from paytabs.errors import MalformedBody
from paytabs.notifications import is_complete
from paytabs.responses import parse_notification
from tests.unit.paytabs.test_transactions import NOTICE, notice

#: Members without which nobody could ask.
NAMES = ("tran_ref", "profile_id")

#: Members that a notice may be applied by, and those that only tell more.
NEEDED = ("cart_id", "tran_type", "payment_result")
FURTHER = ("previous_tran_ref", "cart_currency", "cart_amount", "tran_currency", "tran_total", "token", "payment_info")

ABSENT: list[Any] = [None, "", "  "]
WRONG: list[Any] = [["x"], {"$ne": ""}, True, "\x00", "x" * 100_000]


def without(name: str) -> bytes:
    """Write the notice without a member."""
    return json.dumps({key: value for key, value in NOTICE.items() if key != name}).encode()


class TestNames:
    """Which transaction and whose: without it a notice is refused, naming the member."""

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("value", [*ABSENT, *WRONG])
    def test_refused(self, name: str, value: object) -> None:
        """Missing, empty or of a wrong type."""
        for raw in (without(name), notice(**{name: value})):
            with pytest.raises(MalformedBody) as caught:
                parse_notification(raw)
            assert caught.value.field == name


class TestIncomplete:
    """Whatever else is missing or cannot be read: the notice is taken, and nobody applies it without asking."""

    @pytest.mark.parametrize("name", NEEDED)
    @pytest.mark.parametrize("value", [*ABSENT[:2], *WRONG[:2]])
    def test_needed(self, name: str, value: object) -> None:
        """Without cart, type or result it is incomplete."""
        for raw in (without(name), notice(**{name: value})):
            taken = parse_notification(raw)
            assert taken.tran_ref == NOTICE["tran_ref"]
            assert not is_complete(taken)

    @pytest.mark.parametrize("name", FURTHER)
    def test_absent(self, name: str) -> None:
        """Without one of the others it is as complete as before."""
        for raw in (without(name), notice(**{name: None})):
            assert is_complete(parse_notification(raw))

    @pytest.mark.parametrize("name", [*NEEDED, *FURTHER])
    @pytest.mark.parametrize("value", [["x"], True, "\x00"])
    def test_not_readable(self, name: str, value: object) -> None:
        """A member of a wrong type is absent and named; the others are read all the same."""
        taken = parse_notification(notice(**{name: value}))
        assert taken.unreadable
        assert taken.unreadable[0].startswith(name)
        assert not is_complete(taken)
        assert taken.profile_id == NOTICE["profile_id"]
        assert taken.response_status == (None if name == "payment_result" else "A")

    @pytest.mark.parametrize("value", [*ABSENT, ["A"], 5, "A" * 1000])
    def test_status(self, value: object) -> None:
        """So is a result without a status; its other members are read."""
        taken = parse_notification(notice(payment_result={**NOTICE["payment_result"], "response_status": value}))
        assert (taken.response_status, taken.response_code) == (None, "G12345")
        assert not is_complete(taken)

    def test_whole(self) -> None:
        """One that has all of it is complete."""
        assert is_complete(parse_notification(notice()))
