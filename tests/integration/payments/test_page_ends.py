from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from payments.errors import InvalidArgument, NotYet, Refusal
from payments.facts import PAGE_ENDED
from payments.operations import Status
from payments.page_ends import PageDesk
from payments.views import PaymentView
from paytabs.client import PayTabsClient
from paytabs.responses import Answer
from tasks.wiring import build_world
from tests.integration.payments.stage import ALOOF, DECLINED, EXPIRED, PAID, Interrupted, Stage
from tests.integration.payments.test_adoption import old_payment
from tests.integration.payments.test_charges import charge, form, stored
from tests.integration.payments.test_invoices import create as bill
from tests.integration.payments.test_override import override
from tests.integration.payments.test_stored_cards import another, made
from tests.integration.payments.test_stored_cards import charge as charge_card
from tests.support.cms import SeededPayment

MINUTE = 60.0
LIFE, MARGIN, OTHER_MARGIN = 20 * MINUTE, 10 * MINUTE, 180 * MINUTE
DAY = 86_400.0

#: The sandbox's pages are counted by the real clock, ours by the stage's, which stands: some more passes there.
SOME_MORE = 60.0

#: What PayTabs may say of a dead page. An X is its own word; the others are none of the page's end.
SAYS = ["expired", "code_113", "code_2", "pending"]


def pass_time(stage: Stage, seconds: float) -> None:
    """Let time pass for our clocks and for the sandbox's pages, and nothing happen."""
    stage.clock.advance(seconds)
    stage.sandbox.pass_time(seconds=seconds)


def dead(stage: Stage, seeded: SeededPayment, says: str = "pending") -> str:
    """Open a page and let its time and its margin pass; return its reference."""
    stage.sandbox.switch(query_dead_page=says)
    tran_ref = stage.open_page(seeded)
    stage.sandbox.pass_time(seconds=SOME_MORE)
    pass_time(stage, LIFE + MARGIN)
    return tran_ref


def payable(stage: Stage) -> list[str]:
    """List the pages that a payer who has their link could still pay."""
    return [one["tran_ref"] for one in stage.sandbox.pages() if one["state"] == "open"]


def iso(moment: datetime) -> str:
    """Write a time as answers do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def told(view: PaymentView) -> tuple[str | None, str | None, str | None]:
    """Return what an answer says of its page, but for its end."""
    return view.page_state, view.redirect_url, view.new_page_at


def of_before(stage: Stage) -> None:
    """Make every row one that the version before has written."""
    stage.database["payment_operations"].update_many({}, {"$unset": {"page": 1, "params.paypage_ttl": 1}})


class TestSent:
    """PayTabs is told how long a page is to live."""

    def test_page(self, stage: Stage, seeded: SeededPayment) -> None:
        """In whole minutes, as set, with a page; the row keeps its end, and answers and the CMS show it."""
        world = stage.another_world(paypage_ttl_minutes=35)
        view = stage.create(seeded, world)
        assert stage.sent()[0]["paypage_ttl"] == 35
        end = stage.clock.now + timedelta(minutes=35)
        assert (view.page_state, view.page_expires_at) == ("open", iso(end))
        assert view.new_page_at == iso(end + timedelta(seconds=MARGIN))
        assert stage.cms(seeded)["gateway"]["page_expires_at"] == end
        assert stage.row(seeded).page_expires_at == end

    def test_invoice(self, stage: Stage, seeded: SeededPayment) -> None:
        """With an invoice too; without an expiry date, nobody but PayTabs knows when it ends."""
        bill(stage, seeded)
        (asked,) = stage.sandbox.requests("/payment/invoice/new")
        assert asked["body"]["paypage_ttl"] == 20
        assert stage.get(seeded).page_expires_at is None
        stage.live(30 * DAY)
        assert stage.row(seeded).open

    def test_charges(self, stage: Stage, seeded: SeededPayment) -> None:
        """With nothing else."""
        charge(stage, seeded, stored(stage)[0])
        assert "paypage_ttl" not in stage.sent()[-1]

    def test_database_clock(self, stage: Stage, seeded: SeededPayment) -> None:
        """A worker whose clock is off by a quarter of an hour shortens no page's life, and lengthens none."""
        before = datetime.now(UTC)
        for minutes in (15, -15):
            off = timedelta(minutes=minutes)
            world = build_world(
                stage.world.settings, clock=partial(lambda by: datetime.now(UTC) + by, off), breaker=ALOOF,
                send=lambda *_, **__: True,
            )  # fmt: skip
            try:
                view = stage.create(seeded, world)
                assert (view.page_state, bool(view.redirect_url)) == ("open", True)
                end = datetime.fromisoformat(str(view.page_expires_at))
                assert before + timedelta(minutes=20) - timedelta(seconds=1) <= end
                assert end <= datetime.now(UTC) + timedelta(minutes=20, seconds=1)
                world.reconciler.poll(stage.row(seeded).operation_id, stage.context())
                assert stage.cms(seeded)["gateway"]["redirect_url"] == view.redirect_url
                due = stage.row(seeded).due_at
                assert due is not None
                assert due <= world.clock() + timedelta(minutes=20)
            finally:
                world.close()


