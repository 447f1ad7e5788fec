from typing import Any

import pytest

from payments.errors import NotYet
from payments.operations import Status
from tests.integration.payments.stage import PAID, SETTLED_SECONDS, Stage
from tests.support.cms import SeededPayment

#: Where nobody listens.
NOBODY = "http://127.0.0.1:9"


class TestDidNotHappen:
    """What provably did not happen is sent again, later and under a fresh cart."""

    def test_refused_connection(self, stage: Stage, seeded: SeededPayment) -> None:
        """The row waits in MongoDB; who asks meanwhile is told until when; the sweep sends it."""
        nobody = stage.another_world(paytabs_base_url=NOBODY)
        with pytest.raises(NotYet) as caught:
            stage.create(seeded, nobody)
        row = stage.row(seeded)
        assert (row.status, row.open, row.attempts) == (Status.NEW, True, 1)
        assert row.due_at is not None
        assert row.due_at >= stage.clock.now
        assert caught.value.delay_seconds <= 20
        assert stage.get(seeded).error is None
        assert stage.facts(seeded) == ["PaymentCreated", "AttemptStarted", "AttemptNotSent"]
        stage.live(20)
        assert stage.state(seeded) == "AWAITING_PAYER"
        lost, sent = (send.cart_id for send in stage.row(seeded).sends)
        assert [body["cart_id"] for body in stage.sent()] == [sent]
        assert lost != sent
        assert stage.get(seeded).error is None

    def test_parked(self, stage: Stage, seeded: SeededPayment) -> None:
        """Before its time a parked row is not sent, however often somebody asks."""
        nobody = stage.another_world(paytabs_base_url=NOBODY)
        with pytest.raises(NotYet):
            stage.create(seeded, nobody)
        row = stage.row(seeded)
        stage.world.ledger.reschedule(row, stage.clock.now.replace(year=stage.clock.now.year + 1))
        with pytest.raises(NotYet, match="parked"):
            stage.create(seeded)
        assert stage.sent() == []

    def test_growing_waits(self, stage: Stage, seeded: SeededPayment) -> None:
        """While PayTabs cannot be reached the waits grow under full jitter; after a day a human is told."""
        nobody = stage.another_world(paytabs_base_url=NOBODY)
        stage.world = nobody
        with pytest.raises(NotYet):
            stage.create(seeded)
        waits: list[float] = []
        while len(waits) < 12:
            due_at = stage.row(seeded).due_at
            assert due_at is not None
            waits.append((due_at - stage.clock.now).total_seconds())
            stage.live(waits[-1])
        assert all(wait <= min(20 * 2**step, 3600) for step, wait in enumerate(waits))
        assert max(waits[6:]) > max(waits[:3])
        assert len({round(wait, 3) for wait in waits}) > len(waits) / 2
        stage.clock.advance(86_400)
        stage.live(0)
        row = stage.row(seeded)
        assert (row.status, row.open, row.due_at) == (Status.FAILED, False, None)
        assert "operation_given_up" in stage.alerts()
        self.letter(stage, row.operation_id)
        view = stage.get(seeded)
        assert (view.state, view.status, view.error) == ("NEW", "pending", "connect_refused")

    def letter(self, stage: Stage, operation_id: str) -> None:
        """Check that there is one letter about the operation."""
        (letter,) = stage.database["dead_letters"].find()
        assert (letter["kind"], letter["task"]) == ("never_sent", "payments.create_page")
        assert (letter["status"], letter["seen"], letter["correlation_id"]) == ("waiting", 1, "corr-1")
        assert operation_id in letter["text"]

    def test_expired_fence(self, stage: Stage, seeded: SeededPayment) -> None:
        """A worker that froze between its commit and the socket writes nothing."""
        late = stage.another_world(send_fence_seconds=-1)
        with pytest.raises(NotYet, match="fence_expired"):
            stage.create(seeded, late)
        assert stage.sent() == []
        assert stage.row(seeded).status is Status.NEW


class TestUnsendable:
    """What cannot be sent any more ends instead of being tried for ever."""

    def test_closed_with_its_reason(self, stage: Stage, seeded: SeededPayment) -> None:
        """A row that no request can be built from is refused, a human is told, and the payment stays payable."""
        nobody = stage.another_world(paytabs_base_url=NOBODY)
        with pytest.raises(NotYet):
            stage.create(seeded, nobody)
        stage.database["payment_operations"].update_one({}, {"$set": {"params.language": "xx"}})
        stage.live(20)
        row = stage.row(seeded)
        assert (row.status, row.open) == (Status.REFUSED, False)
        assert "paypage_lang" in (row.error or "")
        assert "operation_given_up" in stage.alerts()
        assert stage.sent() == []
        assert stage.create(seeded).redirect_url is not None


