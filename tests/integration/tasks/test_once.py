"""What is fanned out per change is queued at most once until it begins, whatever became of its message."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
import redis
from celery import Celery, shared_task

from config.connections import redis_client
from config.queues import QUEUES, SINCE_HEADER, queue_of
from config.settings import Settings
from tasks import once
from tasks.broker_clock import time_of
from tasks.once import LASTING, MARK_HEADER, ONCE, PREFIX
from tasks.publishing import enqueue, send_task
from tests.support.broker import Broker
from tests.support.system import serving
from workers.beat import SteadyScheduler
from workers.publishing import Publisher
from workers.schedule import ENTRIES, beat_schedule

#: Something of each task that is sent once per change.
FANNED_OUT: dict[str, dict[str, Any]] = {
    "payments.poll": {"operation_id": "op-1"},
    "payments.verify": {"tran_ref": "TST1", "payer_returned": True},
    "webhooks.process": {"delivery_id": "d" * 64},
    "events.handle": {"event_id": f"{'0' * 24}-1", "handler": "notify_cms"},
    "views.refresh": {"name": "mv_receivables"},
    "aggregations.refresh": {"name": "users", "params": {"a": 1, "b": [2]}},
    "maintenance.sweep_documents": {},
}


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    """A Celery application on the real broker, which nobody serves."""
    with serving(settings) as made:
        yield made


@pytest.fixture
def broker(settings: Settings) -> Broker:
    """The broker's queues."""
    return Broker(str(settings.redis_url))


@pytest.fixture
def raw(settings: Settings) -> Iterator[redis.Redis]:
    """The broker's keys."""
    with redis_client(str(settings.redis_url)) as client:
        yield client


@shared_task(name="tests.begun")
def begun() -> None:
    """Begin, and do nothing."""


def send(task: str, **changes: Any) -> bool:
    """Send one of the fan-outs, as whoever has seen a change does."""
    return send_task(task, correlation_id="change-1", **{**FANNED_OUT[task], **changes})


def begin(message: dict[str, Any]) -> None:
    """Do what a worker does when it begins with a message; the body is of no interest here."""
    begun.apply(headers=message, throw=True)


