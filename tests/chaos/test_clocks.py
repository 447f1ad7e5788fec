import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from payments.database_clock import primary_time
from tests.chaos.stage import Stage, staged
from tests.support.clocks import MovedClock
from tests.support.cms import seed_payment
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually
from workers.waiting import oldest

#: For how long a ladder's first steps wait, and a page lives, at most; an hour is far beyond both.
LADDER, PAGE = timedelta(minutes=6), timedelta(minutes=21)

#: For how long a tick of beat lies there, in seconds, before a worker is taken not to read: some of its ticks' time.
UNREAD_SECONDS = 4


@pytest.fixture
def clock(tmp_path: Path) -> MovedClock:
    """The clock of the machine that the worker and the receiver are on; beat's is right."""
    return MovedClock(tmp_path / "clock", 40.0)


@pytest.fixture
def machine(tmp_path: Path, sandbox: Sandbox, clock: MovedClock) -> Iterator[Stage]:
    """A system whose worker and receiver are on a machine of their own."""
    yield from staged(tmp_path, sandbox, members=1, clocks={"worker-money": clock, "receiver": clock})


class TestClockOff:
    """A machine whose clock is wrong."""

    def test_all_of_it(self, machine: Stage, clock: MovedClock) -> None:
        """Off by little it works and shifts nothing; off by much it takes no work, accepts notices, and comes back."""
        payment, tran_ref = machine.page()
        assert late(machine) == []
        eventually(lambda: "40 s ahead" in off(machine), within_seconds=30, what="the alert")
        assert "takes no work" not in off(machine)

        clock.move(3600.0)
        eventually(lambda: "takes no work" in off(machine), within_seconds=30, what="the alert about the worker's stop")
        stopped = partial(machine.system.lines, event="clock_gate", takes_work=False)
        eventually(stopped, within_seconds=30, what="the worker's stop")
        with redis.Redis.from_url(str(machine.system.settings.redis_url)) as broker:
            eventually(lambda: not asks(broker), within_seconds=30, what="the end of its last question")
            asked = machine.system.enqueue("payments.create_page", payment_id=seed_payment(machine.database).payment_id)
            body = machine.pay(tran_ref)
            assert machine.deliver(body).status_code == 200
            eventually(lambda: unread_for(broker) >= UNREAD_SECONDS, within_seconds=60, what="unread ticks")
            assert (broker.llen("payments"), asked.meta["status"]) == (1, "PENDING")
        assert late(machine) == []
        assert not machine.is_paid(payment)

        clock.move(-20.0)
        assert asked.get(within_seconds=60)["state"] == "AWAITING_PAYER"
        eventually(lambda: machine.is_paid(payment), within_seconds=60, what="the payment paid")
        assert late(machine) == []
        clock.move(0.0)
        eventually(lambda: not off(machine), within_seconds=30, what="the alert's end")


def off(stage: Stage) -> str:
    """Return what the open alert says of the machine; empty when there is none."""
    found = stage.database["alerts"].find_one({"name": "clock_off", "closed_at": None})
    return str(found["detail"]) if found else ""


def unread_for(broker: redis.Redis) -> float:
    """Return for how long the oldest tick of the money sweeps has waited, in seconds; beat's clock is right."""
    first = oldest(broker, "reconcile")
    return time.time() - datetime.fromisoformat(first.since).timestamp() if first and first.since else 0.0


def asks(broker: redis.Redis) -> bool:
    """Tell whether somebody is asking the broker for a message, and waits for it."""
    return any(one["cmd"] == "brpop" and "b" in one["flags"] for one in broker.client_list())


def late(stage: Stage) -> list[str]:
    """List what stands in shared rows that is not by the database's clock."""
    now = primary_time(stage.database)
    rows = [*stage.database["payment_operations"].find(), *stage.database["webhook_inbox"].find()]
    found = [
        (f"{row['_id']}.{name}", value, PAGE if name == "page.expires_at" else LADDER)
        for row in rows
        for name, value in times(row)
    ]
    return [f"{name}: {value - now}" for name, value, longest in found if not now - PAGE < value < now + longest]


def times(row: dict[str, Any], within: str = "") -> Iterator[tuple[str, datetime]]:
    """Give every time in a row."""
    for name, value in row.items():
        if isinstance(value, datetime):
            yield f"{within}{name}", value
        elif isinstance(value, dict):
            yield from times(value, f"{within}{name}.")
        elif isinstance(value, list):
            for one in value:
                yield from times(one if isinstance(one, dict) else {}, f"{within}{name}.")
