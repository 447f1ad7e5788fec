import time
from collections.abc import Iterator

import pytest
from celery.exceptions import Retry

from config.connections import redis_client
from payments.errors import NotYet
from payments.operations import Status
from paytabs.breaker_rules import BreakerRules
from tasks import payments
from tasks.gateway import ALERT
from tasks.timekeeping import task_begins
from tasks.wiring import World, use_world
from tests.integration.payments.stage import PAID, Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.support.handed import run, waiting
from tests.support.system import serving
from tests.support.waiting import eventually

#: The agreed numbers.
AGREED = BreakerRules()

#: Open for so short a time that a test can wait for its end.
BRIEF = BreakerRules(open_seconds=3, jitter_seconds=0)


def break_gateway(world: World) -> None:
    """Open the breaker, as five failed calls do."""
    for _ in range(5):
        with world.gateway.gate.passage("query") as permit:
            permit.record(ok=False)
    assert world.gateway.gate.breaker.state() == "open"


class TestSend:
    """What may not be sent now waits in MongoDB, and has spent nothing."""

    def test_parked(self, stage: Stage, seeded: SeededPayment) -> None:
        """While the breaker is open nothing is sent; the row is due when it ends, its attempts and its cart unspent."""
        world = stage.another_world(breaker=AGREED)
        break_gateway(world)
        with pytest.raises(NotYet, match="parked") as waiting:
            stage.create(seeded, world)
        row = stage.row(seeded)
        assert (row.status, row.attempts, row.sends, row.open) == (Status.NEW, 0, (), True)
        assert row.due_at is not None
        assert (row.due_at - stage.clock.now).total_seconds() == pytest.approx(waiting.value.delay_seconds, abs=0.002)
        assert 25 < waiting.value.delay_seconds <= 35
        assert stage.sent() == []
        assert stage.facts(seeded) == ["PaymentCreated"]
        assert ALERT in stage.alerts()

    def test_again(self, stage: Stage, seeded: SeededPayment) -> None:
        """Once PayTabs answers, who asks again has the page, and one request was made."""
        world = stage.another_world(breaker=BRIEF)
        break_gateway(world)
        with pytest.raises(NotYet, match="parked"):
            stage.create(seeded, world)
        eventually(lambda: world.gateway.gate.breaker.state() == "half-open", what="the end of the open time")
        assert stage.create(seeded, world).redirect_url
        assert len(stage.sent()) == 1
        assert world.gateway.gate.breaker.state() == "closed"

    def test_by_the_sweep(self, stage: Stage, seeded: SeededPayment) -> None:
        """Nobody has to ask again: the sweep sends it when it is due."""
        world = stage.another_world(breaker=BRIEF)
        break_gateway(world)
        with pytest.raises(NotYet, match="parked"):
            stage.create(seeded, world)
        eventually(lambda: world.gateway.gate.breaker.state() == "half-open", what="the end of the open time")
        stage.live(4)
        assert stage.state(seeded) == "AWAITING_PAYER"
        assert len(stage.sent()) == 1

    def test_failures_open_it(self, stage: Stage) -> None:
        """Five sends that PayTabs answers with an error are the last that it gets."""
        world = stage.another_world(breaker=AGREED)
        stage.sandbox.fault("/payment/request", "http_500", times=0)
        for _ in range(7):
            with pytest.raises(NotYet):
                stage.create(seed_payment(stage.database), world)
        assert len(stage.sent()) == 5

    def test_too_many(self, stage: Stage) -> None:
        """Sends beyond the rate wait their turn; those for which that would take too long are parked, unsent."""
        world = stage.another_world(paytabs_calls_per_second=0.5, paytabs_calls_at_once=1)
        began = time.monotonic()
        for _ in range(2):
            assert stage.create(seed_payment(stage.database), world).redirect_url
        assert time.monotonic() - began >= 2
        late = seed_payment(stage.database)
        with redis_client(str(stage.settings.cache_url)) as cache:  # many have reserved their turns
            cache.set(f"nestcms:limiter:{{{world.gateway.gate.limiter.name}}}:due", 10**16)
        with pytest.raises(NotYet, match="spoken for"):
            stage.create(late, world)
        assert stage.row(late).attempts == 0

    def test_no_time_left(self, stage: Stage, seeded: SeededPayment) -> None:
        """A task that would be stopped in the middle of the call does not begin it."""
        task_begins(1.0)
        try:
            with pytest.raises(NotYet, match="no_time_left"):
                stage.create(seeded)
        finally:
            task_begins(None)
        assert stage.sent() == []
        assert stage.row(seeded).attempts == 0
        assert stage.create(seeded).redirect_url

    def test_resend_without_time(self, stage: Stage, seeded: SeededPayment) -> None:
        """What is to be sent again stays due, though its old cart's query used up the time: hours later as at once."""
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet):
            stage.create(seeded)
        operation_id = stage.row(seeded).operation_id
        stage.clock.advance(7 * 3600)
        assert stage.world.reconciler.poll(operation_id, stage.context())
        stage.sandbox.fault("/payment/query", "http_500", times=0)
        (row,) = stage.world.ledger.claim_due(stage.clock.now, 10)
        assert stage.world.reconciler.poll(row.operation_id, stage.context())
        task_begins(1.0)
        try:
            with pytest.raises(NotYet, match="no_time_left"):
                stage.world.sender.send(operation_id, stage.context())
        finally:
            task_begins(None)
        stage.live(30)
        assert stage.state(seeded) == "AWAITING_PAYER"
        assert len(stage.sent()) == 2


