import base64
import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from celery import Celery, Task
from celery.exceptions import Reject, Retry
from freezegun import freeze_time
from pymongo.errors import ServerSelectionTimeoutError

from config.queues import CORRELATION_HEADER
from config.settings import Settings
from payments.errors import NotYet, StreamContended
from payments.events import Context
from paytabs.resilience import TASK_RETRY
from tasks import payments
from tasks.arguments import OfPayment
from tasks.base import LONGEST_COUNTDOWN_SECONDS, WAITS_FOR_OTHERS, domain_task, longest_countdown_seconds
from tasks.wiring import World, build_world, use_world
from tests.support.system import serving
from workers.stack_ports import free_port

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
PAYMENT_ID = "0" * 24

#: How many waits are drawn for a reason, and where one test has many.
DRAWS, FEWER = 1_000, 200


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    """A Celery application on the real broker, which nobody serves."""
    with serving(settings) as made:
        yield made


@pytest.fixture
def without_database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A world whose MongoDB refuses connections, and which does not wait long for it."""
    monkeypatch.setattr("pymongo.common.MIN_HEARTBEAT_INTERVAL", 0.001)  # the driver's look at a dead server: 0.5 s
    dead = {"mongo_uri": f"mongodb://127.0.0.1:{free_port()}/nestcms"}
    with_limits = dead | {"server_selection_timeout_ms": 5, "mongo_timeout_ms": 5}
    use_world(build_world(settings.model_copy(update=with_limits)))
    yield
    use_world(None)


@contextmanager
def delivered(task: Any, *, retries: int = 0, **headers: str) -> Iterator[Task[Any, Any]]:
    """Make the task believe that a worker has just been handed a message of it."""
    real: Task[Any, Any] = task._get_current_object()
    real.push_request(
        id="task-1",
        args=(),
        kwargs={"payment_id": PAYMENT_ID},
        retries=retries,
        called_directly=False,
        delivery_info={"exchange": "", "routing_key": "payments"},
        headers=headers or None,
    )
    try:
        yield real
    finally:
        real.pop_request()


def attempt(task: Any, *, retries: int, **headers: str) -> None:
    """Run the task's body once, frozen in time, as its attempt number `retries` + 1."""
    with freeze_time(NOW, ignore=["pymongo", "redis", "kombu"]), delivered(task, retries=retries, **headers) as real:
        real.run(payment_id=PAYMENT_ID)


def attempts(task: Any, draws: int, *, retries: int, **headers: str) -> None:
    """Run the task's body so often, each time to be put back, in one moment: freezing time is slow."""
    with freeze_time(NOW, ignore=["pymongo", "redis", "kombu"]):
        for _ in range(draws):
            with pytest.raises(Retry), delivered(task, retries=retries, **headers) as real:
                real.run(payment_id=PAYMENT_ID)


def queued(settings: Settings) -> list[dict[str, Any]]:
    """Take the messages out of the broker's queue, oldest first, as headers and arguments."""
    assert settings.redis_url is not None
    with redis.Redis.from_url(settings.redis_url) as broker:
        envelopes = [json.loads(raw) for raw in broker.lrange("payments", 0, -1)]
        broker.delete("payments")
    return [{**one["headers"], "body": json.loads(base64.b64decode(one["body"]))} for one in reversed(envelopes)]


def waits(settings: Settings) -> list[float]:
    """Give the seconds from now to each queued message's eta."""
    return [(datetime.fromisoformat(one["eta"]) - NOW).total_seconds() for one in queued(settings)]


@pytest.mark.usefixtures("app", "without_database")
class TestBackoff:
    """What may pass by itself is tried again after growing, jittered waits, so many times and no more."""

    DRAWS = 40

    @pytest.mark.parametrize("retries", range(TASK_RETRY.max_attempts - 1))
    def test_within_ceiling(self, settings: Settings, retries: int) -> None:
        """Forty waits before one attempt are all different, within the attempt's ceiling and spread up to it."""
        for _ in range(self.DRAWS):
            with pytest.raises(Retry):
                attempt(payments.get, retries=retries)
        drawn, ceiling = waits(settings), TASK_RETRY.ceiling(retries + 1)
        assert len(set(drawn)) == self.DRAWS
        assert 0 <= min(drawn) < ceiling / 2 < max(drawn) <= ceiling <= LONGEST_COUNTDOWN_SECONDS

    def test_ceilings_grow(self) -> None:
        """Each ceiling is twice the one before, up to the cap, which the longest wait in the broker equals."""
        ceilings = [TASK_RETRY.ceiling(attempt) for attempt in range(1, TASK_RETRY.max_attempts)]
        assert ceilings[:5] == [1, 2, 4, 8, 16]
        assert set(ceilings[5:]) == {TASK_RETRY.cap_seconds} == {LONGEST_COUNTDOWN_SECONDS}

    def test_ends(self, settings: Settings) -> None:
        """After the policy's last attempt the error itself is raised and nothing is queued."""
        with pytest.raises(ServerSelectionTimeoutError):
            attempt(payments.get, retries=TASK_RETRY.max_attempts - 1)
        assert queued(settings) == []

    def test_same_task_again(self, settings: Settings) -> None:
        """What is queued is the same task: its id, arguments and correlation id, one retry further."""
        with pytest.raises(Retry):
            attempt(payments.get, retries=3, **{CORRELATION_HEADER: "order-4711"})
        (message,) = queued(settings)
        assert (message["task"], message["id"], message["retries"]) == ("payments.get", "task-1", 4)
        assert message[CORRELATION_HEADER] == "order-4711"
        assert message["body"][:2] == [[], {"payment_id": PAYMENT_ID}]

    def test_survives_the_process(self) -> None:
        """The reason can cross from the pool's child to its parent, for every error of ours that is retried."""
        for error in (NotYet(PAYMENT_ID, 1.5, "in_flight"), StreamContended(PAYMENT_ID)):
            assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes

    def test_short_visibility(self) -> None:
        """A message never waits for longer than a third of the visibility timeout: beyond it, it would run twice."""
        assert longest_countdown_seconds(60) == LONGEST_COUNTDOWN_SECONDS
        assert longest_countdown_seconds(6) == 2


