import pytest

from payments.comparison import TOO_EARLY, Kind
from payments.corrections import Standing
from payments.errors import NotYet
from payments.operations import Status
from tests.integration.payments.comparing import compare, everything, lively
from tests.integration.payments.stage import (
    PAID,
    SETTLED_SECONDS,
    Stage,
)
from tests.support.cms import SeededPayment
from tests.support.reasons import reason_of


class TestAgreeing:
    """Ordinary payments, whatever has become of them."""

    def test_all(self, stage: Stage) -> None:
        """Every entry agrees, however PayTabs shows what is not there; nothing is written, not even when asked to."""
        lively(stage)
        known = everything(stage.database)
        for switches in ({}, {"query_unpaid_page": "error", "query_unknown": "error"}):
            stage.sandbox.switch(**switches)
            compared = compare(stage, apply=True)
            assert compared.found == []
            assert not compared.run.differs
            assert not compared.run.unanswered
            assert compared.record["counts"]["compared"] == compared.record["counts"]["payments"] == 15
            assert compared.record["counts"]["agreeing"] > 20
        assert everything(stage.database) == known

    def test_each_question_once(self, stage: Stage, seeded: SeededPayment) -> None:
        """Each reference and each cart is asked about once."""
        stage.paid(seeded)
        stage.follow_up(seeded, "refund", "40.00")
        asked = len(stage.queries())
        compare(stage)
        new = [(one.get("tran_ref"), one.get("cart_id")) for one in stage.queries()[asked:]]
        assert len(new) == len(set(new)) == 4


