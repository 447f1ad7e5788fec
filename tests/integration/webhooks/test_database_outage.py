import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from celery import Celery
from flask import Flask
from flask.testing import FlaskClient
from pymongo import MongoClient

from config.celeryconfig import celery_config
from config.settings import Settings
from tests.support.notices import notice, sign
from workers import wsgi
from workers.stack import EmbeddedMongo

PATH = "/webhooks/paytabs"

#: What a delivery may take at most when the database fails: the inbox's 5 s and a second around it.
LONGEST_SECONDS = 6.0


@pytest.fixture
def three(settings: Settings, mongo_three: EmbeddedMongo) -> Iterator[Flask]:
    """The receiver on a set of three nodes."""
    assert settings.redis_url is not None
    on_three = settings.with_servers(mongo_uri=mongo_three.uri, redis_url=settings.redis_url)
    celery_app = Celery("receiver-tests", set_as_current=False)
    celery_app.conf.update(celery_config(on_three))
    built = wsgi.build(on_three, celery_app)
    yield built
    built.extensions["mongo_client"].close()
    celery_app.close()


def deliver(client: FlaskClient, body: bytes) -> tuple[int, str | None, float]:
    """Post a signed body: the status, the Retry-After header and the seconds it took."""
    began = time.monotonic()
    answer = client.post(PATH, data=body, headers=sign(body))
    return answer.status_code, answer.headers.get("Retry-After"), time.monotonic() - began


class TestDatabaseStopped:
    """Without a database nothing is acknowledged, and the sender is told to come again."""

    def test_unavailable_then_recorded(self, receiver: FlaskClient, mongo: EmbeddedMongo) -> None:
        """503 with Retry-After while mongod is down, on /healthz too; the re-delivery is stored."""
        body = notice()
        mongo.kill(0)
        try:
            status, retry_after, took = deliver(receiver, body)
            health = receiver.get("/healthz")
        finally:
            mongo.restart(0)
        assert status == 503
        assert retry_after is not None
        assert took < LONGEST_SECONDS
        assert (health.status_code, health.json) == (503, {"status": "degraded", "database": "unavailable"})
        mongo.wait_for_primary()
        assert deliver(receiver, body)[0] == 200
        assert receiver.get("/healthz").json == {"status": "ok", "database": "ok"}

    def test_frozen(self, receiver: FlaskClient, mongo: EmbeddedMongo) -> None:
        """A mongod that answers nobody is no different from a dead one."""
        body = notice()
        assert deliver(receiver, notice(cart_id="warm"))[0] == 200
        mongo.freeze(0)
        try:
            status, _, took = deliver(receiver, body)
        finally:
            mongo.thaw(0)
        assert status == 503
        assert took < LONGEST_SECONDS


@pytest.fixture(params=[2_000, 20_000], ids=["primary steps down", "primary stays"])
def without_majority(
    request: pytest.FixtureRequest, mongo_three: EmbeddedMongo
) -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Both secondaries frozen, while the primary gives up soon or goes on taking writes for all that matters here."""
    set_election_timeout(mongo_three, request.param)
    mongo_three.wait_for_primary()

    @contextmanager
    def frozen() -> Iterator[None]:
        primary = mongo_three.wait_for_primary()
        secondaries = [member for member in range(3) if member != primary]
        for member in secondaries:
            mongo_three.freeze(member)
        try:
            yield
        finally:
            for member in secondaries:
                mongo_three.thaw(member)

    yield frozen
    mongo_three.wait_for_primary()
    set_election_timeout(mongo_three, 2_000)


def set_election_timeout(three: EmbeddedMongo, milliseconds: int) -> None:
    """Let a primary without a majority step down after this time."""
    with MongoClient[dict[str, Any]](three.uri) as client:
        config = client.admin.command("replSetGetConfig")["config"]
        config["settings"]["electionTimeoutMillis"] = milliseconds
        client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1})


class TestNoMajority:
    """A primary alone can take a write that is lost at its fail-over: that is not durable and is not acknowledged."""

    def test_same_notice_twice(
        self,
        three: Flask,
        mongo_three: EmbeddedMongo,
        settings: Settings,
        without_majority: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """503 twice, never 200, also when the second finds the first one's row; afterwards one stored row."""
        client, body = three.test_client(), notice()
        assert deliver(client, notice(cart_id="warm"))[0] == 200
        with without_majority():
            answers = [deliver(client, body) for _ in range(2)]
        assert [status for status, _, _ in answers] == [503, 503]
        assert all(retry_after for _, retry_after, _ in answers)
        assert max(took for _, _, took in answers) < LONGEST_SECONDS
        mongo_three.wait_for_primary()
        assert deliver(client, body)[0] == 200
        with MongoClient[dict[str, Any]](mongo_three.uri) as watching:
            rows = list(watching[settings.mongo_database]["webhook_inbox"].find({"body": body}))
        assert [row["status"] for row in rows] == ["received"]

    def test_together(self, three: Flask, without_majority: Callable[[], AbstractContextManager[None]]) -> None:
        """Copies that race while there is no majority are turned away: to find the other's row proves nothing."""
        assert deliver(three.test_client(), notice(cart_id="warm"))[0] == 200
        body = notice(cart_id="C-raced")
        with without_majority(), ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(lambda _: deliver(three.test_client(), body)[0], range(4)))
        assert statuses == [503] * 4
