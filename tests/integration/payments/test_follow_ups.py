from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from payments.allowance import Action
from payments.errors import InvalidArgument, NotYet, OperationConflict, StreamContended
from payments.operations import Status
from tests.integration.payments.stage import HELD, PAID, SETTLED_SECONDS, Stage
from tests.support.cms import SeededPayment, seed_payment

#: An hour, in seconds.
HOUR = 3600.0


def entries(stage: Stage, tran_type: str) -> list[dict[str, Any]]:
    """List the sandbox's transactions of a type, oldest first."""
    return [one for one in stage.sandbox.ledger() if one["tran_type"] == tran_type]


def moved(stage: Stage, tran_type: str) -> Decimal:
    """Sum up what the sandbox has moved by a type of transaction."""
    return sum((Decimal(one["amount"]) for one in entries(stage, tran_type) if one["status"] == "A"), Decimal(0))


class TestRefund:
    """Giving back: never more than was captured, never the same twice."""

    def test_whole(self, stage: Stage, seeded: SeededPayment) -> None:
        """Without an amount all goes back, and the CMS reads that."""
        tran_ref = stage.paid(seeded)
        done = stage.follow_up(seeded, "refund")
        assert (done.status, done.amount, done.on, done.state) == ("succeeded", "115.00", tran_ref, "REFUNDED")
        assert done.tran_ref == entries(stage, "Refund")[0]["tran_ref"]
        assert stage.cms(seeded)["status"] == "refunded"
        assert [fact for fact in stage.facts(seeded) if fact != "TransactionObserved"][-3:] == [
            "PaymentCompleted", "FollowUpStarted", "PaymentRefunded",
        ]  # fmt: skip

    @pytest.mark.parametrize("transaction", ["sale", "auth"])
    def test_called_voided(self, stage: Stage, seeded: SeededPayment, transaction: str) -> None:
        """Whether or not PayTabs calls what was refunded whole voided, it is refunded and no case for a human."""
        stage.sandbox.switch(full_refund_changes_original=True)
        tran_ref = stage.paid(seeded, transaction)
        if transaction == "auth":
            tran_ref = str(stage.follow_up(seeded, "capture").tran_ref)
        stage.follow_up(seeded, "refund")
        assert stage.sandbox.ledger(tran_ref=tran_ref)[0]["status"] == "V"
        for one in stage.sandbox.ledger():
            stage.notice(one["tran_ref"])
        view = stage.verify(seeded)
        assert (view.state, view.status, view.refunded, view.review) == ("REFUNDED", "refunded", "115.00", ())

    def test_by_staff(self, stage: Stage, seeded: SeededPayment) -> None:
        """What staff refund of our own capture, in that capture's cart, is booked as theirs, beside our capture."""
        stage.paid(seeded, "auth")
        captured = stage.follow_up(seeded, "capture")
        stage.sandbox.dashboard(str(captured.tran_ref), "refund", amount="15.00")
        stage.notice(stage.sandbox.ledger()[-1]["tran_ref"])
        view = stage.verify(seeded)
        assert (view.state, view.refunded, view.review) == ("PART_REFUNDED", "15.00", ())
        assert stage.rows(seeded)[-1].tran_ref == captured.tran_ref

    def test_parts(self, stage: Stage, seeded: SeededPayment) -> None:
        """Parts add up; one too many is refused here, naming what is left, and never reaches PayTabs."""
        stage.paid(seeded)
        assert stage.follow_up(seeded, "refund", "40.00").state == "PART_REFUNDED"
        assert stage.follow_up(seeded, "refund", "60.00").status == "succeeded"
        with pytest.raises(InvalidArgument, match=r"amount: expected at most 15\.00 SAR"):
            stage.follow_up(seeded, "refund", "15.01")
        assert stage.follow_up(seeded, "refund", "15").state == "REFUNDED"
        assert len(entries(stage, "Refund")) == 3

    @pytest.mark.parametrize("amount", ["0", "-1", "1.001", "1e2", "NaN", "115.01", ""])
    def test_bad_amount(self, stage: Stage, seeded: SeededPayment, amount: str) -> None:
        """What is no amount of the currency is refused before sending, and names the argument."""
        stage.paid(seeded)
        with pytest.raises(InvalidArgument, match="amount"):
            stage.follow_up(seeded, "refund", amount)
        assert len(stage.sent()) == 1

    def test_same_id(self, stage: Stage, seeded: SeededPayment) -> None:
        """The same id again tells how it stands; with another amount it is refused, naming the difference."""
        stage.paid(seeded)
        first = stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
        assert stage.follow_up(seeded, "refund", "40.00", operation_id="op-1") == first
        with pytest.raises(OperationConflict, match="amount"):
            stage.follow_up(seeded, "refund", "41.00", operation_id="op-1")
        assert len(entries(stage, "Refund")) == 1

    def test_not_captured(self, stage: Stage, seeded: SeededPayment) -> None:
        """What is only authorised, held or open has nothing to give back."""
        stage.open_page(seeded)
        with pytest.raises(InvalidArgument, match=r"create_page .* is pending"):
            stage.follow_up(seeded, "refund")
        other = seed_payment(stage.database)
        stage.paid(other, "auth")
        with pytest.raises(InvalidArgument, match="AUTHORISED"):
            stage.follow_up(other, "refund")
        assert len(stage.sent()) == 2

    def test_per_capture(self, stage: Stage, seeded: SeededPayment) -> None:
        """Refunds are per capture: one that no capture carries is refused with what each has left."""
        stage.paid(seeded, "auth")
        first = stage.follow_up(seeded, "capture", "40.00").tran_ref
        second = stage.follow_up(seeded, "capture", "75.00").tran_ref
        with pytest.raises(InvalidArgument, match=rf"amount.*{first} with 40.00, {second} with 75.00"):
            stage.follow_up(seeded, "refund", "80.00")
        with pytest.raises(InvalidArgument, match="each is refunded by itself"):
            stage.follow_up(seeded, "refund")
        assert stage.follow_up(seeded, "refund", "50.00").on == second
        assert stage.follow_up(seeded, "refund", tran_ref=first).amount == "40.00"
        assert stage.get(seeded).refunded == "90.00"

    def test_approval(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund that waits for approval is set aside and polled by its reference, never asked for again."""
        stage.sandbox.switch(refund_approval="manual")
        stage.paid(seeded)
        waiting = stage.follow_up(seeded, "refund", "100.00")
        assert (waiting.status, waiting.state) == ("pending", "PAID")
        assert stage.get(seeded).refund_pending == "100.00"
        with pytest.raises(InvalidArgument, match=r"at most 15\.00"):
            stage.follow_up(seeded, "refund", "16.00")
        stage.sandbox.dashboard(str(waiting.tran_ref), "approve")
        stage.live(HOUR)
        view = stage.get(seeded)
        assert (view.state, view.refunded, view.refund_pending) == ("PART_REFUNDED", "100.00", "0")
        assert stage.row(seeded).status is Status.SUCCEEDED
        assert len(entries(stage, "Refund")) == 1

    def test_rejected(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund that is not approved frees what was set aside."""
        stage.sandbox.switch(refund_approval="manual")
        stage.paid(seeded)
        waiting = stage.follow_up(seeded, "refund", "100.00")
        stage.sandbox.dashboard(str(waiting.tran_ref), "reject")
        stage.live(HOUR)
        assert (stage.row(seeded).status, stage.get(seeded).refund_pending) == (Status.REFUSED, "0")
        stage.sandbox.switch(refund_approval="immediate")
        assert stage.follow_up(seeded, "refund").state == "REFUNDED"

    @pytest.mark.parametrize("approved", [True, False])
    def test_other_reference(self, stage: Stage, seeded: SeededPayment, approved: bool) -> None:
        """The same where the decision comes under a new reference."""
        stage.sandbox.switch(refund_approval="manual", refund_resolution="new")
        stage.paid(seeded)
        waiting = stage.follow_up(seeded, "refund")
        stage.sandbox.dashboard(str(waiting.tran_ref), "approve" if approved else "reject")
        stage.live(HOUR)
        view = stage.get(seeded)
        assert (view.state, view.refund_pending, view.review) == ("REFUNDED" if approved else "PAID", "0", ())
        assert stage.row(seeded).status is (Status.SUCCEEDED if approved else Status.REFUSED)

    def test_refused(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refusal in a normal answer ends the operation: it was not done, and the error says why."""
        stage.paid(seeded)
        stage.sandbox.switch(merchant_balance=10)
        refused = stage.follow_up(seeded, "refund")
        assert (refused.status, refused.state) == ("refused", "PAID")
        assert "342" in str(refused.error)
        assert stage.get(seeded).refund_pending == "0"

    def test_concurrent(self, stage: Stage, seeded: SeededPayment) -> None:
        """Of twenty callers who each want more than half, one gets it."""
        stage.paid(seeded)
        worlds = [stage.another_world() for _ in range(4)]

        def ask(number: int) -> str:
            try:
                name = f"op-{number}"
                return stage.follow_up(seeded, "refund", "60.00", operation_id=name, world=worlds[number % 4]).status
            except (InvalidArgument, NotYet, StreamContended) as error:
                return type(error).__name__

        with ThreadPoolExecutor(20) as pool:
            results = list(pool.map(ask, range(20)))
        assert results.count("succeeded") == 1
        assert moved(stage, "Refund") == Decimal("60.00")
        with pytest.raises(InvalidArgument, match="amount"):
            stage.follow_up(seeded, "refund", "60.00")


class TestCapture:
    """Taking what is authorised."""

    def test_parts(self, stage: Stage, seeded: SeededPayment) -> None:
        """Parts add up to paid; more than what is left is refused here."""
        tran_ref = stage.paid(seeded, "auth")
        first = stage.follow_up(seeded, "capture", "40.00")
        assert (first.on, first.status, first.state) == (tran_ref, "succeeded", "PART_CAPTURED")
        with pytest.raises(InvalidArgument, match=r"at most 75\.00 SAR"):
            stage.follow_up(seeded, "capture", "75.01")
        assert stage.follow_up(seeded, "capture").state == "PAID"
        assert moved(stage, "Capture") == Decimal("115.00")

    def test_of_a_sale(self, stage: Stage, seeded: SeededPayment) -> None:
        """A sale has nothing to capture."""
        stage.paid(seeded)
        with pytest.raises(InvalidArgument, match="authorised payment"):
            stage.follow_up(seeded, "capture")

    @pytest.mark.parametrize("action", ["capture", "void", "release", "refund"])
    def test_on_hold(self, stage: Stage, seeded: SeededPayment, action: Action) -> None:
        """While a payment is on hold only the dashboard can act, so nothing is sent."""
        stage.sandbox.pay(stage.open_page(seeded), HELD)
        assert stage.verify(seeded).state == "ON_HOLD"
        with pytest.raises(InvalidArgument, match="on hold"):
            stage.follow_up(seeded, action)
        assert len(stage.sent()) == 1

    def test_dashboard_first(self, stage: Stage, seeded: SeededPayment) -> None:
        """What staff did between acceptance and sending is seen: nothing is sent that is not allowed any more."""
        tran_ref = stage.paid(seeded, "auth")
        stage.sandbox.dashboard(tran_ref, "capture", amount="100.00")
        refused = stage.follow_up(seeded, "capture")
        assert refused.status == "refused"
        stage.live(HOUR)
        assert moved(stage, "Capture") == Decimal("100.00")


class TestVoidAndRelease:
    """Freeing what is authorised."""

    @pytest.mark.parametrize("changes", [True, False])
    def test_void(self, stage: Stage, seeded: SeededPayment, changes: bool) -> None:
        """The whole is freed, whether or not the original says so; the CMS reads failed."""
        stage.sandbox.switch(void_changes_original=changes)
        stage.paid(seeded, "auth")
        done = stage.follow_up(seeded, "void")
        assert (done.status, done.state) == ("succeeded", "VOIDED")
        assert stage.verify(seeded).review == ()
        assert stage.cms(seeded)["status"] == "failed"

    def test_partial_void(self, stage: Stage, seeded: SeededPayment) -> None:
        """A void takes all: a part is refused here and the caller told of release."""
        stage.paid(seeded, "auth")
        with pytest.raises(InvalidArgument, match=r"amount: .*release"):
            stage.follow_up(seeded, "void", "15.00")

    def test_void_after_capture(self, stage: Stage, seeded: SeededPayment) -> None:
        """After a capture the rest is released, not voided."""
        stage.paid(seeded, "auth")
        stage.follow_up(seeded, "capture", "40.00")
        with pytest.raises(InvalidArgument, match="release frees the rest"):
            stage.follow_up(seeded, "void")
        assert stage.follow_up(seeded, "release").state == "PAID"
        assert (stage.get(seeded).captured, stage.get(seeded).released) == ("40.00", "75.00")

    def test_release_part(self, stage: Stage, seeded: SeededPayment) -> None:
        """A part may be freed and the rest captured."""
        stage.paid(seeded, "auth")
        assert stage.follow_up(seeded, "release", "15.00").state == "AUTHORISED"
        assert stage.follow_up(seeded, "capture").amount == "100.00"
        assert stage.state(seeded) == "PAID"


class TestInDoubt:
    """An outcome that nobody knows is found out, never repeated blindly."""

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "cut_after_accept"},
            {"kind": "http_500", "executes": True},
            {"kind": "http_429"},
            {"kind": "http_500_json_code", "code": 2},
            {"kind": "html_200"},
            {"kind": "truncated_json"},
            {"kind": "code", "code": 777, "http_status": 400},
            {"kind": "code", "code": 4, "http_status": 409},
        ],
        ids=lambda fault: f"{fault['kind']}-{fault.get('code', '')}",
    )
    @pytest.mark.parametrize("action", ["capture", "refund"])
    def test_money(self, stage: Stage, seeded: SeededPayment, action: Action, fault: dict[str, Any]) -> None:
        """A capture and a refund are sent once; found, they are booked, else a human is called after a day."""
        stage.paid(seeded, "auth" if action == "capture" else "sale")
        stage.sandbox.fault("/payment/request", **fault)
        with pytest.raises(NotYet, match="unknown"):
            stage.follow_up(seeded, action, "40.00", operation_id="op-1")
        if action == "refund":
            assert stage.get(seeded).refund_pending == "40.00"
        with pytest.raises(InvalidArgument, match="op-1 is unknown"):
            stage.follow_up(seeded, action, "40.00", operation_id="op-2")
        stage.live(25 * HOUR)
        executed = bool(entries(stage, action.capitalize()))
        row = stage.row(seeded)
        assert (row.status, row.open) == ((Status.SUCCEEDED, False) if executed else (Status.REVIEW, True))
        assert len(stage.sent()) == 2
        view = stage.get(seeded)
        sums = {"capture": view.captured, "refund": view.refunded}
        assert sums[action] == ("40.00" if executed else "0")
        assert len(view.review) == (not executed)
        assert ("payment_review" in stage.alerts()) is not executed

    @pytest.mark.parametrize("action", ["void", "release"])
    def test_freeing(self, stage: Stage, seeded: SeededPayment, action: Action) -> None:
        """A void or release of which nothing is found is sent once more, under another cart, and then never again."""
        stage.paid(seeded, "auth")
        stage.sandbox.fault("/payment/request", "http_500", times=2)
        with pytest.raises(NotYet, match="unknown"):
            stage.follow_up(seeded, action)
        stage.live(SETTLED_SECONDS - 1)
        assert len(stage.sent()) == 2
        stage.live(2)
        assert len(stage.sent()) == 3
        assert len({send.cart_id for send in stage.row(seeded).sends}) == 2
        stage.live(25 * HOUR)
        assert len(stage.sent()) == 3
        assert stage.row(seeded).status is Status.REVIEW

    def test_freeing_found(self, stage: Stage, seeded: SeededPayment) -> None:
        """A void whose answer was lost is found by its cart and not sent again."""
        stage.paid(seeded, "auth")
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet, match="unknown"):
            stage.follow_up(seeded, "void")
        stage.live(HOUR)
        assert (stage.state(seeded), len(entries(stage, "Void"))) == ("VOIDED", 1)
        assert stage.row(seeded).status is Status.SUCCEEDED

    def test_notice_first(self, stage: Stage, seeded: SeededPayment) -> None:
        """A notice of a refund whose answer was lost settles it before any query of the ladder does."""
        stage.paid(seeded)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet, match="unknown"):
            stage.follow_up(seeded, "refund", "40.00")
        assert stage.notice(entries(stage, "Refund")[0]["tran_ref"]).result == "applied"
        assert (stage.row(seeded).status, stage.get(seeded).refunded) == (Status.SUCCEEDED, "40.00")

    def test_ladder(self, stage: Stage, seeded: SeededPayment) -> None:
        """A refund in doubt is asked about after 5, 15, 60, 130 and 300 seconds, then hourly for a day."""
        stage.paid(seeded)
        stage.sandbox.fault("/payment/request", "http_500")
        with pytest.raises(NotYet):
            stage.follow_up(seeded, "refund")
        cart_id, began, asked = stage.row(seeded).cart_id, stage.clock.now, []
        while stage.row(seeded).status is Status.UNKNOWN:
            before = len(stage.queries())
            due = stage.row(seeded).due_at
            assert due is not None
            stage.live((due - stage.clock.now).total_seconds())
            new = stage.queries()[before:]
            assert [body["cart_id"] for body in new if "cart_id" in body] == [cart_id]
            asked.append((stage.clock.now - began).total_seconds())
        assert 5 <= asked[0] <= 5 * 1.25
        assert asked[1:] == [15, 60, 130, 300, *(hour * HOUR for hour in range(1, 25))]

    def test_not_sent(self, stage: Stage, seeded: SeededPayment) -> None:
        """What provably did not happen is sent later, under another cart, once."""
        stage.paid(seeded)
        nobody = stage.another_world(paytabs_base_url="http://127.0.0.1:9")
        with pytest.raises(NotYet, match="connect_refused"):
            stage.follow_up(seeded, "refund", world=nobody)
        assert stage.get(seeded).refund_pending == "0"
        stage.live(20)
        assert (stage.state(seeded), len(entries(stage, "Refund"))) == ("REFUNDED", 1)


class TestPaidTwice:
    """Two attempts that both succeeded: a human is called, and a refund of one of them settles it."""

    def test_refund_one(self, stage: Stage, seeded: SeededPayment) -> None:
        """The caller has to name the one to give back; then the payment is paid once."""
        stage.sandbox.switch(page_attempts="until_paid")
        first = stage.open_page(seeded)
        stage.sandbox.pay(first, "declined")
        stage.verify(seeded)
        second = stage.paid(seeded)
        stage.sandbox.pay(first, PAID)
        stage.notice(first)
        view = stage.get(seeded)
        assert view.state == "REVIEW"
        assert f"paid twice: {min(first, second)} and {max(first, second)}" in view.review[0]
        with pytest.raises(InvalidArgument, match="tran_ref"):
            stage.follow_up(seeded, "refund")
        assert stage.follow_up(seeded, "refund", tran_ref=second).status == "succeeded"
        assert (stage.state(seeded), stage.get(seeded).captured) == ("PAID", "230.00")