class TestOver:
    """Between a page's end and the margin after it, nobody is led to it, and nothing else begins."""

    def test_answer(self, stage: Stage, seeded: SeededPayment) -> None:
        """The answer says so, and from when on another page can be had; PayTabs is not asked for one."""
        first = stage.create(seeded)
        end = stage.clock.now + timedelta(seconds=LIFE)
        pass_time(stage, LIFE)
        asked = len(stage.queries())
        for view in (stage.create(seeded), stage.create(seeded, operation_id="fresh"), stage.get(seeded)):
            assert told(view) == ("over", None, iso(end + timedelta(seconds=MARGIN)))
            assert (view.state, view.tran_ref, view.page_expires_at) == ("AWAITING_PAYER", first.tran_ref, iso(end))
        assert (len(stage.queries()), len(stage.sent())) == (asked, 1)

    def test_last_moment(self, stage: Stage, seeded: SeededPayment) -> None:
        """Up to the last moment it is the page."""
        first = stage.create(seeded)
        pass_time(stage, LIFE - 0.001)
        assert stage.create(seeded).redirect_url == first.redirect_url

    @pytest.mark.parametrize("silent", [False, True])
    def test_cms(self, stage: Stage, seeded: SeededPayment, *, silent: bool) -> None:
        """The CMS's document shows no link any more, though nothing happens, and though PayTabs is silent."""
        stage.open_page(seeded)
        stage.live(LIFE - 1)
        version = stage.cms(seeded)["gateway"]["version"]
        assert stage.cms(seeded)["gateway"]["redirect_url"]
        if silent:
            stage.sandbox.fault("/payment/query", "html_200", times=0)
        stage.live(1)
        gateway = stage.cms(seeded)["gateway"]
        assert (gateway["redirect_url"], gateway["version"], gateway["state"]) == (None, version, "AWAITING_PAYER")
        assert stage.row(seeded).open

    def test_charge(self, stage: Stage, seeded: SeededPayment) -> None:
        """A card is not charged, and the refusal says from when it may be, as a code too."""
        stage.open_page(seeded)
        from_then = iso(stage.clock.now + timedelta(seconds=LIFE + MARGIN))
        pass_time(stage, LIFE + MARGIN - 1)
        with pytest.raises(InvalidArgument, match=f"from {from_then} on") as refused:
            charge(stage, seeded, stored(stage)[0])
        assert refused.value.code == Refusal.PAGE_OPEN
        with pytest.raises(InvalidArgument, match="under way"):
            bill(stage, seeded)
        with pytest.raises(InvalidArgument, match=f"from {from_then} on") as refused:
            stage.create(seeded, transaction="auth")
        assert (refused.value.field, refused.value.code) == ("transaction", Refusal.PAGE_OPEN)
        assert len(stage.rows(seeded)) == 1

    def test_override(self, stage: Stage, seeded: SeededPayment) -> None:
        """An operator need not wait."""
        stage.sandbox.switch(query_dead_page="pending")
        stage.open_page(seeded)
        pass_time(stage, LIFE)
        override(stage, seeded)
        assert stage.create(seeded).page_state == "open"

    def test_paid_in_the_margin(self, stage: Stage, seeded: SeededPayment) -> None:
        """Who was in the middle of it pays, and no page is made beside it."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.visit(tran_ref)
        pass_time(stage, LIFE + MARGIN - SOME_MORE)
        stage.sandbox.pay(tran_ref, PAID)
        pass_time(stage, SOME_MORE)
        with pytest.raises(InvalidArgument, match="this one is PAID"):
            stage.create(seeded)
        assert len(stage.sent()) == 1


class TestEnded:
    """After the margin a page ends when PayTabs says that nobody pays it, whichever way it says so."""

    @pytest.mark.parametrize("says", SAYS)
    def test_page(self, stage: Stage, seeded: SeededPayment, says: str) -> None:
        """Asked for a page, PayTabs is asked once, and the next one is there at once."""
        first = dead(stage, seeded, says)
        asked = len(stage.queries())
        second = stage.create(seeded)
        assert (second.page_state, second.state) == ("open", "AWAITING_PAYER")
        assert second.redirect_url
        assert second.tran_ref != first
        assert (len(stage.queries()), len(stage.sent())) == (asked + 1, 2)
        assert payable(stage) == [second.tran_ref]
        assert [row.status for row in stage.rows(seeded)] == [
            Status.REFUSED if says == "expired" else Status.FAILED, Status.PENDING,
        ]  # fmt: skip

    @pytest.mark.parametrize("says", SAYS)
    def test_charge(self, stage: Stage, seeded: SeededPayment, says: str) -> None:
        """A card may be charged."""
        dead(stage, seeded, says)
        view = charge(stage, seeded, stored(stage)[0])
        assert (view.state, view.captured, view.review) == ("PAID", "115.00", ())

    @pytest.mark.parametrize("says", SAYS)
    def test_form_and_invoice(self, stage: Stage, seeded: SeededPayment, says: str) -> None:
        """So may what was typed into PayTabs' fields, and an invoice be made."""
        dead(stage, seeded, says)
        assert form(stage, seeded, "declined").state == "DECLINED"
        assert bill(stage, seeded)["invoice_link"]

    @pytest.mark.parametrize("says", SAYS)
    def test_by_itself(self, stage: Stage, seeded: SeededPayment, says: str) -> None:
        """Without anybody asking for anything, the ladder comes to the same."""
        stage.sandbox.switch(query_dead_page=says)
        tran_ref = stage.open_page(seeded)
        stage.live(LIFE)
        stage.sandbox.pass_time(seconds=LIFE + MARGIN + SOME_MORE)
        assert stage.row(seeded).open
        stage.live(MARGIN)
        row = stage.row(seeded)
        assert not row.open
        gateway = stage.cms(seeded)["gateway"]
        assert (gateway["redirect_url"], gateway["tran_ref"]) == (None, tran_ref)
        assert gateway["state"] == ("EXPIRED" if says == "expired" else "AWAITING_PAYER")

    @pytest.mark.parametrize("says", SAYS[1:])
    def test_fact(self, stage: Stage, seeded: SeededPayment, says: str) -> None:
        """The end stands in the history: which page, and what PayTabs said."""
        tran_ref = dead(stage, seeded, says)
        stage.verify(seeded)
        row = stage.row(seeded)
        last = stage.world.service.history(seeded.payment_id)[-1]
        assert (last["type"], last["data"]) == (
            "CartRetired",
            {
                "operation_id": row.operation_id, "cart_id": row.cart_id, "tran_ref": tran_ref, "reason": PAGE_ENDED,
                "why": "never_visited" if says == "pending" else "not_found",
            },
        )  # fmt: skip
        view = stage.get(seeded)
        assert (view.state, view.page_state, view.error, view.redirect_url) == (
            "AWAITING_PAYER", "ended", "page_ended", None,
        )  # fmt: skip

    def test_expired_early(self, stage: Stage, seeded: SeededPayment) -> None:
        """PayTabs may say X while a payer is in the middle of it: until the margin is over nothing else begins."""
        stage.sandbox.switch(query_dead_page="expired", query_dead_page_at_once=True, notify_callback=False)
        tran_ref = stage.open_page(seeded)
        stage.sandbox.visit(tran_ref)
        from_then = iso(stage.clock.now + timedelta(seconds=LIFE + MARGIN))
        stage.live(LIFE - 1)
        stage.sandbox.pass_time(seconds=LIFE)
        stage.live(1)
        assert stage.state(seeded) == "EXPIRED"
        assert told(stage.create(seeded)) == told(stage.get(seeded)) == ("over", None, from_then)
        with pytest.raises(InvalidArgument, match=f"from {from_then} on") as refused:
            charge(stage, seeded, stored(stage)[0])
        assert refused.value.code == Refusal.PAGE_OPEN
        stage.sandbox.pay(tran_ref, PAID)
        stage.clock.advance(MARGIN)
        with pytest.raises(InvalidArgument, match="this one is PAID"):
            stage.create(seeded)
        assert len(stage.sent()) == 1

    def test_expired_and_left(self, stage: Stage, seeded: SeededPayment) -> None:
        """Once the margin is over PayTabs is asked again, by the ladder too, and another page is made."""
        stage.sandbox.switch(query_dead_page="expired", query_dead_page_at_once=True)
        stage.open_page(seeded)
        stage.live(LIFE - 1)
        stage.sandbox.pass_time(seconds=LIFE + SOME_MORE)
        stage.live(1)
        assert stage.get(seeded).page_state == "over"
        asked = len(stage.queries())
        stage.live(MARGIN)
        assert len(stage.queries()) == asked + 1
        assert stage.row(seeded).due_at is None
        assert stage.get(seeded).page_state == "ended"
        assert stage.create(seeded).page_state == "open"

    def test_expired_by_its_payer(self, stage: Stage, seeded: SeededPayment) -> None:
        """An X that came long before the end is what a payer came to: not even at that end does anybody wait for it."""
        stage.sandbox.pay(stage.open_page(seeded), EXPIRED)
        assert stage.verify(seeded).state == "EXPIRED"
        second = stage.open_page(seeded)
        stage.sandbox.pay(second, DECLINED)
        stage.verify(seeded)
        stage.clock.advance(LIFE + 1)
        assert stage.create(seeded).page_state == "open"

    def test_not_before(self, stage: Stage, seeded: SeededPayment) -> None:
        """A moment before the margin is over, no answer but an X ends it."""
        stage.sandbox.switch(query_dead_page="code_2", query_dead_page_at_once=True)
        stage.open_page(seeded)
        stage.sandbox.pass_time(seconds=SOME_MORE)
        pass_time(stage, LIFE + MARGIN - 0.001)
        assert stage.verify(seeded).page_state == "over"
        stage.clock.advance(0.001)
        assert stage.verify(seeded).page_state == "ended"

    @pytest.mark.parametrize("says", SAYS)
    def test_same_id(self, stage: Stage, seeded: SeededPayment, says: str) -> None:
        """An id stands for its page for ever: asked again it answers that page, and makes none."""
        stage.sandbox.switch(query_dead_page=says)
        first = stage.create(seeded, operation_id="order-1")
        stage.sandbox.pass_time(seconds=SOME_MORE)
        pass_time(stage, LIFE + MARGIN)
        assert told(stage.create(seeded, operation_id="order-1"))[:2] == ("over", None)
        second = stage.create(seeded, operation_id="order-2")
        again = stage.create(seeded, operation_id="order-1")
        assert (again.page_state, again.redirect_url) == ("ended", None)
        assert (again.operation_id, again.tran_ref) == ("order-1", first.tran_ref)
        assert stage.create(seeded).redirect_url == second.redirect_url
        assert len(stage.sent()) == 2

    def test_silence(self, stage: Stage, seeded: SeededPayment) -> None:
        """While PayTabs does not answer, nothing ends, and who asks is told to come back."""
        dead(stage, seeded)
        stage.sandbox.fault("/payment/query", "html_200", times=3)
        with pytest.raises(NotYet, match="gateway_"):
            stage.create(seeded)
        assert stage.row(seeded).open
        assert stage.create(seeded).page_state == "open"

    def test_row_of_before(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page of the version before ends twenty minutes after it was sent."""
        stage.sandbox.switch(query_dead_page="pending")
        view = stage.create(seeded)
        of_before(stage)
        assert stage.get(seeded).page_expires_at == view.page_expires_at
        stage.sandbox.pass_time(seconds=SOME_MORE)
        pass_time(stage, LIFE + MARGIN)
        assert stage.create(seeded).page_state == "open"
        assert stage.rows(seeded)[0].has_ended

    def test_adopted(self, stage: Stage) -> None:
        """One of the CMS's old code ends twenty minutes after it was taken over, and is watched like any other."""
        stage.sandbox.switch(query_dead_page="pending")
        seeded, tran_ref = old_payment(stage, None)
        stage.sandbox.pass_time(minutes=500)
        view = stage.create(seeded)
        assert (view.page_state, view.redirect_url) == ("open", None)
        assert view.page_expires_at == iso(stage.clock.now + timedelta(seconds=LIFE))
        pass_time(stage, LIFE + MARGIN)
        second = stage.create(seeded)
        assert second.tran_ref != tran_ref
        assert second.redirect_url
        asked = len(stage.queries())
        stage.live(DAY / 2)
        assert tran_ref in [query.get("tran_ref") for query in stage.queries()[asked:]]

    def test_payer_present(self, stage: Stage, seeded: SeededPayment) -> None:
        """A charge that was answered with a page, which its payer has left, ends like a page."""
        first = charge(stage, seeded, stored(stage)[0], payer_present=True)
        assert first.redirect_url
        stage.sandbox.pass_time(seconds=SOME_MORE)
        pass_time(stage, LIFE)
        with pytest.raises(InvalidArgument, match="under way") as refused:
            stage.create(seeded)
        assert refused.value.code == Refusal.PAGE_OPEN
        pass_time(stage, MARGIN)
        assert stage.create(seeded).page_state == "open"

    def test_payer_present_with_a_kept_card(self, stage: Stage, seeded: SeededPayment) -> None:
        """So does the page of a card that is kept here, which may then be charged again."""
        card_id = made(stage, seeded)
        other = another(stage, seeded)
        first = charge_card(stage, other, card_id, payer_present=True)
        assert first.redirect_url
        stage.sandbox.pass_time(seconds=SOME_MORE)
        pass_time(stage, LIFE + MARGIN)
        assert charge_card(stage, other, card_id, "op-2").state == "PAID"

    def test_unknown_charge(self, stage: Stage, seeded: SeededPayment) -> None:
        """A charge of which nobody knows whether it happened never ends by itself."""
        token = stored(stage)[0]
        stage.sandbox.fault("/payment/request", "http_502_html")
        with pytest.raises(NotYet):
            charge(stage, seeded, token)
        stage.live(2 * DAY)
        assert stage.row(seeded).status is Status.REVIEW
        with pytest.raises(InvalidArgument, match="is review"):
            stage.create(seeded)

    def test_invoice(self, stage: Stage, seeded: SeededPayment) -> None:
        """An invoice ends by its expiry date; a page that was opened in its last moment has its own time still."""
        expiry = stage.clock.now + timedelta(hours=2)
        answer = bill(stage, seeded, expiry_date=expiry.isoformat())
        assert (answer["page_expires_at"], bool(answer["invoice_link"])) == (iso(expiry), True)
        pass_time(stage, 7200)
        assert bill(stage, seeded, expiry_date=expiry.isoformat())["invoice_link"] is None
        with pytest.raises(InvalidArgument, match="under way"):
            stage.create(seeded)
        pass_time(stage, LIFE + MARGIN)
        assert stage.create(seeded).page_state == "open"


class TestOutlives:
    """What outlives a page keeps everything else from beginning, until PayTabs says that it is over."""

    def test_voucher(self, stage: Stage, seeded: SeededPayment) -> None:
        """A voucher: no page and no charge beside it, however long; once it is settled the payment is paid."""
        tran_ref = stage.open_page(seeded, methods=("all", "sadad"))
        stage.sandbox.choose(tran_ref, "sadad")
        stage.live(3 * DAY)
        stage.sandbox.pass_time(minutes=4000)
        view = stage.create(seeded)
        assert (view.state, view.redirect_url, view.page_state) == ("PENDING_OFFLINE", None, None)
        with pytest.raises(InvalidArgument, match="under way"):
            charge(stage, seeded, stored(stage)[0])
        assert len(stage.sent()) == 1
        stage.sandbox.dashboard(tran_ref, "settle")
        stage.live(DAY)
        assert stage.state(seeded) == "PAID"

    def test_other_method(self, stage: Stage, seeded: SeededPayment) -> None:
        """Who is away at another method has three hours; then what PayTabs says ends the page."""
        stage.sandbox.switch(query_dead_page="code_113")
        tran_ref = stage.open_page(seeded, methods=("all", "stcpay"))
        stage.sandbox.choose(tran_ref, "stcpay", then="leave")
        stage.live(5)
        end = datetime.fromisoformat(str(stage.get(seeded).page_expires_at))
        assert stage.get(seeded).new_page_at == iso(end + timedelta(seconds=OTHER_MARGIN))
        stage.sandbox.pass_time(seconds=SOME_MORE)
        pass_time(stage, LIFE + OTHER_MARGIN - 10)
        assert told(stage.create(seeded))[:2] == ("over", None)
        pass_time(stage, 10)
        assert stage.create(seeded).tran_ref != tran_ref

    @pytest.mark.parametrize("hours", [0, 5])
    def test_notice_names_it(self, stage: Stage, seeded: SeededPayment, hours: int) -> None:
        """A way of paying that only a notice has named counts as well, be it a notice that came hours late."""
        tran_ref = stage.open_page(seeded)
        said_at = iso(stage.clock.now - timedelta(hours=hours))
        result = {"response_status": "P", "response_code": "600", "transaction_time": said_at}
        stage.notice(tran_ref, payment_result=result, payment_info={"payment_method": "STCPay"})
        end = datetime.fromisoformat(str(stage.get(seeded).page_expires_at))
        assert stage.get(seeded).new_page_at == iso(end + timedelta(seconds=OTHER_MARGIN))
        stage.live(LIFE + MARGIN)
        assert stage.row(seeded).open

    def test_chosen_and_pending(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page on which a payer has chosen how to pay, and that PayTabs still calls pending, stays open."""
        stage.sandbox.switch(query_dead_page="pending")
        tran_ref = stage.open_page(seeded, methods=("all", "stcpay"))
        stage.sandbox.choose(tran_ref, "stcpay", then="leave")
        stage.live(5)
        stage.sandbox.pass_time(minutes=1000)
        stage.live(LIFE + OTHER_MARGIN + DAY)
        view = stage.create(seeded)
        assert told(view) == ("over", None, None)
        assert stage.row(seeded).open
        override(stage, seeded)
        assert stage.create(seeded).redirect_url

    def test_voucher_after_the_end(self, stage: Stage, seeded: SeededPayment) -> None:
        """One that PayTabs tells of after the page had ended stands in the way again, and is asked about."""
        tran_ref = dead(stage, seeded, "code_2")
        assert stage.verify(seeded).page_state == "ended"
        stage.live(3 * DAY)
        assert stage.row(seeded).due_at is None
        late = {"response_status": "P", "response_code": "44112233"}
        payment_info = {"payment_method": "Sadad", "payment_description": "44112233"}
        stage.notice(
            tran_ref, payment_result={**late, "transaction_time": iso(stage.clock.now)}, payment_info=payment_info
        )
        assert stage.state(seeded) == "PENDING_OFFLINE"
        with pytest.raises(InvalidArgument, match="PENDING_OFFLINE"):
            stage.create(seeded)
        assert stage.row(seeded).due_at is not None


class TestMoney:
    """What still comes through an ended page counts."""

    def test_paid_late(self, stage: Stage, seeded: SeededPayment) -> None:
        """Alone it pays the payment, and is found without a notice within a day."""
        stage.sandbox.switch(page_finish_seconds=DAY, query_dead_page="code_2", query_dead_page_at_once=True,
                             notify_callback=False, notify_ipn=False)  # fmt: skip
        tran_ref = stage.open_page(seeded)
        stage.sandbox.visit(tran_ref)
        stage.sandbox.pass_time(seconds=LIFE + MARGIN)
        stage.live(LIFE + MARGIN)
        assert stage.row(seeded).has_ended
        stage.sandbox.pay(tran_ref, PAID)
        stage.live(DAY / 2)
        assert (stage.state(seeded), stage.cms(seeded)["gateway"]["captured"]) == ("PAID", "115.00")
        assert stage.row(seeded).status is Status.SUCCEEDED

    def test_paid_twice(self, stage: Stage, seeded: SeededPayment) -> None:
        """Beside another attempt's it is a case, and the ended page's money is what is proposed to give back."""
        stage.sandbox.switch(page_finish_seconds=DAY, query_dead_page="code_2", query_dead_page_at_once=True)
        old = stage.open_page(seeded)
        stage.sandbox.visit(old)
        pass_time(stage, LIFE + MARGIN)
        new = stage.create(seeded).tran_ref
        stage.sandbox.pay(str(new), PAID)
        assert stage.verify(seeded).state == "PAID"
        stage.sandbox.pay(old, PAID)
        stage.live(DAY / 2)
        view = stage.get(seeded)
        assert (view.state, view.captured, view.review_codes) == ("REVIEW", "230.00", ("paid_twice",))
        (case,) = stage.world.review.cases(seeded.payment_id)
        assert case.proposal is not None
        assert case.proposal["arguments"]["tran_ref"] == old


class TestJustOne:
    """Whoever dies, and however many ask, one page follows one that has ended."""

    @pytest.mark.parametrize("says", SAYS)
    def test_many_ask(self, stage: Stage, seeded: SeededPayment, says: str) -> None:
        """Four workers at once make one page."""
        dead(stage, seeded, says)
        worlds = [stage.another_world() for _ in range(4)]

        def ask(place: int) -> str | None:
            try:
                return stage.create(seeded, worlds[place]).redirect_url
            except NotYet:
                return None

        with ThreadPoolExecutor(4) as pool:
            urls = {url for url in pool.map(ask, range(4)) if url}
        stage.live(60)
        assert len(urls) == 1
        assert len(stage.sent()) == 2
        assert len(payable(stage)) == 1

    @pytest.mark.parametrize("where", ["look", "accept"])
    def test_killed(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
        """A worker that dies between the end and the next page loses nothing; who asks again has just one."""
        dead(stage, seeded, "code_113")

        def killed(*_: Any, **__: Any) -> Answer:
            raise Interrupted

        if where == "look":
            real = type(stage.world.reconciler).look

            def look(self: Any, *args: Any) -> Any:
                real(self, *args)
                raise Interrupted

            monkeypatch.setattr(type(stage.world.reconciler), "look", look)
        else:
            monkeypatch.setattr(PayTabsClient, "request_page", killed)
        with pytest.raises(Interrupted):
            stage.create(seeded, operation_id="second")
        monkeypatch.undo()
        stage.world = stage.another_world()
        assert stage.rows(seeded)[0].has_ended
        if where == "look":
            view = stage.create(seeded, operation_id="second")
        else:
            stage.live(600)
            view = stage.create(seeded, operation_id="second")
        assert view.page_state == "open"
        assert (len(payable(stage)), len(stage.sent())) == (1, 2)

    def test_page_desk_default(self, stage: Stage) -> None:
        """The times are those that are set."""
        world = stage.another_world(paypage_ttl_minutes=7, page_margin_seconds=11.0, page_margin_other_seconds=13.0)
        pages = world.service._parts.pages
        assert isinstance(pages, PageDesk)
        assert (pages.times.life_minutes, pages.times.margin, pages.times.other_margin) == (
            7, timedelta(seconds=11), timedelta(seconds=13),
        )  # fmt: skip
