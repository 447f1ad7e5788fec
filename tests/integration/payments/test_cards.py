import hashlib
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from payments.errors import GatewaySilent, NotYet
from tests.integration.payments.stage import PAID, Stage
from tests.integration.payments.test_parked import AGREED, break_gateway


class TestStoredCards:
    """Asking about a token, and having it forgotten."""

    def test_known(self, stage: Stage) -> None:
        """The card is told masked, with the transaction that made the token; the token itself is not repeated."""
        kept = stage.desk("token", card=PAID)
        told = stage.world.cards.query(kept["token"], stage.context())
        assert (told["state"], told["tran_ref"]) == ("known", kept["tran_ref"])
        assert "#" in told["card"]
        assert kept["token"] not in str(told)

    def test_deleted(self, stage: Stage) -> None:
        """Deleting twice is as good as once, and then it is not found."""
        token = stage.desk("token", card=PAID)["token"]
        for _ in range(2):
            assert stage.world.cards.delete(token, stage.context()) == {"state": "deleted"}
        assert stage.world.cards.query(token, stage.context())["state"] == "not_found"

    def test_silent(self, stage: Stage) -> None:
        """An answer that says nothing is no answer: the task tries again."""
        stage.sandbox.fault("/payment/token", "html_200", times=0)
        with pytest.raises(GatewaySilent):
            stage.world.cards.query("any", stage.context())

    def test_who_deleted(self, stage: Stage) -> None:
        """A line tells who had it forgotten, under which id, and a digest of the token."""
        token = stage.desk("token", card=PAID)["token"]
        with capture_logs() as lines:
            stage.world.cards.delete(token, replace(stage.context(), operation_id="forget-1"))
        (line,) = [line for line in lines if line["event"] == "token_deleted"]
        assert (line["operation_id"], line["requested_by"], line["found"]) == ("forget-1", "tests", True)
        assert line["token_digest"] == hashlib.sha256(token.encode()).hexdigest()
        assert token not in str(lines)

    def test_parked(self, stage: Stage) -> None:
        """While PayTabs may not be called, who asks is told when to come back."""
        world = stage.another_world(breaker=AGREED)
        break_gateway(world)
        for ask in (world.cards.query, world.cards.delete):
            with pytest.raises(NotYet, match="parked") as waiting:
                ask("any", stage.context())
            assert 25 < waiting.value.delay_seconds <= 35
