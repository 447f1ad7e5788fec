import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from config.settings import Settings
from payments.accepting import PageTerms
from payments.events import Context
from payments.operations import Status
from tasks.base import may_pass
from tasks.wiring import World, build_world, ensure_indexes
from tests.support.cms import seed_payment
from tests.support.sandbox import Sandbox
from workers.stack import EmbeddedMongo

CONTEXT = Context(correlation_id="c-majority", source="test")

#: A primary without a majority stays one for so long: for all that happens here.
PRIMARY_STAYS_MS = 30_000


@pytest.fixture
def patient(mongo_three: EmbeddedMongo) -> Iterator[EmbeddedMongo]:
    """The three nodes, whose primary goes on taking writes that nobody copies."""
    set_election_timeout(mongo_three, PRIMARY_STAYS_MS)
    yield mongo_three
    set_election_timeout(mongo_three, 2_000)


@pytest.fixture
def world(settings: Settings, patient: EmbeddedMongo, sandbox: Sandbox) -> Iterator[World]:
    """A world on the three nodes that does not wait long for them."""
    assert settings.redis_url is not None
    on_three = settings.with_servers(mongo_uri=patient.uri, redis_url=settings.redis_url)
    limits = {"paytabs_base_url": sandbox.url, "mongo_timeout_ms": 3000, "server_selection_timeout_ms": 3000}
    built = build_world(on_three.model_copy(update=limits))
    ensure_indexes(built)
    yield built
    built.client.drop_database(built.db.name)
    built.close()


def set_election_timeout(three: EmbeddedMongo, milliseconds: int) -> None:
    """Let a primary without a majority step down after this time."""
    three.wait_for_primary()
    with MongoClient[dict[str, Any]](three.uri) as client:
        config = client.admin.command("replSetGetConfig")["config"]
        config["settings"]["electionTimeoutMillis"] = milliseconds
        client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1})


@contextmanager
def without_majority(three: EmbeddedMongo) -> Iterator[None]:
    """Freeze both secondaries."""
    primary = three.wait_for_primary()
    secondaries = [member for member in range(3) if member != primary]
    for member in secondaries:
        three.freeze(member)
    try:
        yield
    finally:
        for member in secondaries:
            three.thaw(member)
        three.wait_for_primary()


class TestNothingSent:
    """Who cannot write durably that a send begins does not send: the write may vanish with the primary."""

    def test_whole_request(self, world: World, patient: EmbeddedMongo, sandbox: Sandbox) -> None:
        """Without a majority a page is not asked for, and the error is one that is tried again; with one it is made."""
        payment = seed_payment(world.db)
        with without_majority(patient):
            with pytest.raises(PyMongoError) as failed:
                world.service.create_page(payment.payment_id, PageTerms(), CONTEXT)
            assert sandbox.requests("/payment/request") == []
        assert may_pass(failed.value)
        assert world.service.create_page(payment.payment_id, PageTerms(), CONTEXT).tran_ref
        assert len(sandbox.requests("/payment/request")) == 1

    def test_accepted_before(self, world: World, patient: EmbeddedMongo, sandbox: Sandbox) -> None:
        """The send of an operation that is durable waits for its own beginning to be durable too."""
        payment = seed_payment(world.db)
        cms = world.service._parts.cms.payment(payment.payment_id)
        row = world.service._acceptor.accept(cms, PageTerms(), "page-1", CONTEXT)
        assert row.status is Status.NEW
        with without_majority(patient):
            began = time.monotonic()
            with pytest.raises(PyMongoError) as failed:
                world.sender.send(row.operation_id, CONTEXT)
            # The driver alone would try the transaction for two minutes.
            assert time.monotonic() - began < 30
            assert sandbox.requests("/payment/request") == []
        assert may_pass(failed.value)
