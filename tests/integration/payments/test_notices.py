import json
from typing import Any

import pytest

from payments.errors import NotYet
from payments.notices import Verdict
from payments.reason_kinds import words
from payments.reasons import Reason
from paytabs.responses import parse_notification
from tests.integration.payments.stage import DECLINED, ERROR, EXPIRED, HELD, PAID, Stage
from tests.support.cms import SeededPayment, seed_payment


class TestFailures:
    """What failed is applied as it is told, and is never paid."""

    @pytest.mark.parametrize(
        ("card", "state", "status"),
        [
            (DECLINED, "DECLINED", "failed"),
            (ERROR, "ERROR", "failed"),
            (EXPIRED, "EXPIRED", "failed"),
            (HELD, "ON_HOLD", "pending"),
            ("pending", "PENDING_OFFLINE", "pending"),
            (None, "CANCELLED", "failed"),
        ],
    )
    def test_applied(self, stage: Stage, seeded: SeededPayment, card: str | None, state: str, status: str) -> None:
        """The notice alone decides, without a query."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, card) if card else stage.sandbox.cancel(tran_ref)
        assert stage.notice(tran_ref).result == "applied"
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == (state, status)
        assert stage.queries() == []

    def test_twice(self, stage: Stage, seeded: SeededPayment) -> None:
        """A notice told twice adds nothing the second time."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, DECLINED)
        stage.notice(tran_ref)
        before = stage.facts(seeded)
        stage.notice(tran_ref)
        assert stage.facts(seeded) == before

    def test_bank_check(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refusal after which the bank may have taken money is flagged."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, "error_doubtful")
        stage.notice(tran_ref)
        assert stage.cms(seeded)["gateway"]["flags"] == ["bank_check"]

    def test_stale(self, stage: Stage, seeded: SeededPayment) -> None:
        """An old notice only makes us ask: a decline that was since paid is paid."""
        stage.sandbox.switch(page_attempts="until_paid")
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, DECLINED)
        stage.sandbox.pay(tran_ref, PAID)
        stage.clock.advance(2 * 3600)
        verdict = stage.notice(tran_ref, response_status="D", response_code="316")
        assert verdict.result == "applied"
        assert stage.state(seeded) == "PAID"
        assert len(stage.queries()) == 1


class TestIncomplete:
    """A genuine notice that lacks something makes us ask; the query's answer is applied."""

    @pytest.mark.parametrize("member", ["cart_id", "tran_type", "payment_result", "cart_amount", "tran_total"])
    @pytest.mark.parametrize("value", [None, "", ["x"], "x\x00"])
    @pytest.mark.parametrize("card", [PAID, DECLINED])
    def test_asked(self, stage: Stage, seeded: SeededPayment, member: str, value: object, card: str) -> None:
        """Each member in turn absent, empty, of a wrong type: paid or declined as the query says."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, card)
        altered: dict[str, Any] = {member: value}
        assert apply(stage, tran_ref, **altered).result == "applied"
        state = "PAID" if card == PAID else "DECLINED"
        assert (stage.state(seeded), stage.get(seeded).review) == (state, ())
        complete = member in ("cart_amount", "tran_total") and value in (None, "") and card == DECLINED
        assert len(stage.queries()) == (0 if complete else 1)

    def test_found_by_its_query(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page whose answer was lost is found by the cart that the query names, though the notice names none."""
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet):
            stage.create(seeded)
        lost = stage.sandbox.ledger()[0]["tran_ref"]
        stage.sandbox.pay(lost, PAID)
        assert apply(stage, lost, cart_id="").payment_id == seeded.payment_id
        assert stage.state(seeded) == "PAID"

    @pytest.mark.parametrize(
        ("fault", "reason", "wait"),
        [("http_500", "gateway_http_5xx", None), ("not_found", "query_lags_behind_notice", 1.0)],
    )
    def test_waits(self, stage: Stage, seeded: SeededPayment, fault: str, reason: str, wait: float | None) -> None:
        """While PayTabs does not say whose it is the delivery waits; it is nobody's only once asked often enough."""
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet):
            stage.create(seeded)
        lost = stage.sandbox.ledger()[0]["tran_ref"]
        stage.sandbox.fault("/payment/query", fault, times=0)
        verdict = apply(stage, lost, cart_id=None)
        assert (verdict.result, verdict.reason, verdict.retry_in_seconds) == ("waiting", reason, wait)
        stage.sandbox.clear_faults()
        stage.sandbox.fault("/payment/query", "not_found", times=0)
        assert apply(stage, lost, wait_seconds=None, cart_id=None).result == "unknown_payment"

    @pytest.mark.parametrize("cart_id", [None, ""])
    def test_nobodys(self, stage: Stage, seeded: SeededPayment, cart_id: str | None) -> None:
        """One of another shop on the profile belongs to no payment, after it was asked about."""
        stranger = stage.paid(seeded)
        for name in ("payment_events", "payment_operations"):
            stage.database[name].delete_many({})
        stage.database["payments"].update_one({}, {"$unset": {"transR": ""}})
        asked = len(stage.queries())
        assert apply(stage, stranger, cart_id=cart_id).result == "unknown_payment"
        assert len(stage.queries()) == asked + 1


