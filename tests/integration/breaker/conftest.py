"""A Redis client as the breaker wants it, a name that no other test's breaker has, and eight processes."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
import redis

from tests.integration.breaker.crowd import Crowd, quick_client
from tests.integration.breaker.scenes import BRIEFLY_OPEN
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox
from workers.stack import EmbeddedValkey

#: How many processes share one breaker and one limiter.
PROCESSES = 8

#: What a dead Redis raises.
OUTAGES = (redis.exceptions.RedisError,)


@pytest.fixture
def shared(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the emptied Valkey."""
    with quick_client(redis_url) as client:
        yield client


@pytest.fixture
def name() -> str:
    """A breaker's name of this test alone."""
    return uuid4().hex


@pytest.fixture(scope="package")
def running_crowd(valkey: EmbeddedValkey, running_sandbox: Sandbox) -> Iterator[Crowd]:
    """Eight processes for all tests of this folder, because starting them takes longest."""
    gateway = {"base_url": running_sandbox.url, "profile_id": PROFILE_ID, "server_key": SERVER_KEY}
    with Crowd(PROCESSES, valkey.url, gateway=gateway) as crowd:
        yield crowd


@pytest.fixture
def crowd(running_crowd: Crowd, redis_url: str, name: str) -> Crowd:
    """The eight processes before a breaker, briefly open, and a limiter that are new."""
    assert redis_url
    return running_crowd.join(name, breaker=BRIEFLY_OPEN)