@pytest.mark.usefixtures("app")
class TestAtMostOnce:
    """Each sort of fan-out, asked for again and again."""

    def test_every_sort(self, app: Celery, broker: Broker, raw: redis.Redis) -> None:
        """Twenty askers at once leave one message, below callers' work, that expires with its mark; another begins."""
        assert FANNED_OUT.keys() == ONCE.keys()
        for task in ONCE:
            before = time_of(raw)
            with ThreadPoolExecutor(4) as askers:
                asked = [askers.submit(enqueue, app, task, FANNED_OUT[task], "change-1") for _ in range(20)]
            assert [one.result() for one in asked].count(True) == 1, task
            (message,) = broker.messages(queue_of(task))
            assert message[MARK_HEADER], task
            (mark,) = raw.keys(f"{PREFIX}{task}:*")
            ends = raw.pexpiretime(str(mark)) / 1000
            assert before - 1 <= ends - ONCE[task] <= time_of(raw) + 1
            if task in LASTING:
                assert message["expires"] is None
            else:
                expires = datetime.fromisoformat(message["expires"]).timestamp()
                assert before - 1 <= expires - ONCE[task] <= time_of(raw) + 1, task
            begin(message)
            assert send(task)
            assert len(broker.messages(queue_of(task))) == 2, task
            broker.lose(queue_of(task))

    def test_different_work(self, broker: Broker) -> None:
        """What is about something else is queued beside it, and a caller's own message is no fan-out."""
        for number in range(3):
            send("payments.poll", operation_id=f"op-{number}")
        send("views.refresh", full=True)
        send("views.refresh")
        assert [one["expires"] is None for one in broker.messages("aggregations.refreshes")] == [False, True]
        assert broker.depths() == {"reconcile.polls": 3, "aggregations.refreshes": 2}
        for _ in range(2):
            send_task("payments.get", correlation_id="c", payment_id="0" * 24)
        assert len(broker.messages("payments")) == 2

    def test_broker_lost(self, broker: Broker, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        """The mark ends with its message: the broker emptied, the queue alone lost, the mark run out."""
        monkeypatch.setattr(once, "SENDING_SECONDS", 0.0)
        losses: dict[str, Callable[[], object]] = {
            "broker": raw.flushall,
            "queue": lambda: broker.lose("events.reactions"),
            "both in part": lambda: raw.rpop("events.reactions"),
            "time": lambda: [raw.delete(key) for key in (*raw.keys(f"{PREFIX}*"), "events.reactions")],
        }
        for name, lose in losses.items():
            assert send("events.handle")
            assert send("events.handle")
            assert broker.depths() == {"events.reactions": 1}, name
            lose()
            assert broker.depths() == {}, name
            assert send("events.handle")
            assert broker.depths() == {"events.reactions": 1}, name
            raw.flushall()

    def test_late_begin(self, broker: Broker) -> None:
        """A message that comes back after another was queued does not end that one's mark; one without a mark none."""
        send("events.handle")
        (first,) = broker.messages("events.reactions")
        begin(first)
        send("events.handle")
        begin(first)
        begin({**first, MARK_HEADER: None})
        begin({**first, MARK_HEADER: "no mark"})
        send("events.handle")
        assert len(broker.messages("events.reactions")) == 1 + 1

    def test_not_taken(self, app: Celery, broker: Broker, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the broker did not take leaves no mark."""

        def refused(*_: Any, **__: Any) -> None:
            raise redis.exceptions.ResponseError("OOM command not allowed")

        with monkeypatch.context() as patch:
            patch.setattr(type(app), "send_task", refused)
            assert not send("events.handle")
        assert raw.keys(f"{PREFIX}*") == []
        assert send("events.handle")
        assert len(broker.messages("events.reactions")) == 1

    def test_asked_twice_over_one_connection(self, app: Celery, settings: Settings) -> None:
        """A mark whose answer was lost with its connection is the sender's own when that asks again."""
        assert app.conf.broker_url
        broker = once._broker(str(settings.redis_url), 0)
        given = ("k", "q", "token", 60_000, 5_000, 0)
        assert broker.eval(once._MAKE, 2, *given) == broker.eval(once._MAKE, 2, *given) is not None
        assert broker.eval(once._MAKE, 2, "k", "q", "another", *given[3:]) is None

    def test_waiting_out(self, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that must not begin yet stays the only one for that time, though a worker holds it."""
        monkeypatch.setattr(once, "SENDING_SECONDS", 0.0)
        delivery = FANNED_OUT["webhooks.process"]
        assert send_task("webhooks.process", correlation_id="c", countdown=15, **delivery)
        broker.lose("webhooks")  # as a worker does that waits for the time
        assert send("webhooks.process")
        assert broker.depths() == {}

    def test_anew(self, app: Celery, broker: Broker) -> None:
        """Whoever rebuilds queues has it sent whatever the mark says, and its own mark counts from then on."""
        send("events.handle")
        assert enqueue(app, "events.handle", FANNED_OUT["events.handle"], "c", anew=True)
        newest, oldest = broker.messages("events.reactions")
        begin(oldest)
        send("events.handle")
        assert len(broker.messages("events.reactions")) == 2
        begin(newest)
        send("events.handle")
        assert len(broker.messages("events.reactions")) == 3

    def test_since(self, broker: Broker) -> None:
        """Every message says since when it waits."""
        send("payments.poll")
        send_task("payments.get", correlation_id="c", payment_id="0" * 24)
        for queue in ("reconcile.polls", "payments"):
            (message,) = broker.messages(queue)
            assert datetime.fromisoformat(message[SINCE_HEADER]).utcoffset() is not None


class TestReceiver:
    """Repeated notices and a payer who comes back again and again."""

    def test_repeated(self, app: Celery, broker: Broker) -> None:
        """One message of each waits."""
        publisher = Publisher(app)
        for _ in range(10):
            publisher.send("webhooks.process", FANNED_OUT["webhooks.process"], "c")
            publisher.send("payments.verify", FANNED_OUT["payments.verify"], "c")
        assert broker.depths() == {"webhooks": 1, "payments": 1}


class TestTicks:
    """While no worker reads, beat does not go on filling the broker."""

    def test_an_hour(self, app: Celery, settings: Settings, broker: Broker, tmp_path: Any) -> None:
        """Ticked often, each entry waits once; within an hour as often as ticks expire, some hundred in all."""
        app.conf.beat_schedule = beat_schedule(settings)
        beats = [
            SteadyScheduler(app, schedule_filename=str(tmp_path / f"schedule-{number}"), lazy=False)
            for number in range(2)
        ]
        for beat in beats:
            for entry in beat.schedule.values():
                if not str(entry.task).startswith("celery."):
                    for _ in range(3):
                        beat.apply_entry(entry, producer=beat.producer)
        waiting = [one for queue in QUEUES for one in broker.messages(queue)]
        assert sorted(one["x-schedule-entry"] for one in waiting) == sorted(entry.name for entry in ENTRIES)
        hour = sum(3600 / one["options"]["expires"] for one in beat_schedule(settings).values())
        assert hour <= 12 * len(ENTRIES)
        tick = next(one for one in waiting if one["x-schedule-entry"] == "sweep-operations")
        begin(tick)
        beats[0].apply_entry(beats[0].schedule["sweep-operations"], producer=beats[0].producer)
        assert len(broker.messages("reconcile")) == 1 + sum(queue_of(one.task) == "reconcile" for one in ENTRIES)
        for beat in beats:
            beat.close()

    def test_broker_away(self, settings: Settings, tmp_path: Any, silent_port: int) -> None:
        """Without a broker an entry counts as ticked, and beat goes on."""
        away = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{silent_port}/0"})
        with serving(away) as app:
            app.conf.beat_schedule = beat_schedule(settings)
            beat = SteadyScheduler(app, schedule_filename=str(tmp_path / "schedule"), lazy=False)
            beat.apply_entry(beat.schedule["sweep-operations"])
            beat.close()
