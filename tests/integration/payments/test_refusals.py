"""What PayTabs refuses: a page ends with its words, money stays unknown, and operators are told what nobody knows."""

from typing import Any

import pytest

from payments.errors import NotYet
from payments.operations import Status
from payments.unexplained import ALERT
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment, seed_payment

#: An unlisted code with a sentence that repeats what was sent.
SENTENCE = "Currency not available for huda@example.com, 4111 1111 1111 1111"
KEPT = "Currency not available for […], […]"


def refused_events(stage: Stage, seeded: SeededPayment) -> list[dict[str, Any]]:
    """List what the payment's events say of refusals."""
    told = ("AttemptRefused", "OutcomeUnknown")
    return [event.fact.to_data() for event in stage.world.store.load(seeded.payment_id) if event.type in told]


class TestPage:
    """A page costs nothing: whatever refuses it ends it, with code, sentence and trace."""

    @pytest.mark.parametrize(
        ("code", "http_status"),
        [(240, 400), (240, 200), (113, 404), (777, 403), (2, 409), (206, 422), (401, 401), (999_999_999, 302)],
    )
    def test_ends(self, stage: Stage, seeded: SeededPayment, code: int, http_status: int) -> None:
        """Caller, event, row and the CMS's document have PayTabs' words, none about people; nothing is sent again."""
        stage.sandbox.fault("/payment/request", "code", code=code, http_status=http_status, message=SENTENCE)
        view = stage.create(seeded)
        assert (view.state, view.status, view.redirect_url) == ("ERROR", "failed", None)
        (told,) = refused_events(stage, seeded)
        assert (told["code"], told["message"]) == (code, KEPT)
        assert told["trace"].startswith("PMNT")
        assert view.error == f"PayTabs refused the request with code {code}: {KEPT} (trace {told['trace']})"
        refusal = stage.cms(seeded)["gateway"]["refusal"]
        assert refusal == {"code": code, "message": KEPT, "trace": told["trace"]}
        assert (stage.row(seeded).status, stage.row(seeded).open, stage.row(seeded).due_at) == (
            Status.REFUSED, False, None,
        )  # fmt: skip
        stage.live(86_400)
        assert len(stage.sent()) == 1
        assert ALERT not in stage.alerts()
        assert stage.open_page(seeded)
        assert "refusal" not in stage.cms(seeded)["gateway"]

    def test_sandbox_says_so(self, stage: Stage, seeded: SeededPayment) -> None:
        """The same with the sandbox's own unlisted refusal."""
        stage.sandbox.fault("/payment/request", "currency_unavailable")
        assert stage.create(seeded).state == "ERROR"
        assert "code 240" in str(stage.get(seeded).error)

    def test_row_of_before(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page that an earlier version left unknown over such a code ends when it is sent once more."""
        stage.sandbox.fault("/payment/request", "http_500")
        with pytest.raises(NotYet):
            stage.create(seeded)
        stage.database["payment_operations"].update_one({}, {"$set": {"error": "unlisted_code"}})
        stage.sandbox.fault("/payment/request", "currency_unavailable", times=0)
        stage.live(3600)
        assert stage.state(seeded) == "ERROR"
        assert len(stage.sent()) == 2


class TestMoney:
    """A charge, capture or refund is never taken for refused, and never sent again, on a word that nobody knows."""

    @pytest.mark.parametrize(
        ("code", "http_status"), [(240, 400), (777, 200), (113, 404), (2, 403), (1, 409), (401, 401)]
    )
    def test_stays_unknown(self, stage: Stage, seeded: SeededPayment, code: int, http_status: int) -> None:
        """A refund so refused is unknown; its event has the sentence; one alert tells, however many there are."""
        tran_ref = stage.paid(seeded)
        stage.sandbox.fault("/payment/request", "code", code=code, http_status=http_status, message=SENTENCE)
        with pytest.raises(NotYet, match="unknown"):
            stage.follow_up(seeded, "refund", amount="15.00", tran_ref=tran_ref)
        (told,) = refused_events(stage, seeded)
        assert (told["code"], told["message"]) == (code, KEPT)
        assert f"code {code}" in stage.open_alerts()[ALERT]
        assert KEPT in stage.open_alerts()[ALERT]
        sent = len(stage.sent())
        stage.live(23 * 3600)
        assert len(stage.sent()) == sent
        assert stage.row(seeded).status is Status.UNKNOWN

    def test_alert_closes(self, stage: Stage) -> None:
        """Three of a kind are one alert; it is open while one of them is in doubt, and closed after that."""
        payments = [seed_payment(stage.database) for _ in range(3)]
        for one in payments:
            stage.paid(one)
        stage.sandbox.fault("/payment/request", "code", code=240, times=3)
        for number, one in enumerate(payments):
            with pytest.raises(NotYet):
                stage.follow_up(one, "refund", amount="15.00", operation_id=f"op-{number}")
        rows = list(stage.database["alerts"].find({"name": ALERT}))
        assert [(row["key"], row["count"], row["closed_at"]) for row in rows] == [("refund", 3, None)]
        assert all(stage.row(one).operation_id in rows[0]["detail"] for one in payments)
        for place, one in enumerate(payments):
            stage.world.unexplained.take_back(stage.world.alerts.open_keys(ALERT))
            assert ALERT in stage.open_alerts(), place
            stage.clock.advance(200)
            stage.world.review.settle_operation(stage.row(one).operation_id, "not in the dashboard", stage.context())
        stage.world.unexplained.take_back(stage.world.alerts.open_keys(ALERT))
        assert ALERT not in stage.open_alerts()

    def test_freed_once_more(self, stage: Stage, seeded: SeededPayment) -> None:
        """A void is sent once more when nothing is found, as before."""
        stage.paid(seeded, transaction="auth")
        stage.sandbox.fault("/payment/request", "code", code=240)
        with pytest.raises(NotYet, match="unknown"):
            stage.follow_up(seeded, "void")
        sent = len(stage.sent())
        stage.live(3600)
        assert len(stage.sent()) == sent + 1
        assert stage.state(seeded) == "VOIDED"


class TestLookUp:
    """Code 113 says that there is nothing, as code 2 does."""

    def test_nothing_found(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page whose answer was lost is made anew on its strength, once that counts."""
        stage.sandbox.fault("/payment/request", "cut_after_accept", executes=False)
        with pytest.raises(NotYet):
            stage.create(seeded)
        stage.sandbox.fault("/payment/query", "not_found", times=0)
        stage.live(159)
        assert len(stage.sent()) == 1
        stage.live(2)
        assert len(stage.sent()) == 2
        assert stage.state(seeded) == "AWAITING_PAYER"
