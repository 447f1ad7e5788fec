import pytest
from bson import ObjectId
from prometheus_client import REGISTRY

from payments.errors import InvalidArgument
from payments.payment import State
from payments.projections import ProjectToCms
from tests.integration.payments.stage import DECLINED, PAID, Stage
from tests.support.cms import SeededPayment


class TestDeletedPayment:
    """The CMS may delete a payment while the payer pays: what happened is kept, and somebody is told."""

    @pytest.mark.parametrize("by_notice", [True, False])
    def test_events_stand(self, stage: Stage, seeded: SeededPayment, *, by_notice: bool) -> None:
        """The charge is booked, an alert is open, and the payment can still be looked at."""
        tran_ref = stage.open_page(seeded)
        stage.database["payments"].delete_one({"_id": seeded.payment})
        stage.sandbox.pay(tran_ref, PAID)
        if by_notice:
            assert stage.notice(tran_ref).result == "applied"
        else:
            stage.live(60)
        assert stage.facts(seeded)[-1] == "PaymentCompleted"
        assert "projection_missing" in stage.alerts()
        assert (stage.state(seeded), stage.verify(seeded).captured) == ("PAID", "115.00")
        assert stage.world.service.history(seeded.payment_id)
        assert stage.database["payments"].find_one({"_id": seeded.payment}) is None

    def test_told_once_committed(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """The alert is logged and counted when its transaction has committed, and not when it was aborted."""

        def told() -> float:
            value = REGISTRY.get_sample_value("nestcms_alerts_raised_total", {"name": "projection_missing"})
            return value or 0.0

        tran_ref = stage.open_page(seeded)
        stage.database["payments"].delete_one({"_id": seeded.payment})
        stage.sandbox.pay(tran_ref, DECLINED)
        before = told()

        def fail(*_: object) -> None:
            raise RuntimeError

        with monkeypatch.context() as patch:
            patch.setattr(ProjectToCms, "_alert_on_review", fail)
            with pytest.raises(RuntimeError):
                stage.verify(seeded)
        assert told() == before
        stage.verify(seeded)
        assert told() == before + 1

    def test_no_new_page(self, stage: Stage, seeded: SeededPayment) -> None:
        """No page is made for a payment that is gone."""
        stage.sandbox.pay(stage.open_page(seeded), DECLINED)
        stage.verify(seeded)
        stage.database["payments"].delete_one({"_id": seeded.payment})
        with pytest.raises(InvalidArgument, match="payment_id"):
            stage.create(seeded)


class TestChangedAmount:
    """The CMS may change a payment's amount: what was asked of the payer counts."""

    def test_after_the_page(self, stage: Stage, seeded: SeededPayment) -> None:
        """The page keeps its amount, and paying that makes the payment paid."""
        tran_ref = stage.open_page(seeded)
        self._change(stage, seeded, amount="999.00")
        assert stage.create(seeded).tran_ref == tran_ref
        stage.sandbox.pay(tran_ref, PAID)
        assert stage.notice(tran_ref).result == "applied"
        view = stage.get(seeded)
        assert (view.state, view.amount, view.captured) == ("PAID", "115.00", "115.00")
        cms = stage.cms(seeded)
        assert (cms["amount"], cms["status"], cms["gateway"]["amount"]) == ("999.00", "paid", "115.00")

    def test_notice_of_the_new_amount(self, stage: Stage, seeded: SeededPayment) -> None:
        """A notice of what the CMS says now is compared with what was asked then."""
        tran_ref = stage.open_page(seeded)
        self._change(stage, seeded, amount="999.00")
        assert stage.notice(tran_ref, response_status="A", tran_total="999.00").result == "review"

    def test_before_the_next_attempt(self, stage: Stage, seeded: SeededPayment) -> None:
        """The next attempt is for the new amount, and says that it changed."""
        stage.sandbox.pay(stage.open_page(seeded), DECLINED)
        stage.verify(seeded)
        self._change(stage, seeded, amount="20", currency="usd")
        stage.clock.advance(1)
        second = stage.open_page(seeded)
        body = stage.sent()[1]
        assert (body["cart_amount"], body["cart_currency"]) == (20.0, "USD")
        assert stage.facts(seeded)[-3:] == ["PaymentAmended", "AttemptStarted", "PageOpened"]
        stage.sandbox.pay(second, PAID)
        assert stage.notice(second).result == "applied"
        view = stage.get(seeded)
        assert (view.state, view.captured, view.currency, view.review) == ("PAID", "20.00", "USD", ())

    def test_old_page_after_it(self, stage: Stage, seeded: SeededPayment) -> None:
        """The first page paid late, for the amount it was asked for, is paid and not a mismatch."""
        stage.sandbox.switch(page_attempts="until_paid")
        first = stage.open_page(seeded)
        stage.sandbox.pay(first, DECLINED)
        stage.verify(seeded)
        self._change(stage, seeded, amount="20.00")
        stage.clock.advance(1)
        stage.open_page(seeded)
        stage.sandbox.pay(first, PAID)
        assert stage.notice(first).result == "applied"
        view = stage.get(seeded)
        assert (view.state, view.tran_ref, view.captured) == ("PAID", first, "115.00")

    @staticmethod
    def _change(stage: Stage, seeded: SeededPayment, **fields: str) -> None:
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": fields})


class TestProjection:
    """The CMS's fields are written in the events' transaction, and only forwards."""

    def test_older_version(self, stage: Stage, seeded: SeededPayment) -> None:
        """A document that is ahead, for all we have written, is left alone: facts are missing. Somebody is told."""
        tran_ref = stage.open_page(seeded)
        ahead = {"gateway.version": 1_000, "status": "from the future"}
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": ahead})
        stage.database["cms_written"].update_one({"_id": seeded.payment}, {"$set": {"version": 1_000}})
        stage.sandbox.pay(tran_ref, PAID)
        stage.verify(seeded)
        assert stage.cms(seeded)["status"] == "from the future"
        assert "projection_newer" in stage.alerts()
        assert stage.state(seeded) == "PAID"

    def test_version(self, stage: Stage, seeded: SeededPayment) -> None:
        """The document names the version of the last event."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        stage.verify(seeded)
        assert stage.cms(seeded)["gateway"]["version"] == len(stage.facts(seeded))

    def test_all_or_nothing(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """When the document cannot be written, no event is kept and the operation stays as it was."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        before = (stage.facts(seeded), stage.rows(seeded), stage.cms(seeded))

        def fail(*_: object) -> None:
            raise RuntimeError

        with monkeypatch.context() as patch:
            patch.setattr(ProjectToCms, "_alert_on_review", fail)
            with pytest.raises(RuntimeError):
                stage.verify(seeded)
        assert (stage.facts(seeded), stage.rows(seeded), stage.cms(seeded)) == before
        assert stage.verify(seeded).state == "PAID"

    def test_every_state(self, stage: Stage, seeded: SeededPayment) -> None:
        """Whatever happens, the CMS reads one of the words it knows, and types stay Mongoose's."""
        tran_ref = stage.open_page(seeded)
        for name in ("paid", "pending"):
            stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"status": name}})
        stage.sandbox.pay(tran_ref, "held")
        stage.verify(seeded)
        cms = stage.cms(seeded)
        assert (cms["status"], cms["gateway"]["state"]) == ("pending", State.ON_HOLD)
        assert isinstance(cms["_id"], ObjectId)
        assert all(isinstance(cms[name], str) for name in ("amount", "transR", "status", "currency"))
        assert (cms["__v"], cms["title"], cms["client"]) == (0, "Second instalment", seeded.client)
