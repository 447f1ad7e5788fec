import os
from typing import Any

import pytest

from payments.errors import GatewaySilent, InvalidArgument, NotYet
from payments.events import Context
from payments.operations import IN_REVIEW, Status
from payments.review import Case
from tasks import wiring
from tasks.payments import verify
from tests.integration.payments.stage import DECLINED, PAID, SETTLED_SECONDS, Stage
from tests.support.cms import SeededPayment
from tests.support.reasons import reason_of

DAY = 86_400.0
OPERATOR = Context(correlation_id="corr-2", source="review", requested_by="omar")


def lost(stage: Stage, seeded: SeededPayment) -> Case:
    """Lose a refund of which PayTabs never shows anything, and return the case a day later."""
    stage.paid(seeded)
    stage.sandbox.fault("/payment/request", "http_500")
    with pytest.raises(NotYet):
        stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
    stage.live(DAY)
    (case,) = stage.world.review.cases(seeded.payment_id)
    return case


class TestInDoubt:
    """An operation of which nothing is found is a human's to close."""

    def test_case(self, stage: Stage, seeded: SeededPayment) -> None:
        """The case names the operation and the cart to look for in PayTabs' dashboard."""
        case = lost(stage, seeded)
        assert case.reason == reason_of("refund op-1: nothing found within a day")
        assert case.operation_id == "op-1"
        assert case.evidence == (f"PayTabs shows nothing under cart {stage.row(seeded).cart_id}",)

    def test_never_answered(self, stage: Stage, seeded: SeededPayment) -> None:
        """Of what PayTabs never answers a query, operators are told, two hours later; found, it ends by itself."""
        stage.paid(seeded)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet):
            stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
        stage.sandbox.fault("/payment/query", "code", times=0, code=777, http_status=400)
        stage.live(DAY + 3600)
        assert "operation_unanswered" not in stage.alerts()
        stage.live(3 * 3600)
        assert str(stage.row(seeded).cart_id) in stage.alerts()["operation_unanswered"]
        assert (stage.row(seeded).status, stage.get(seeded).review) == (Status.UNKNOWN, ())
        stage.sandbox.clear_faults()
        stage.live(DAY)
        assert (stage.row(seeded).status, stage.get(seeded).refunded) == (Status.SUCCEEDED, "40.00")

    def test_did_not_happen(self, stage: Stage, seeded: SeededPayment) -> None:
        """Declared not to have happened, it frees what was set aside, and who decided is on record."""
        lost(stage, seeded)
        stage.world.review.settle_operation("op-1", "not in the dashboard", OPERATOR)
        view = stage.get(seeded)
        assert (view.review, view.refund_pending) == ((), "0")
        assert (stage.row(seeded).status, stage.row(seeded).open) == (Status.FAILED, False)
        last = stage.world.service.history(seeded.payment_id)[-1]
        assert (last["type"], last["data"]["by"], last["data"]["note"]) == (
            "ReviewSettled", "omar", "not in the dashboard",
        )  # fmt: skip
        assert stage.follow_up(seeded, "refund").state == "REFUNDED"

    def test_happened_all_the_same(self, stage: Stage, seeded: SeededPayment) -> None:
        """When PayTabs shows it after that, it is counted and a human is called again."""
        stage.paid(seeded)
        stage.sandbox.switch(query_lag_seconds=3600)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet):
            stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
        stage.live(DAY)
        stage.world.review.settle_operation("op-1", "not in the dashboard", OPERATOR)
        stage.sandbox.switch(query_lag_seconds=0)
        stage.live(3600)
        view = stage.get(seeded)
        assert view.refunded == "40.00"
        assert "given up and happened all the same" in view.review[0]

    def test_too_early(self, stage: Stage, seeded: SeededPayment) -> None:
        """While PayTabs may still be carrying it out nobody can declare that it did not happen."""
        stage.paid(seeded)
        stage.sandbox.fault("/payment/request", "http_500")
        with pytest.raises(NotYet):
            stage.follow_up(seeded, "refund", operation_id="op-1")
        stage.live(SETTLED_SECONDS - 1)
        with pytest.raises(InvalidArgument, match="cannot be carrying out"):
            stage.world.review.settle_operation("op-1", "surely not", OPERATOR)
        stage.live(2)
        stage.world.review.settle_operation("op-1", "surely not", OPERATOR)

    def test_nobody(self, stage: Stage, seeded: SeededPayment) -> None:
        """Nobody decides anonymously."""
        lost(stage, seeded)
        with pytest.raises(InvalidArgument, match="requested_by"):
            stage.world.review.settle_operation("op-1", "note", Context(correlation_id="c", source="review"))

    def test_in_doubt(self, stage: Stage, seeded: SeededPayment) -> None:
        """While its operation is open, a case cannot be closed as if nothing stood in the payment's way."""
        case = lost(stage, seeded)
        with pytest.raises(InvalidArgument, match="op-1 is in doubt"):
            stage.world.review.settle(seeded.payment_id, case.reason, "looks fine", OPERATOR)
        assert [one.reason for one in stage.world.review.cases(seeded.payment_id)] == [case.reason]

    def test_found_in_the_dashboard(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """Told the reference that PayTabs' dashboard shows, the operation ends; then the case can be closed."""
        stage.paid(seeded)
        stage.sandbox.switch(query_lag_seconds=3600)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet):
            stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
        stage.live(DAY)
        stage.sandbox.switch(query_lag_seconds=0)
        tran_ref = stage.sandbox.ledger(cart_id=str(stage.row(seeded).cart_id))[0]["tran_ref"]
        monkeypatch.setitem(wiring._worlds, os.getpid(), stage.world)
        view: Any = verify.apply(kwargs={"tran_ref": tran_ref}, throw=True).result
        assert (view["state"], view["refunded"]) == ("PART_REFUNDED", "40.00")
        assert (stage.row(seeded).status, stage.row(seeded).open) == (Status.SUCCEEDED, False)
        (case,) = stage.world.review.cases(seeded.payment_id)
        stage.world.review.settle(seeded.payment_id, case.reason, "found it", OPERATOR)
        assert (stage.get(seeded).review, stage.open_alerts()) == ((), {})

    def test_unknown_reference(self, stage: Stage) -> None:
        """While PayTabs does not say whose a reference is, it may be asked again."""
        stage.sandbox.fault("/payment/query", "http_500", times=0)
        with pytest.raises(GatewaySilent):
            stage.world.service.payment_of("TST0000000000001", stage.context())


