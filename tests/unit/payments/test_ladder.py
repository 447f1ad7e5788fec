from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.assessment import Assessment, assess
from payments.facts import Fact
from payments.ladder import STEPS_SECONDS, WATCH, next_look, next_step
from payments.operations import Operation, Send, Status
from payments.payment import fold
from tests.unit.payments.stories import after, page, seen

START = datetime(2026, 8, 6, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)
DELAYS = st.lists(st.floats(min_value=0.0, max_value=30.0), min_size=1, max_size=5)


def row(*, is_open: bool = True, retired_at: datetime | None = None, poll_from: datetime = START) -> Operation:
    """Return an operation that was sent at the start."""
    return Operation(
        operation_id="op-1", payment_id="0" * 24, kind="create_page", params={}, status=Status.PENDING, open=is_open,
        sends=(Send("cart-1", START, retired_at),), due_at=None, lease_until=None, attempts=1, tran_ref="T1",
        redirect_url=None, error=None, correlation_id="c", requested_by=None, created_at=START, poll_from=poll_from,
    )  # fmt: skip


def verdict(*said: Fact, transaction: str = "sale") -> Assessment:
    """Return the verdict over a payment with one page."""
    return assess(fold([*page(transaction), *said]))


def looks(subject: Operation, judged: Assessment, delays: list[float], until: timedelta) -> list[datetime]:
    """Return when an operation is looked at, each time somewhat later than due."""
    found: list[datetime] = []
    now = START
    while (due := next_look(subject, judged, now)) is not None and due <= START + until:
        now = due + timedelta(seconds=delays[len(found) % len(delays)])
        found.append(due)
    return found


class TestNextStep:
    """The ladder itself."""

    def test_steps(self) -> None:
        """PayTabs is asked after 5, 15, 60, 130 and 300 seconds, an hour, six, a day, then daily."""
        now, steps = START, []
        for _ in range(11):
            now = next_step(START, now)
            steps.append((now - START).total_seconds())
        assert steps == [5, 15, 60, 130, 300, 3600, 21600, 86400, 2 * 86400, 3 * 86400, 4 * 86400]

    @given(seconds=st.floats(min_value=-60, max_value=4e6))
    def test_ahead(self, seconds: float) -> None:
        """The next step always lies ahead, and never more than a day, however late one asks."""
        now = START + timedelta(seconds=seconds)
        step = next_step(START, now)
        assert now < step <= max(now, START) + DAY

    @pytest.mark.parametrize("seconds", [*STEPS_SECONDS, 2 * 86_400])
    def test_exact(self, seconds: int) -> None:
        """A look that happens exactly on a step does not find that step again."""
        now = START + timedelta(seconds=seconds)
        assert next_step(START, now) > now


class TestNextLook:
    """Which operations are looked at again."""

    @given(delays=DELAYS)
    def test_first_day(self, delays: list[float]) -> None:
        """An abandoned page is looked at nine times at most within a day, and at its end."""
        found = looks(row(), verdict(), delays, DAY)
        assert len(found) <= 9
        assert found[-1] == START + DAY

    def test_daily(self) -> None:
        """After the first day it is looked at daily, for as long as it is open."""
        found = looks(row(), verdict(), [0.0], 30 * DAY)
        assert found[-29:] == [START + number * DAY for number in range(2, 31)]

    @pytest.mark.parametrize("status", ["A", "D", "C", "E", "X", "V"])
    def test_ended(self, status: str) -> None:
        """A closed operation whose end is known is not looked at."""
        assert next_look(row(is_open=False), verdict(seen("T1", "sale", status)), START) is None

    @pytest.mark.parametrize(("kind", "status"), [("sale", "H"), ("auth", "A"), ("payment request", "P")])
    def test_unsettled(self, kind: str, status: str) -> None:
        """A hold, an authorisation and a deferred payment are looked at, their operation closed or not."""
        judged = verdict(seen("T1", kind, status), transaction=kind if kind == "auth" else "sale")
        assert next_look(row(is_open=False), judged, START) == START + timedelta(seconds=5)

    def test_part_captured(self) -> None:
        """A part capture is settled: only an operation looks further."""
        judged = verdict(seen("T1", "auth", "A"), after("T1", "T2", "capture", "A", "40.00"), transaction="auth")
        assert next_look(row(is_open=False), judged, START) is None

    def test_parked(self) -> None:
        """A paid payment of which something waits for its parent is looked at again."""
        judged = verdict(seen("T1", "sale", "A"), after("T8", "T9", "refund", "A", "5.00"))
        assert next_look(row(is_open=False), judged, START) == START + timedelta(seconds=5)

    def test_retired(self) -> None:
        """A cart that was given up is looked at for a day, the last time shortly before its watch ends."""
        retired = START + timedelta(seconds=200)
        subject = row(is_open=False, retired_at=retired, poll_from=retired + timedelta(minutes=10))
        found = looks(subject, verdict(seen("T1", "sale", "A")), [0.0], 3 * DAY)
        counted = [look for look in found if look < retired + WATCH]
        assert len(counted) <= 9
        assert retired + WATCH - counted[-1] <= timedelta(minutes=5)
        assert len(found) - len(counted) <= 1

    def test_unretired(self) -> None:
        """A send that was not given up is not watched for its own sake."""
        subject = replace(row(is_open=False), sends=(Send("cart-1", START),))
        assert next_look(subject, verdict(seen("T1", "sale", "A")), START) is None
