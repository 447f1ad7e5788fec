import pytest

from payments.operations import Status
from tests.integration.payments.stage import DECLINED, HELD, PAID, PENDING, Stage
from tests.support.cms import SeededPayment

#: One day, in seconds.
DAY = 86_400


class TestLadder:
    """Open payments are asked about at growing intervals, settled ones are left alone; no notice is needed."""

    def test_abandoned(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page nobody pays ends half an hour later, and is asked about twelve times, for a day or two after that."""
        stage.open_page(seeded)
        stage.live(DAY)
        assert len(stage.queries()) == 10
        stage.live(7 * DAY)
        assert len(stage.queries()) == 12
        assert (stage.state(seeded), stage.row(seeded).open) == ("AWAITING_PAYER", False)
        assert len(stage.sent()) == 1
        assert len(stage.facts(seeded)) <= 5

    def test_first_steps(self, stage: Stage, seeded: SeededPayment) -> None:
        """Looks come after 5, 15, 60, 130 and 300 s, at the page's end and margin, then after 1 h, 6 h and 24 h."""
        stage.open_page(seeded)
        for seconds in (5, 10, 45, 70, 170, 900, 600, 1_800, 18_000, 64_800):
            asked = len(stage.queries())
            stage.live(seconds - 1)
            assert len(stage.queries()) == asked
            stage.live(1)
            assert len(stage.queries()) == asked + 1

    @pytest.mark.parametrize("card", [PAID, DECLINED])
    def test_final(self, stage: Stage, seeded: SeededPayment, card: str) -> None:
        """Paid or failed: found without any notice, and not asked about any more."""
        stage.sandbox.switch(notify_callback=False, notify_ipn=False)
        tran_ref = stage.open_page(seeded)
        stage.live(10)
        stage.sandbox.pay(tran_ref, card)
        stage.live(5)
        assert stage.cms(seeded)["status"] == {PAID: "paid", DECLINED: "failed"}[card]
        assert stage.row(seeded).due_at is None
        asked = len(stage.queries())
        stage.live(3 * DAY)
        stage.poll(seeded)
        assert len(stage.queries()) == asked

    def test_payer_returned(self, stage: Stage, seeded: SeededPayment) -> None:
        """When the payer comes back hours later, the ladder begins anew."""
        tran_ref = stage.open_page(seeded)
        stage.live(7 * 3600)
        stage.sandbox.pay(tran_ref, PAID)
        stage.world.service.payer_returned(seeded.payment_id)
        stage.live(5)
        assert stage.state(seeded) == "PAID"

    def test_expired(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page is expired when PayTabs says so, and may be followed by another."""
        stage.sandbox.dashboard(stage.open_page(seeded), "expire")
        stage.live(5)
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("EXPIRED", "failed")
        assert stage.create(seeded).redirect_url

    @pytest.mark.parametrize("reference", ["same", "new"])
    def test_deferred_expired(self, stage: Stage, seeded: SeededPayment, reference: str) -> None:
        """A deferred payment that expires is found, on its own reference or on a new one."""
        stage.sandbox.switch(expiry_reference=reference)
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PENDING)
        stage.live(5)
        assert stage.state(seeded) == "PENDING_OFFLINE"
        stage.sandbox.dashboard(tran_ref, "expire")
        stage.live(15)
        assert stage.state(seeded) == "EXPIRED"

    @pytest.mark.parametrize(("action", "state"), [("settle", "PAID"), ("decline", "DECLINED")])
    def test_deferred(self, stage: Stage, seeded: SeededPayment, action: str, state: str) -> None:
        """A deferred payment settled days later by a new sale is found by its cart."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PENDING)
        stage.live(2 * DAY)
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PENDING_OFFLINE", "pending")
        stage.sandbox.dashboard(tran_ref, action)
        stage.live(DAY)
        assert stage.state(seeded) == state
        assert not stage.row(seeded).open

    @pytest.mark.parametrize(("action", "state"), [("capture", "PAID"), ("release", "VOIDED"), ("void", "VOIDED")])
    def test_held(self, stage: Stage, seeded: SeededPayment, action: str, state: str) -> None:
        """A hold is asked about until the dashboard decides it."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, HELD)
        stage.live(2 * DAY)
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("ON_HOLD", "pending")
        stage.sandbox.dashboard(tran_ref, action)
        stage.live(DAY)
        assert stage.state(seeded) == state

    def test_freed_unheard(self, stage: Stage, seeded: SeededPayment) -> None:
        """A hold that was freed before anybody heard of it is entered together with what freed it, never alone."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, HELD)
        stage.sandbox.dashboard(tran_ref, "void")
        cart_id = stage.sandbox.ledger()[0]["cart_id"]
        stage.sandbox.fault("/payment/query", "http_500", times=0, match={"cart_id": cart_id})
        stage.live(60)
        assert stage.state(seeded) == "AWAITING_PAYER"
        stage.sandbox.clear_faults()
        stage.live(DAY)
        assert stage.state(seeded) == "VOIDED"
        seen = {one.tran_ref: one.status for one in stage.world.store.payment(seeded.payment_id).observations}
        assert seen == {one["tran_ref"]: one["status"] for one in stage.sandbox.ledger()}

    def test_authorised(self, stage: Stage, seeded: SeededPayment) -> None:
        """A reservation is asked about although its page's operation is done."""
        tran_ref = stage.open_page(seeded, transaction="auth")
        stage.sandbox.pay(tran_ref, PAID)
        stage.live(5)
        assert (stage.state(seeded), stage.row(seeded).status) == ("AUTHORISED", Status.SUCCEEDED)
        stage.live(2 * DAY)
        stage.sandbox.dashboard(tran_ref, "capture")
        stage.live(DAY)
        assert stage.state(seeded) == "PAID"
        asked = len(stage.queries())
        stage.live(3 * DAY)
        assert len(stage.queries()) == asked

    def test_silence_is_patient(self, stage: Stage, seeded: SeededPayment) -> None:
        """A PayTabs that does not answer for hours ends nothing; the next answer counts."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.sandbox.fault("/payment/query", "html_200", times=0)
        stage.live(3600)
        assert (stage.state(seeded), stage.row(seeded).open) == ("AWAITING_PAYER", True)
        stage.sandbox.clear_faults()
        stage.live(6 * 3600)
        assert stage.state(seeded) == "PAID"