class TestBrokerGone:
    """A retry that the broker does not take is not lost."""

    @pytest.mark.usefixtures("without_database")
    def test_message_goes_back(self, settings: Settings) -> None:
        """The message that brought the task is put back, where Celery alone would drop it."""
        gone = settings.with_servers(
            mongo_uri="mongodb://127.0.0.1:1/nestcms", redis_url=f"redis://127.0.0.1:{free_port()}/0"
        )
        with serving(gone), pytest.raises(Reject) as rejected, delivered(payments.get) as real:
            real.run(payment_id=PAYMENT_ID)
        assert vars(rejected.value)["requeue"] is True


@domain_task("tests.waits", OfPayment)
def waiting(world: World, asked: OfPayment, context: Context) -> None:
    """Be in other hands for as long as the correlation id says."""
    del world
    raise NotYet(asked.payment_id, float(context.correlation_id), "parked")


@domain_task("tests.sending", OfPayment)
def sending(world: World, asked: OfPayment, context: Context) -> None:
    """Be in other hands at this moment."""
    del world, context
    raise NotYet(asked.payment_id, 1.0, "in_flight")


@pytest.mark.usefixtures("app")
class TestInOtherHands:
    """Work that others hold is waited for when that is short; else the caller is told when to look again."""

    @pytest.fixture(autouse=True)
    def world(self, settings: Settings) -> Iterator[None]:
        """A world whose clock stands still."""
        use_world(build_world(settings, clock=lambda: NOW))
        yield
        use_world(None)

    @pytest.mark.parametrize(
        ("delay", "retries", "draws"), [(2.0, 0, DRAWS), (7.5, 1, FEWER), (15.0, 3, FEWER), (0.1, 5, FEWER)]
    )
    def test_short_wait(self, settings: Settings, delay: float, retries: int, draws: int) -> None:
        """A wait of seconds is spent in the queue: what was asked for, a full draw more, and no longer than may be."""
        attempts(waiting, draws, retries=retries, **{CORRELATION_HEADER: str(delay)})
        drawn = sorted(waits(settings))
        longest = min(delay + TASK_RETRY.ceiling(retries + 1), LONGEST_COUNTDOWN_SECONDS)
        assert delay <= drawn[0] < drawn[-1] <= longest
        assert len(set(drawn)) > draws * 0.99
        middle = sum(one < (delay + longest) / 2 for one in drawn)
        assert 0.3 * draws < middle < 0.7 * draws

    def test_in_flight(self, settings: Settings) -> None:
        """What is being sent at this moment is looked at again after a draw alone."""
        attempts(sending, DRAWS, retries=2)
        drawn = sorted(waits(settings))
        assert drawn[0] < 0.2
        assert TASK_RETRY.ceiling(3) - 0.2 < drawn[-1] <= TASK_RETRY.ceiling(3)
        assert len(set(drawn)) > DRAWS * 0.99

    @pytest.mark.parametrize(
        ("delay", "retries"), [(3600.0, 0), (19.5, 0), (7.5, WAITS_FOR_OTHERS)], ids=["long", "no room", "often"]
    )
    def test_queued(self, settings: Settings, delay: float, retries: int) -> None:
        """A long wait, or too many, is answered: queued, and when to look again, which is not one time for all."""
        told = []
        for _ in range(FEWER):
            with delivered(waiting, retries=retries, **{CORRELATION_HEADER: str(delay)}) as real:
                answer = real.run(payment_id=PAYMENT_ID)
            told.append(datetime.fromisoformat(answer.pop("retry_at")))
            assert answer == {"payment_id": PAYMENT_ID, "state": "queued"}
        first, ceiling = NOW + timedelta(seconds=delay), timedelta(seconds=TASK_RETRY.ceiling(retries + 1))
        assert first <= min(told) < max(told) <= first + ceiling
        assert len(set(told)) > FEWER / 2
        assert queued(settings) == []

    def test_child_killed(self) -> None:
        """Tasks whose children were killed together are not tried again together."""
        drawn = [payments.get.default_retry_delay for _ in range(DRAWS)]
        assert 0 <= min(drawn) < 0.05
        assert TASK_RETRY.ceiling(1) - 0.05 < max(drawn) <= TASK_RETRY.ceiling(1)