class TestRefused:
    """A listed error ends the operation: nothing was executed, and asking again is the caller's to decide."""

    @pytest.mark.parametrize(
        ("code", "http_status"), [(2, 400), (2, 200), (206, 400), (101, 400), (2, 403), (101, 409)]
    )
    def test_listed_code(self, stage: Stage, seeded: SeededPayment, code: int, http_status: int) -> None:
        """The caller is told the code; nothing stays open."""
        stage.sandbox.fault("/payment/request", "code", code=code, http_status=http_status)
        view = stage.create(seeded)
        assert view.state == "ERROR"
        assert f"code {code}" in str(view.error)
        assert (stage.row(seeded).status, stage.row(seeded).due_at) == (Status.REFUSED, None)
        assert stage.open_page(seeded)
        assert stage.get(seeded).error is None


class TestUnknown:
    """Whatever does not say what happened is never sent again blindly, and found out by query."""

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "http_500"},
            {"kind": "http_500", "executes": True},
            {"kind": "http_502_html"},
            {"kind": "http_500_json_code", "code": 2},
            {"kind": "http_429", "retry_after": 1},
            {"kind": "html_200"},
            {"kind": "cut_after_accept"},
            {"kind": "cut_mid_body"},
            {"kind": "truncated_json"},
            {"kind": "refused"},
            {"kind": "redirect"},
            {"kind": "code", "code": 4, "http_status": 409},
        ],
        ids=lambda fault: f"{fault['kind']}-{fault.get('code', '')}{'-executed' if fault.get('executes') else ''}",
    )
    def test_not_resent(self, stage: Stage, seeded: SeededPayment, fault: dict[str, Any]) -> None:
        """Not by another call, not by the sweep, until "nothing found" counts; then once, under another cart."""
        stage.sandbox.fault("/payment/request", **fault)
        with pytest.raises(NotYet, match="unknown"):
            stage.create(seeded)
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("SENT?", "pending")
        with pytest.raises(NotYet, match="unknown"):
            stage.create(seeded)
        stage.live(SETTLED_SECONDS - 1)
        assert len(stage.sent()) == 1
        stage.live(2)
        assert len(stage.sent()) == 2
        assert len({send.cart_id for send in stage.row(seeded).sends}) == 2
        assert stage.create(seeded).redirect_url

    @pytest.mark.parametrize("kind", ["slow", "drip"])
    def test_deadline(self, stage: Stage, seeded: SeededPayment, kind: str) -> None:
        """An answer slower than the call's deadline is unknown, however lively its connection is."""
        stage.sandbox.fault("/payment/request", kind, seconds=0.6, interval_seconds=0.002)
        hasty = stage.another_world(call_timeout_seconds=0.3)
        with pytest.raises(NotYet, match="timeout"):
            stage.create(seeded, hasty)
        assert stage.row(seeded).status is Status.UNKNOWN
        assert len(stage.sandbox.ledger()) == 1


class TestSilence:
    """A query that was not answered says nothing: least of all that there is nothing."""

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "html_200"},
            {"kind": "http_500"},
            {"kind": "http_500_json_code", "code": 2},
            {"kind": "http_429"},
            {"kind": "code", "code": 1, "http_status": 401},
            {"kind": "code", "code": 777, "http_status": 400},
            {"kind": "cut_after_accept"},
            {"kind": "truncated_json"},
        ],
        ids=lambda fault: f"{fault['kind']}-{fault.get('code', '')}",
    )
    def test_never_nothing_found(self, stage: Stage, seeded: SeededPayment, fault: dict[str, Any]) -> None:
        """Long after the time is up no second request is made on its strength; on the first real answer one is."""
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet):
            stage.create(seeded)
        stage.clock.advance(SETTLED_SECONDS)
        stage.sandbox.fault("/payment/query", times=0, **fault)
        stage.poll(seeded)
        assert len(stage.sent()) == 1
        assert stage.row(seeded).status is Status.UNKNOWN
        stage.sandbox.clear_faults()
        stage.live(75)
        assert len(stage.sent()) == 2
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_wrong_key(self, stage: Stage, seeded: SeededPayment) -> None:
        """A query refused for its key alerts operators."""
        stage.open_page(seeded)
        stage.sandbox.fault("/payment/query", "code", code=1, http_status=401)
        with pytest.raises(NotYet, match="gateway_code_1"):
            stage.verify(seeded)
        assert "gateway_configuration" in stage.alerts()
        assert stage.state(seeded) == "AWAITING_PAYER"


