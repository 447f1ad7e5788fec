"""The receiver on real servers, and requests signed as PayTabs signs them."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from flask import Flask
from flask.testing import FlaskClient
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.collection import Collection

from config.celeryconfig import celery_config
from config.connections import mongo_client
from config.settings import Settings
from tests.support.broker import Broker
from tests.support.notices import PREVIOUS_KEY
from workers import wsgi


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The test run's settings with a key that was rotated."""
    return settings.model_copy(update={"paytabs_serverk_previous": SecretStr(PREVIOUS_KEY)})


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The receiver exactly as gunicorn would build it, on a Celery application of its own."""
    celery_app = Celery("receiver-tests", set_as_current=False)
    celery_app.conf.update(celery_config(settings))
    built = wsgi.build(settings, celery_app)
    yield built
    built.extensions["mongo_client"].close()
    built.extensions["failure_budget"].close()
    celery_app.close()


@pytest.fixture
def receiver(app: Flask) -> FlaskClient:
    """A client of the receiver."""
    return app.test_client()


@pytest.fixture
def watching(settings: Settings) -> Iterator[MongoClient[dict[str, Any]]]:
    """A client that looks at the database from outside."""
    with mongo_client(settings, timeout_seconds=10) as client:
        yield client


@pytest.fixture
def rows(watching: MongoClient[dict[str, Any]], settings: Settings) -> Iterator[Collection[dict[str, Any]]]:
    """The inbox's collection, dropped after the test."""
    yield watching[settings.mongo_database]["webhook_inbox"]
    watching.drop_database(settings.mongo_database)


@pytest.fixture
def broker(settings: Settings) -> Broker:
    """The broker's queues."""
    assert settings.redis_url is not None
    return Broker(settings.redis_url)
