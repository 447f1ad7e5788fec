import time
from collections.abc import Iterator

import pytest
import requests

from tests.chaos.stage import GOOD_CARD, HEALS_WITHIN_SECONDS, Stage, staged
from tests.support.sandbox import Sandbox
from tests.support.system import report
from tests.support.waiting import eventually


def refused(answer: requests.Response) -> bool:
    """Tell whether an answer says: not now, deliver again."""
    return answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0


class TestMongoStopped:
    """Without a database nothing is acknowledged; what PayTabs delivers again is applied."""

    def test_redelivered(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        """The receiver answers 503 with Retry-After, never 200; PayTabs' own re-delivery makes the payment paid."""
        payment, tran_ref = stage.page()
        stage.sandbox.switch(retry_base_seconds=0.5, retry_factor=1, retry_scale=1, retry_count=30)
        stage.mongo.kill(0)
        try:
            stage.sandbox.pay(tran_ref, GOOD_CARD)
            refusals = eventually(
                lambda: [one for one in stage.sandbox.notifications(tran_ref=tran_ref) if one["attempt"] == 2],
                within_seconds=20,
                what="the second attempt",
            )
            body = str(refusals[0]["body"]).encode()
            by_hand = stage.deliver(body)
            statuses = {one["status"] for one in stage.sandbox.notifications(tran_ref=tran_ref)}
        finally:
            stage.mongo.restart(0)
        began = time.monotonic()
        assert refused(by_hand)
        assert statuses == {503}
        eventually(lambda: stage.is_applied(body), within_seconds=HEALS_WITHIN_SECONDS, what="the notice applied")
        assert stage.is_paid(payment)
        report(capsys, f"mongod killed: paid {time.monotonic() - began:.1f} s after its restart")

    def test_task_waits(self, stage: Stage) -> None:
        """A task that was asked for meanwhile is retried until the database is back, and answers."""
        payment, tran_ref = stage.page()
        stage.mongo.kill(0)
        try:
            asked = stage.system.enqueue("payments.get", payment_id=payment.payment_id)
            eventually(lambda: stage.system.lines(task_id=asked.id, event="task_retried"), within_seconds=20)
        finally:
            stage.mongo.restart(0)
        assert asked.get(within_seconds=HEALS_WITHIN_SECONDS)["tran_ref"] == tran_ref


@pytest.fixture
def three(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[Stage]:
    """A system on a replica set of three nodes."""
    yield from staged(tmp_path_factory.mktemp("three"), sandbox, members=3)


class TestNoMajority:
    """What only the primary has may vanish with it: it is not acknowledged."""

    def test_both_secondaries_frozen(self, three: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        """The same notice twice is answered 503 twice, never 200; thawed, its re-delivery is applied."""
        payment, tran_ref = three.page()
        body = three.pay(tran_ref)
        primary = three.mongo.wait_for_primary()
        secondaries = [member for member in range(3) if member != primary]
        for member in secondaries:
            three.mongo.freeze(member)
        try:
            answers = [three.deliver(body) for _ in range(2)]
        finally:
            for member in secondaries:
                three.mongo.thaw(member)
        assert [refused(answer) for answer in answers] == [True, True]
        three.mongo.wait_for_primary()
        began = time.monotonic()
        eventually(lambda: three.deliver(body).status_code == 200, within_seconds=20, every_seconds=0.5)
        eventually(lambda: three.is_applied(body), within_seconds=HEALS_WITHIN_SECONDS, what="the notice applied")
        assert three.is_paid(payment)
        report(capsys, f"secondaries frozen: paid {time.monotonic() - began:.1f} s after there was a primary again")
