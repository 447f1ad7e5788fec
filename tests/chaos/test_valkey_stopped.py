import time

import pytest

from tests.chaos.stage import GOOD_CARD, HEALS_WITHIN_SECONDS, Stage
from tests.support.system import report
from tests.support.waiting import eventually


class TestValkeyStopped:
    """Without a broker deliveries are taken all the same, and applied once it is back."""

    def test_taken_then_applied(self, stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        """A signed notice is answered 200 while Valkey is down, waits in the inbox, and is applied by the sweep."""
        payment, tran_ref = stage.page()
        body = stage.pay(tran_ref)
        stage.valkey.kill()
        began = time.monotonic()
        answer = stage.deliver(body)
        took = time.monotonic() - began
        row = stage.delivery(body)
        stage.valkey.start()
        began = time.monotonic()
        assert answer.status_code == 200
        assert row is not None
        assert (row["status"], row["attempts"]) == ("received", 0)
        eventually(lambda: stage.is_applied(body), within_seconds=HEALS_WITHIN_SECONDS, what="the notice applied")
        healed = time.monotonic() - began
        assert stage.is_paid(payment)
        assert [line for line in stage.system.lines("receiver") if line["level"] == "warning"]
        report(capsys, f"Valkey killed: notice answered in {took:.2f} s, applied {healed:.1f} s after the restart")

    def test_all_as_before(self, stage: Stage) -> None:
        """Worker, beat and receiver have found the new Valkey by themselves."""
        payment, tran_ref = stage.page()
        stage.sandbox.pay(tran_ref, GOOD_CARD)
        eventually(lambda: stage.is_paid(payment), within_seconds=10, what="paid through callback and task")
        beats = len(stage.system.lines(event="task_started", task_name="maintenance.sweep_inbox"))
        eventually(
            lambda: len(stage.system.lines(event="task_started", task_name="maintenance.sweep_inbox")) > beats,
            within_seconds=HEALS_WITHIN_SECONDS,
            what="another tick of beat",
        )