class TestOnlyTheirs:
    """What PayTabs has and we never heard of."""

    def test_dashboard_refund(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund at the desk whose notice was lost is found, and nothing is changed without being asked to."""
        tran_ref = stage.paid(seeded)
        refund = stage.sandbox.dashboard(tran_ref, "refund", amount="40.00")["tran_ref"]
        known = everything(stage.database)
        compared = compare(stage)
        assert compared.found == [(Kind.ONLY_THEIRS, refund, Standing.OPEN)]
        assert compared.run.differs
        assert everything(stage.database) == known

    def test_corrected(self, stage: Stage, seeded: SeededPayment) -> None:
        """Recorded, with its cause, it is in the payment, in its projection, and agrees from then on."""
        tran_ref = stage.paid(seeded)
        refund = stage.sandbox.dashboard(tran_ref, "refund", amount="40.00")["tran_ref"]
        compared = compare(stage, apply=True)
        assert compared.found == [(Kind.ONLY_THEIRS, refund, Standing.CORRECTED)]
        assert not compared.run.differs
        assert (stage.state(seeded), stage.cms(seeded)["gateway"]["refunded"]) == ("PART_REFUNDED", "40.00")
        told = [event for event in stage.world.service.history(seeded.payment_id) if event["source"] == "reconcile"]
        assert [event["type"] for event in told] == ["TransactionObserved", "PaymentPartRefunded"]
        assert {(event["causation_id"], event["requested_by"]) for event in told} == {(compared.run_id, "omar")}
        known = everything(stage.database)
        assert compare(stage, apply=True).found == []
        assert everything(stage.database) == known

    def test_dashboard_capture(self, stage: Stage, seeded: SeededPayment) -> None:
        """A capture at the desk makes the payment paid."""
        tran_ref = stage.paid(seeded, "auth")
        capture = stage.sandbox.dashboard(tran_ref, "capture")["tran_ref"]
        assert compare(stage, apply=True).found == [(Kind.ONLY_THEIRS, capture, Standing.CORRECTED)]
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PAID", "paid")

    def test_dashboard_void(self, stage: Stage, seeded: SeededPayment) -> None:
        """A void at the desk changes the original as well; both are corrected together."""
        tran_ref = stage.paid(seeded)
        void = stage.sandbox.dashboard(tran_ref, "void")["tran_ref"]
        assert compare(stage, apply=True).found == [
            (Kind.DIFFERING, tran_ref, Standing.CORRECTED), (Kind.ONLY_THEIRS, void, Standing.CORRECTED),
        ]  # fmt: skip
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("VOIDED", "failed")
        assert compare(stage).found == []

    def test_lost_answer(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund whose answer was lost is found under its cart, and its operation ends with it."""
        stage.paid(seeded)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet):
            stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
        finding = compare(stage).finding
        assert (finding.kind, finding.operation_id) == (Kind.ONLY_THEIRS, "op-1")
        compare(stage, apply=True)
        assert stage.row(seeded).status is Status.SUCCEEDED
        assert compare(stage).found == []

    def test_adopted(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund at the desk of a payment that the CMS's old code began is found under that code's cart."""
        tran_ref = stage.paid(seeded)
        for name in ("payment_events", "payment_operations", "event_deliveries"):
            stage.database[name].delete_many({})
        left = {"$set": {"transR": tran_ref, "status": "paid"}, "$unset": {"gateway": ""}}
        stage.database["payments"].update_one({"_id": seeded.payment}, left)
        stage.verify(seeded)
        refund = stage.sandbox.dashboard(tran_ref, "refund")["tran_ref"]
        assert compare(stage, apply=True).found == [(Kind.ONLY_THEIRS, refund, Standing.CORRECTED)]
        assert stage.state(seeded) == "REFUNDED"


class TestOnlyOurs:
    """What we have and PayTabs does not show."""

    def test_unknown_to_paytabs(self, stage: Stage, seeded: SeededPayment) -> None:
        """At first it may be a query that lags; then it is only ours, and a human is called, once."""
        tran_ref = stage.paid(seeded)
        stage.sandbox.reset()
        early = compare(stage, apply=True)
        assert (early.finding.kind, early.finding.detail) == (Kind.UNANSWERED, TOO_EARLY)
        stage.clock.advance(SETTLED_SECONDS + 1)
        assert compare(stage).found == [(Kind.ONLY_OURS, tran_ref, Standing.OPEN)]
        assert compare(stage, apply=True).found == [(Kind.ONLY_OURS, tran_ref, Standing.REVIEW)]
        (case,) = stage.world.review.cases(seeded.payment_id)
        assert case.reason == reason_of(f"{tran_ref}: PayTabs does not show it")
        assert case.evidence == ("ours: sale A 115.00 SAR; PayTabs': nothing",)
        assert case.reason.key in stage.alerts()["payment_review"]
        assert stage.state(seeded) == "PAID"
        known = everything(stage.database)
        again = compare(stage, apply=True)
        assert again.found == [(Kind.ONLY_OURS, tran_ref, Standing.REVIEW)]
        assert again.run.differs
        assert everything(stage.database) == known

    def test_settled(self, stage: Stage, seeded: SeededPayment) -> None:
        """Once a human has closed the case it is still told, and does not count any more."""
        tran_ref = stage.paid(seeded)
        stage.sandbox.reset()
        stage.clock.advance(SETTLED_SECONDS + 1)
        compare(stage, apply=True)
        (case,) = stage.world.review.cases(seeded.payment_id)
        stage.world.review.settle(seeded.payment_id, case.reason, "PayTabs lost it", stage.context())
        compared = compare(stage, apply=True)
        assert compared.found == [(Kind.ONLY_OURS, tran_ref, Standing.SETTLED)]
        assert not compared.run.differs
        assert not compared.run.unanswered

    def test_phantom(self, stage: Stage, seeded: SeededPayment) -> None:
        """An operation booked as succeeded of which PayTabs shows nothing is only ours."""
        stage.paid(seeded)
        stage.sandbox.fault("/payment/request", "http_500")
        with pytest.raises(NotYet):
            stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
        stage.database["payment_operations"].update_one({"_id": "op-1"}, {"$set": {"status": "succeeded"}})
        finding = compare(stage).finding
        assert (finding.kind, finding.tran_ref, finding.operation_id) == (Kind.ONLY_OURS, None, "op-1")
        compare(stage, apply=True)
        assert "operation op-1: PayTabs does not show it" in stage.get(seeded).review


class TestDiffering:
    """The same transaction, otherwise."""

    def test_lost_notice(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page that was paid without our hearing of it is paid once the answer is applied."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        finding = compare(stage).finding
        assert (finding.kind, finding.tran_ref, finding.fields) == (Kind.DIFFERING, tran_ref, ("status",))
        assert stage.state(seeded) == "AWAITING_PAYER"
        assert compare(stage, apply=True).found == [(Kind.DIFFERING, tran_ref, Standing.CORRECTED)]
        assert (stage.state(seeded), stage.row(seeded).open, stage.cms(seeded)["status"]) == ("PAID", False, "paid")
        assert compare(stage).found == []

    def test_altered(self, stage: Stage, seeded: SeededPayment) -> None:
        """Another amount in our events than PayTabs has cannot be mended by its word: a human is called."""
        tran_ref = stage.paid(seeded)
        stage.database["payment_events"].update_many({"data.tran_ref": tran_ref}, {"$set": {"data.amount": "150.00"}})
        stage.clock.advance(SETTLED_SECONDS + 1)
        assert compare(stage, apply=True).found == [(Kind.DIFFERING, tran_ref, Standing.REVIEW)]
        assert f"{tran_ref}: PayTabs' ledger differs" in stage.get(seeded).review
        known = everything(stage.database)
        assert compare(stage, apply=True).found == [(Kind.DIFFERING, tran_ref, Standing.REVIEW)]
        assert everything(stage.database) == known