def apply(stage: Stage, tran_ref: str, *, wait_seconds: float | None = 1.0, **members: Any) -> Verdict:
    """Apply the sandbox's notice of a transaction with other members, as a worker would."""
    told = json.loads(stage.sandbox.notify(tran_ref, url="http://127.0.0.1:9/nobody")["body"])
    body = json.dumps({name: value for name, value in {**told, **members}.items() if value is not None}).encode()
    return stage.world.notices.apply(parse_notification(body), "delivery-1", wait_seconds, stage.context("notice"))


class TestPaid:
    """What would mean money counts when a query says the same."""

    def test_confirmed(self, stage: Stage, seeded: SeededPayment) -> None:
        """A genuine notice is confirmed and applied; told again it changes nothing."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        assert stage.notice(tran_ref).result == "applied"
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PAID", "paid")
        assert stage.queries() == [{"profile_id": stage.settings.paytabs_profile, "tran_ref": tran_ref}]
        before = stage.facts(seeded)
        stage.notice(tran_ref)
        assert stage.facts(seeded) == before
        assert before[-2:] == ["TransactionObserved", "PaymentCompleted"]

    def test_forged(self, stage: Stage, seeded: SeededPayment) -> None:
        """A signed notice of a payment that never happened waits, then is for a human; the payment is not paid."""
        tran_ref = stage.open_page(seeded)
        lie: dict[str, Any] = {"response_status": "A", "response_code": "G1", "tran_total": "115.00"}
        verdict = stage.notice(tran_ref, **lie)
        assert (verdict.result, verdict.retry_in_seconds) == ("waiting", 1.0)
        assert stage.state(seeded) == "AWAITING_PAYER"
        assert stage.notice(tran_ref, wait_seconds=None, **lie).result == "review"
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("REVIEW", "pending")
        assert "no query confirms" in stage.alerts()["payment_review"]
        stage.sandbox.pay(tran_ref, PAID)
        assert stage.notice(tran_ref).result == "applied"
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PAID", "paid")

    def test_forged_over_declined(self, stage: Stage, seeded: SeededPayment) -> None:
        """A declined payment does not become paid because a signed notice says so."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, DECLINED)
        assert stage.notice(tran_ref, response_status="A", response_code="G1").result == "waiting"
        assert stage.cms(seeded)["status"] == "failed"

    def test_lag(self, stage: Stage, seeded: SeededPayment) -> None:
        """While the query lags behind the notice the delivery waits; then the payment is paid."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.sandbox.switch(query_lag_seconds=5)
        for wait_seconds in (1.0, 3.0):
            assert stage.notice(tran_ref, wait_seconds=wait_seconds).retry_in_seconds == wait_seconds
        assert stage.cms(seeded)["status"] == "pending"
        stage.sandbox.switch(query_lag_seconds=0)
        assert stage.notice(tran_ref, wait_seconds=10.0).result == "applied"
        assert stage.state(seeded) == "PAID"

    def test_lag_for_ever(self, stage: Stage, seeded: SeededPayment) -> None:
        """A lag without end is for a human; a query that says so at last makes the payment paid."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.sandbox.switch(query_lag_seconds=3600)
        assert stage.notice(tran_ref, wait_seconds=None).result == "review"
        assert stage.state(seeded) == "REVIEW"
        stage.sandbox.switch(query_lag_seconds=0)
        stage.live(3600)
        assert stage.state(seeded) == "PAID"
        assert stage.cms(seeded)["gateway"]["review"] == ["a signed notice that no query confirms"]

    @pytest.mark.parametrize("kind", ["http_500", "html_200", "cut_after_accept"])
    def test_gateway_silent(self, stage: Stage, seeded: SeededPayment, kind: str) -> None:
        """A PayTabs that does not answer spends none of a delivery's patience, not even the last."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.sandbox.fault("/payment/query", kind, times=0)
        verdict = stage.notice(tran_ref, wait_seconds=None)
        assert (verdict.result, verdict.retry_in_seconds) == ("waiting", None)
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_voided(self, stage: Stage, seeded: SeededPayment) -> None:
        """A sale undone in the dashboard is confirmed and no longer paid."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.notice(tran_ref)
        voiding = stage.sandbox.dashboard(tran_ref, "void")["tran_ref"]
        assert stage.notice(voiding).result == "applied"
        assert stage.notice(tran_ref).result == "applied"
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("VOIDED", "failed")

    def test_refunded(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund made in the dashboard is booked by its notice, once however often it is told."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.notice(tran_ref)
        part = stage.sandbox.dashboard(tran_ref, "refund", amount="15.00")["tran_ref"]
        stage.notice(part)
        stage.notice(part)
        view = stage.get(seeded)
        assert (view.state, view.status, view.refunded) == ("PART_REFUNDED", "paid", "15.00")
        stage.notice(stage.sandbox.dashboard(tran_ref, "refund")["tran_ref"])
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("REFUNDED", "refunded")

    def test_child_first(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund whose sale has not been heard of waits for it."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        refund = stage.sandbox.dashboard(tran_ref, "refund", amount="15.00")["tran_ref"]
        stage.sandbox.fault("/payment/query", "http_500", times=0, match={"tran_ref": tran_ref})
        assert stage.notice(refund).result == "waiting"
        assert stage.cms(seeded)["status"] == "pending"
        stage.sandbox.clear_faults()
        assert stage.notice(refund).result == "applied"
        assert stage.state(seeded) == "PART_REFUNDED"

    @pytest.mark.parametrize(("card", "action"), [(HELD, "capture"), ("pending", "settle")])
    def test_original_unheard(self, stage: Stage, seeded: SeededPayment, card: str, action: str) -> None:
        """What settles an original of which nobody has told is no reason not to enter the original too."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, card)
        settling = stage.sandbox.dashboard(tran_ref, action)["tran_ref"]
        assert stage.notice(settling).result == "applied"
        stage.live(86_400)
        seen = {one.tran_ref: one.status for one in stage.world.store.payment(seeded.payment_id).observations}
        assert seen == {one["tran_ref"]: one["status"] for one in stage.sandbox.ledger()}
        assert stage.state(seeded) == "PAID"


class TestContradictions:
    """A signed notice that differs from what was asked is never applied, and the genuine one after it is."""

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"tran_total": "1.00"}, "notice_with_another_amount"),
            ({"cart_amount": "1.00"}, "notice_with_another_amount"),
            ({"cart_amount": "115.01", "tran_total": "115.01"}, "notice_with_another_amount"),
            ({"tran_currency": "USD"}, "notice_in_another_currency"),
            ({"cart_currency": "AED"}, "notice_in_another_currency"),
            ({"cart_id": "somebody-elses"}, "notice_for_another_cart"),
            ({"profile_id": 111111}, "notice_from_another_profile"),
        ],
        ids=str,
    )
    def test_review(self, stage: Stage, seeded: SeededPayment, changes: dict[str, Any], reason: str) -> None:
        """It is for a human, with an alert; then the genuine one makes the payment paid."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        verdict = stage.notice(tran_ref, **changes)
        assert verdict.result == "review"
        assert verdict.reason == reason
        cms = stage.cms(seeded)
        assert (cms["status"], cms["gateway"]["state"]) == ("pending", "REVIEW")
        assert words(Reason(reason)) in stage.alerts()["payment_review"]
        assert stage.queries() == []
        assert stage.notice(tran_ref).result == "applied"
        cms = stage.cms(seeded)
        assert (cms["status"], cms["gateway"]["state"]) == ("paid", "PAID")
        assert cms["gateway"]["review_codes"] == [reason]
        assert cms["gateway"]["review"] == [words(Reason(reason))]

    def test_paid_stays_paid(self, stage: Stage, seeded: SeededPayment) -> None:
        """An altered notice after the genuine one takes nothing away."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.notice(tran_ref)
        assert stage.notice(tran_ref, tran_total="1.00").result == "review"
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PAID", "paid")

    def test_anothers_transaction(self, stage: Stage, seeded: SeededPayment) -> None:
        """The reference of another payment's charge under this one's cart counts for neither."""
        tran_ref = stage.open_page(seeded)
        other = seed_payment(stage.database)
        elsewhere = stage.open_page(other)
        stage.sandbox.pay(elsewhere, PAID)
        stage.notice(tran_ref, as_tran_ref=elsewhere, response_status="A", tran_total="115.00")
        assert stage.cms(seeded)["status"] == "pending"
        assert stage.state(seeded) == "AWAITING_PAYER"
        assert stage.notice(elsewhere).result == "applied"
        assert stage.state(other) == "PAID"

    def test_foreign_transaction(self, stage: Stage, seeded: SeededPayment) -> None:
        """The reference of a charge that is none of ours, under a cart of ours, is not booked."""
        tran_ref = stage.open_page(seeded)
        other = seed_payment(stage.database)
        elsewhere = stage.open_page(other)
        stage.sandbox.pay(elsewhere, PAID)
        for name in ("payment_events", "payment_operations", "payments"):
            stage.database[name].delete_many({"$or": [{"payment_id": other.payment}, {"_id": other.payment}]})
        lie: dict[str, Any] = {"as_tran_ref": elsewhere, "response_status": "A", "tran_total": "115.00"}
        assert stage.notice(tran_ref, **lie).result == "review"
        assert stage.cms(seeded)["status"] == "pending"
        stage.sandbox.pay(tran_ref, PAID)
        stage.notice(tran_ref)
        assert (stage.state(seeded), stage.get(seeded).captured) == ("PAID", "115.00")

    def test_unknown_payment(self, stage: Stage, seeded: SeededPayment) -> None:
        """A notice of nothing we know changes nothing and alerts."""
        tran_ref = stage.open_page(seeded)
        verdict = stage.notice(tran_ref, as_tran_ref="TST0000000000001", cart_id="nobodys")
        assert (verdict.result, verdict.payment_id) == ("unknown_payment", None)
        assert "unknown_payment" in stage.alerts()
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_unknown_status(self, stage: Stage, seeded: SeededPayment) -> None:
        """A status nobody knows is neither success nor failure: asked about, waited for, then for a human."""
        tran_ref = stage.open_page(seeded)
        assert stage.notice(tran_ref, response_status="Z").result == "waiting"
        assert stage.state(seeded) == "AWAITING_PAYER"
        assert stage.notice(tran_ref, response_status="Z", wait_seconds=None).result == "review"
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("REVIEW", "pending")

    def test_unknown_status_paid(self, stage: Stage, seeded: SeededPayment) -> None:
        """If the query knows better, the query counts."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        assert stage.notice(tran_ref, response_status="Z").result == "applied"
        assert stage.state(seeded) == "PAID"

    def test_false_parent(self, stage: Stage, seeded: SeededPayment) -> None:
        """A failure under a parent that never was cannot keep the genuine payment from being booked."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.notice(tran_ref, response_status="D", response_code="316", previous_tran_ref="TST0000000000009")
        stage.notice(tran_ref)
        assert stage.state(seeded) == "PAID"


class TestOldPayments:
    """A notice of a payment begun by the CMS's old code takes it over."""

    def test_adopted(self, stage: Stage) -> None:
        """It is found by its `transR`, and paid when the query says so."""
        seeded, tran_ref = _old_payment(stage)
        stage.sandbox.pay(tran_ref, PAID)
        assert stage.notice(tran_ref).result == "applied"
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PAID", "paid")

    def test_unreadable(self, stage: Stage) -> None:
        """One whose amount cannot be read is reported, not tried for ever."""
        seeded, tran_ref = _old_payment(stage)
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"amount": "a lot"}})
        verdict = stage.notice(tran_ref)
        assert verdict.result == "unknown_payment"
        assert "payments.amount" in stage.alerts()["unknown_payment"]

    def test_gateway_silent(self, stage: Stage) -> None:
        """Without PayTabs' answer nothing is taken over; the delivery comes back later."""
        seeded, tran_ref = _old_payment(stage)
        stage.sandbox.fault("/payment/query", "html_200", times=0)
        with pytest.raises(NotYet):
            stage.notice(tran_ref)
        assert stage.facts(seeded) == []


def _old_payment(stage: Stage) -> tuple[SeededPayment, str]:
    """Leave a payment as the CMS's old code does: a page at PayTabs, its reference in `transR`, nothing of ours."""
    seeded = seed_payment(stage.database)
    tran_ref = stage.open_page(seeded)
    for name in ("payment_events", "payment_operations"):
        stage.database[name].delete_many({"payment_id": seeded.payment})
    stage.database["payments"].update_one(
        {"_id": seeded.payment}, {"$set": {"transR": tran_ref}, "$unset": {"gateway": ""}}
    )
    return seeded, tran_ref