class TestLostAnswer:
    """A page whose link nobody was given is found by its cart, or given up for another one."""

    def test_nothing_found(self, stage: Stage, seeded: SeededPayment) -> None:
        """The first cart is given up only after the lease and 130 s, and watched for a day after that."""
        first = _lose_answer(stage, seeded)
        stage.live(SETTLED_SECONDS)
        assert stage.facts(seeded)[-3:] == ["CartRetired", "AttemptStarted", "PageOpened"]
        assert stage.row(seeded).retired_carts == (first,)
        asked = len(_asked(stage, first))
        stage.live(86_400 - 10)
        assert len(_asked(stage, first)) > asked
        asked = len(_asked(stage, first))
        stage.live(3 * 86_400)
        assert len(_asked(stage, first)) <= asked + 1
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_unknown_is_error(self, stage: Stage, seeded: SeededPayment) -> None:
        """The same where PayTabs answers an unknown cart with its error of code 2."""
        stage.sandbox.switch(query_unknown="error")
        _lose_answer(stage, seeded)
        stage.live(SETTLED_SECONDS - 1)
        assert len(stage.sent()) == 1
        stage.live(1)
        assert len(stage.sent()) == 2

    def test_found_without_link(self, stage: Stage, seeded: SeededPayment) -> None:
        """Where a cart's query shows unpaid pages, the lost one is replaced at the first look."""
        stage.sandbox.switch(query_cart_shows_unpaid=True)
        _lose_answer(stage, seeded)
        stage.live(7)
        assert len(stage.sent()) == 2
        assert stage.state(seeded) == "AWAITING_PAYER"
        view = stage.create(seeded)
        assert view.redirect_url
        assert view.tran_ref == stage.sandbox.ledger()[1]["tran_ref"]

    def test_paid_all_the_same(self, stage: Stage, seeded: SeededPayment) -> None:
        """A lost page that was paid is found, and no second one is made."""
        _lose_answer(stage, seeded)
        lost = stage.sandbox.ledger()[0]["tran_ref"]
        stage.sandbox.pay(lost, PAID)
        stage.live(7)
        view = stage.get(seeded)
        assert (view.state, view.tran_ref, view.captured) == ("PAID", lost, "115.00")
        assert stage.cms(seeded)["status"] == "paid"
        assert stage.row(seeded).status is Status.SUCCEEDED
        stage.live(86_400)
        assert len(stage.sent()) == 1

    def test_paid_notice_first(self, stage: Stage, seeded: SeededPayment) -> None:
        """A notice finds the payment by its cart before any query does."""
        _lose_answer(stage, seeded)
        lost = stage.sandbox.ledger()[0]["tran_ref"]
        stage.sandbox.pay(lost, PAID)
        assert stage.notice(lost).result == "applied"
        assert stage.state(seeded) == "PAID"

    def test_given_up_and_paid(self, stage: Stage, seeded: SeededPayment) -> None:
        """A cart that was given up and is paid all the same makes the payment paid; paid on both it needs a human."""
        _lose_answer(stage, seeded)
        stage.live(SETTLED_SECONDS)
        lost, given = (entry["tran_ref"] for entry in stage.sandbox.ledger())
        stage.sandbox.pay(lost, PAID)
        stage.live(3600)
        assert (stage.state(seeded), stage.get(seeded).tran_ref) == ("PAID", lost)
        stage.sandbox.pay(given, PAID)
        stage.notice(given)
        view = stage.get(seeded)
        assert view.state == "REVIEW"
        assert "paid twice" in view.review[0]
        assert "paid twice" in stage.alerts()["payment_review"]

    def test_given_up_and_failed(self, stage: Stage, seeded: SeededPayment) -> None:
        """A given-up cart that expires does not end the operation whose next send is in doubt."""
        _lose_answer(stage, seeded)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        stage.live(SETTLED_SECONDS)
        assert stage.row(seeded).status is Status.UNKNOWN
        stage.sandbox.dashboard(stage.sandbox.ledger()[0]["tran_ref"], "expire")
        stage.live(20)
        assert (stage.row(seeded).status, stage.row(seeded).open) == (Status.UNKNOWN, True)
        stage.live(SETTLED_SECONDS)
        assert len(stage.sent()) == 3
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_after_not_sent(self, stage: Stage, seeded: SeededPayment) -> None:
        """An earlier send that did not happen does not keep a later, lost one from being found out."""
        nobody = stage.another_world(paytabs_base_url=NOBODY)
        with pytest.raises(NotYet):
            stage.create(seeded, nobody)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        stage.live(20)
        assert stage.row(seeded).status is Status.UNKNOWN
        stage.live(SETTLED_SECONDS + 20)
        assert len(stage.sent()) == 2
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_declined_lost(self, stage: Stage, seeded: SeededPayment) -> None:
        """A lost page that was declined ends the operation, and the next attempt is the caller's."""
        _lose_answer(stage, seeded)
        stage.sandbox.pay(stage.sandbox.ledger()[0]["tran_ref"], "declined")
        stage.live(7)
        assert (stage.state(seeded), stage.get(seeded).error) == ("DECLINED", None)
        assert stage.row(seeded).status is Status.REFUSED
        assert len(stage.sent()) == 1
        assert stage.create(seeded).redirect_url


def _lose_answer(stage: Stage, seeded: SeededPayment) -> str:
    """Ask for a page whose answer is lost after PayTabs accepted the request; return its cart."""
    stage.sandbox.fault("/payment/request", "cut_after_accept")
    with pytest.raises(NotYet, match="unknown"):
        stage.create(seeded)
    cart_id = stage.row(seeded).cart_id
    assert cart_id is not None
    return cart_id


def _asked(stage: Stage, cart_id: str) -> list[dict[str, Any]]:
    return [body for body in stage.queries() if body.get("cart_id") == cart_id]
