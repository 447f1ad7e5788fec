import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import DEFAULTS
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel

from config.celeryconfig import GATEWAY_QUEUES, LEASED_TASKS, celery_config, time_limits
from config.queues import QUEUES, ROUTES, queue_of
from config.settings import Settings, SettingsError
from tests.unit.config.conftest import Load

REDIS = "redis://127.0.0.1:6379/0"


@pytest.fixture
def settings(load: Load) -> Settings:
    """Settings with a broker."""
    return load(REDIS_URL=REDIS)


@pytest.fixture
def make_app() -> Iterator[Callable[[Settings], Celery]]:
    """Make applications with our options, closed afterwards."""
    apps: list[Celery] = []

    def make(settings: Settings) -> Celery:
        app = Celery("config-tests", set_as_current=False)
        app.conf.update(celery_config(settings))
        apps.append(app)
        return app

    yield make
    for app in apps:
        app.close()


def _nothing() -> None:
    pass


class TestOptions:
    """Celery knows every option that is set, and they say what the time chain needs."""

    def test_names(self, settings: Settings) -> None:
        """No option is misspelt, in Celery's or in the transport's list."""
        config = celery_config(settings)
        assert not config.keys() - DEFAULTS.keys()
        assert not config["broker_transport_options"].keys() - {*Channel.from_transport_options, "client_name"}

    def test_json_only(self, settings: Settings) -> None:
        """Nothing but JSON is sent or accepted."""
        config = celery_config(settings)
        assert {config["task_serializer"], config["result_serializer"]} == {"json"}
        assert config["accept_content"] == config["result_accept_content"] == ["json"]

    def test_lost_workers(self, settings: Settings) -> None:
        """A message is kept until its task ended, and is back a second after the visibility timeout."""
        config = celery_config(settings)
        assert config["task_acks_late"]
        assert config["task_retry_on_worker_lost"]
        assert config["worker_prefetch_multiplier"] == 1
        transport = config["broker_transport_options"]
        assert transport["visibility_timeout"] == settings.visibility_timeout_seconds
        assert transport["unacked_restore_interval"] * transport["unacked_restore_throttle"] == 1

    def test_no_broker(self, load: Load) -> None:
        """Without a broker's address the mistake is named."""
        with pytest.raises(SettingsError, match="REDIS_URL: missing"):
            celery_config(load())


class TestRoutes:
    """Each task travels on the queue that its name says, also for Celery."""

    @pytest.mark.parametrize(
        ("task", "queue"),
        [
            ("payments.create_page", "payments"),
            ("payments.poll", "reconcile.polls"),
            ("payments.refund", "payments.staff"),
            ("maintenance.sweep_operations", "reconcile"),
            ("webhooks.process", "webhooks"),
            ("maintenance.sweep_inbox", "reconcile"),
            ("tokens.query", "payments.staff"),
            ("events.dispatch", "events"),
            ("events.handle", "events.reactions"),
            ("aggregations.invalidate", "aggregations.first"),
            ("aggregations.contract_employees", "aggregations"),
            ("views.refresh", "aggregations.refreshes"),
            ("maintenance.indexes", "maintenance"),
            ("unheard.of", "maintenance"),
        ],
    )
    def test_queue(self, make_app: Callable[[Settings], Celery], settings: Settings, task: str, queue: str) -> None:
        """Our rule and Celery's router agree."""
        routed: dict[str, Any] = make_app(settings).amqp.router.route({}, task)
        assert routed["queue"].name == queue_of(task) == queue

    def test_queues_exist(self) -> None:
        """No route leads to a queue that nobody declares."""
        assert set(ROUTES.values()) <= set(QUEUES)
        assert set(QUEUES) >= GATEWAY_QUEUES

    def test_time_limits(self, make_app: Callable[[Settings], Celery], settings: Settings) -> None:
        """A task that calls PayTabs or holds a lease is killed within that, others within the visibility timeout."""
        app = make_app(settings)
        money, staff, reads = (app.task(name=name)(_nothing) for name in ("payments.x", "tokens.x", "aggregations.x"))
        app.finalize()
        assert {(one.soft_time_limit, one.time_limit) for one in (money, staff)} == {(20, 25)}
        assert (reads.soft_time_limit, reads.time_limit) == (45, 50)
        for leased in LEASED_TASKS:
            assert time_limits(settings, leased)["time_limit"] < settings.lease_seconds
        assert time_limits(settings, "events.replay")["time_limit"] == 50


class TestBrokerGone:
    """A caller is told soon."""

    def test_refused(self, make_app: Callable[[Settings], Celery], load: Load, free_port: int) -> None:
        """Nobody listening costs less than a second, retries included."""
        app = make_app(load(REDIS_URL=f"redis://127.0.0.1:{free_port}/0"))
        began = time.monotonic()
        with pytest.raises(OperationalError):
            app.send_task("payments.verify", kwargs={}, ignore_result=True)
        assert time.monotonic() - began < 5