class TestCases:
    """The other cases."""

    def test_paid_twice(self, stage: Stage, seeded: SeededPayment) -> None:
        """Two successful attempts come with the refund that would settle them."""
        stage.sandbox.switch(page_attempts="until_paid")
        first = stage.open_page(seeded)
        stage.sandbox.pay(first, DECLINED)
        stage.verify(seeded)
        second = stage.paid(seeded)
        stage.sandbox.pay(first, PAID)
        stage.notice(first)
        (case,) = stage.world.review.cases(seeded.payment_id)
        arguments = {"payment_id": seeded.payment_id, "tran_ref": second, "amount": "115.00"}
        assert case.proposal == {"task": "payments.refund", "arguments": arguments}

    def test_settled(self, stage: Stage, seeded: SeededPayment) -> None:
        """A case that a human has closed stays closed; another one is another."""
        tran_ref = stage.paid(seeded)
        stage.notice(tran_ref, cart_amount="1.00", tran_total="1.00")
        (shown,) = stage.get(seeded).review
        reason = reason_of(shown)
        stage.world.review.settle(seeded.payment_id, reason, "a test of PayTabs'", OPERATOR)
        assert stage.get(seeded).review == ()
        with pytest.raises(InvalidArgument, match="open cases"):
            stage.world.review.settle(seeded.payment_id, reason, "again", OPERATOR)
        stage.notice(tran_ref, cart_amount="2.00", tran_total="2.00")
        assert stage.get(seeded).review == (shown,)

    def test_authorised_twice(self, stage: Stage, seeded: SeededPayment) -> None:
        """Of two authorisations the later one is proposed to be released, which closes the case."""
        stage.sandbox.switch(page_attempts="until_paid")
        first = stage.open_page(seeded, transaction="auth")
        stage.sandbox.pay(first, DECLINED)
        stage.verify(seeded)
        second = stage.paid(seeded, "auth")
        stage.sandbox.pay(first, PAID)
        stage.notice(first)
        (case,) = stage.world.review.cases(seeded.payment_id)
        arguments = {"payment_id": seeded.payment_id, "tran_ref": second, "amount": "115.00"}
        assert case.proposal == {"task": "payments.release", "arguments": arguments}
        stage.follow_up(seeded, "release", tran_ref=second)
        assert (stage.state(seeded), stage.world.review.cases(seeded.payment_id)) == ("AUTHORISED", [])


class TestAlert:
    """The alert is open exactly while there is something to review."""

    def test_follows(self, stage: Stage, seeded: SeededPayment) -> None:
        """It names all that is left, closes with the last case, and opens and counts again with the next one."""
        tran_ref = stage.paid(seeded)
        stage.notice(tran_ref, cart_amount="1.00", tran_total="1.00")
        stage.clock.advance(60)
        stage.notice(tran_ref, cart_currency="USD", tran_currency="USD")
        assert stage.open_alerts() == {"payment_review": "a notice in another currency; a notice with another amount"}
        desk = stage.world.review
        desk.settle(seeded.payment_id, reason_of("a notice with another amount"), "a test", OPERATOR)
        assert stage.open_alerts() == {"payment_review": "a notice in another currency"}
        desk.settle(seeded.payment_id, reason_of("a notice in another currency"), "a test", OPERATOR)
        row = stage.database["alerts"].find_one({"name": "payment_review"}) or {}
        assert (stage.open_alerts(), row["count"]) == ({}, 2)
        assert (row["closed_at"] - row["opened_at"]).total_seconds() == 60
        stage.clock.advance(60)
        stage.notice(tran_ref, cart_amount="2.00", tran_total="2.00")
        again = stage.database["alerts"].find_one({"name": "payment_review"}) or {}
        assert (again["closed_at"], again["count"]) == (None, 1)
        assert (again["opened_at"] - row["closed_at"]).total_seconds() == 60

    def test_listed_by_index(self, stage: Stage) -> None:
        """What waits is found by indexes: the open alerts, and the operations in review."""
        alerts = stage.database["alerts"].find({"name": "payment_review", "closed_at": None}).sort("opened_at", 1)
        rows = stage.database["payment_operations"].find(IN_REVIEW).sort("updated_at", 1)
        for cursor, index in ((alerts, "open"), (rows, "in_review")):
            plan = str(cursor.explain()["queryPlanner"]["winningPlan"])
            assert f"'indexName': '{index}'" in plan
            assert "COLLSCAN" not in plan
            assert "'SORT'" not in plan