class TestQuery:
    """What may not be asked now is asked later, and is no answer."""

    def test_poll(self, stage: Stage, seeded: SeededPayment) -> None:
        """A parked look is due when the breaker's time ends, its ladder untouched."""
        stage.open_page(seeded)
        before = stage.row(seeded)
        world = stage.another_world(breaker=AGREED)
        break_gateway(world)
        stage.clock.advance(5)
        assert world.reconciler.poll(before.operation_id, stage.context()) is False
        row = stage.row(seeded)
        assert row.due_at is not None
        assert 25 < (row.due_at - stage.clock.now).total_seconds() <= 35
        assert (row.status, row.poll_from, row.attempts) == (before.status, before.poll_from, before.attempts)
        assert stage.queries() == []

    def test_verify(self, stage: Stage, seeded: SeededPayment) -> None:
        """Who asks for an answer is told when to come back, and nothing is concluded."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        world = stage.another_world(breaker=AGREED)
        break_gateway(world)
        with pytest.raises(NotYet, match="gateway_parked") as waiting:
            world.service.verify(seeded.payment_id, stage.context())
        assert waiting.value.delay_seconds > 25
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_notice(self, stage: Stage, seeded: SeededPayment) -> None:
        """A notice that cannot be confirmed now waits, and is no case for a human."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.world = stage.another_world(breaker=AGREED)
        break_gateway(stage.world)
        verdict = stage.notice(tran_ref, wait_seconds=None)
        assert (verdict.result, verdict.reason) == ("waiting", "gateway_parked")
        assert stage.get(seeded).review == ()


class TestCallers:
    """A caller whose request has a row is told at once; one whose request has none is told nothing that is not so."""

    @pytest.fixture(autouse=True)
    def app(self, stage: Stage) -> Iterator[None]:
        """A worker's child."""
        with serving(stage.settings):
            yield
        use_world(None)

    @pytest.mark.parametrize("state", ["open", "half-open"])
    def test_queued_at_once(self, stage: Stage, seeded: SeededPayment, state: str) -> None:
        """However soon the breaker may close: nothing is waited for in the broker, and PayTabs is asked nothing."""
        seconds = 6 if state == "open" else 0.3
        world = stage.another_world(breaker=BreakerRules(open_seconds=seconds, jitter_seconds=0))
        use_world(world)
        stage.paid(seeded)
        break_gateway(world)
        eventually(lambda: world.gateway.gate.breaker.state() == state, what=state)
        asked = len(stage.queries())
        refund = {"payment_id": seeded.payment_id, "operation_id": "op", "amount": "15.00"}
        page = {"payment_id": seed_payment(stage.database).payment_id}
        for task, given in ((payments.refund, refund), (payments.create_page, page), (payments.verify, page)):
            told = run(task, **given)
            assert told["state"] in ("queued", "NEW"), task.name
        assert run(payments.refund, **refund)["state"] == "queued"
        assert len(stage.queries()) == asked
        row = stage.row(seeded)
        assert (row.status, row.attempts) == (Status.NEW, 0)
        assert row.due_at is not None

    def test_without_a_row(self, stage: Stage, seeded: SeededPayment) -> None:
        """What has to be asked before there is a row keeps its message: nobody else would go on with it."""
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"transR": "TST2016700000692"}})
        world = stage.another_world(breaker=AGREED)
        use_world(world)
        break_gateway(world)
        for _ in range(2):
            with pytest.raises(Retry):
                run(payments.create_page, payment_id=seeded.payment_id)
            assert waiting(stage) == [("payments.create_page", 0)]
        assert stage.rows(seeded) == []
