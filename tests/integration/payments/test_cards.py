import pytest

from payments.errors import GatewaySilent
from tests.integration.payments.stage import PAID, Stage


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
