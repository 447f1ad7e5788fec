from concurrent.futures import ThreadPoolExecutor

import pytest

from payments.errors import InvalidArgument, NotYet
from payments.events import Context
from payments.operations import Operation, Status
from payments.ordering import FollowUpTerms
from payments.overriding import PageOverrides
from tasks.wiring import World
from tests.integration.payments.stage import DECLINED, HELD, PAID, PENDING, SETTLED_SECONDS, Stage
from tests.integration.payments.test_adoption import old_payment
from tests.integration.payments.test_charges import charge, stored
from tests.integration.payments.test_invoices import create as bill
from tests.support.cms import SeededPayment

DAY = 86_400
OPERATOR = Context(correlation_id="corr-3", source="review", requested_by="omar")


def override(
    stage: Stage, seeded: SeededPayment, world: World | None = None, context: Context = OPERATOR, note: str = "lost it"
) -> Operation:
    """Set the payment's page aside, as an operator does."""
    using = world or stage.world
    overrides = PageOverrides(using.store, using.ledger, using.service)
    return overrides.override(seeded.payment_id, note, context)


def pay(stage: Stage, seeded: SeededPayment, way: str) -> None:
    """Have the payment paid in another way than by its first page."""
    stage.clock.advance(1)
    if way == "page":
        stage.paid(seeded)
    else:
        charge(stage, seeded, stored(stage)[0])
    assert stage.state(seeded) == "PAID"


class TestOverridden:
    """An open page is set aside by a human's word: the payment can be asked for again."""

    def test_audit(self, stage: Stage, seeded: SeededPayment) -> None:
        """Who, why and which page stand in the history; the row is closed, and the CMS sees no page any more."""
        tran_ref = stage.open_page(seeded)
        closed = override(stage, seeded)
        assert (closed.status, closed.open, closed.error) == (Status.FAILED, False, "overridden")
        last = stage.world.service.history(seeded.payment_id)[-1]
        assert (last["type"], last["requested_by"], last["correlation_id"]) == ("PageOverridden", "omar", "corr-3")
        assert last["data"] == {
            "operation_id": closed.operation_id, "cart_id": closed.cart_id, "tran_ref": tran_ref, "by": "omar",
            "note": "lost it",
        }  # fmt: skip
        gateway = stage.cms(seeded)["gateway"]
        assert (gateway["state"], gateway["redirect_url"], stage.cms(seeded)["status"]) == ("NEW", None, "pending")

    def test_same_id(self, stage: Stage, seeded: SeededPayment) -> None:
        """Asked for again under the same id, the page says what became of it; under another one a page is made."""
        first = stage.create(seeded, operation_id="page-1")
        override(stage, seeded)
        again = stage.create(seeded, operation_id="page-1")
        assert (again.state, again.redirect_url, again.error) == ("NEW", None, "overridden")
        stage.clock.advance(1)
        assert stage.create(seeded, operation_id="page-2").redirect_url not in (None, first.redirect_url)
        assert len(stage.sent()) == 2

    @pytest.mark.parametrize("way", ["page", "token"])
    def test_paid_twice(self, stage: Stage, seeded: SeededPayment, way: str) -> None:
        """Paid in another way and by the old page as well, it is for a human, who is told to give the old one back."""
        old = stage.open_page(seeded)
        override(stage, seeded)
        pay(stage, seeded, way)
        stage.sandbox.pay(old, PAID)
        assert stage.notice(old).result == "applied"
        view = stage.get(seeded)
        assert (view.state, view.captured) == ("REVIEW", "230.00")
        (case,) = stage.world.review.cases(seeded.payment_id)
        assert case.reason.code == "paid_twice"
        assert case.proposal == {
            "task": "payments.refund",
            "arguments": {"payment_id": seeded.payment_id, "tran_ref": old, "amount": "115.00"},
        }
        terms = FollowUpTerms("refund", "115.00", old)
        stage.world.money.follow_up(seeded.payment_id, terms, "give-back", stage.context())
        assert (stage.state(seeded), stage.get(seeded).review) == ("PAID", ())
        assert stage.open_alerts() == {}

    def test_paid_after_all(self, stage: Stage, seeded: SeededPayment) -> None:
        """Paid by the old page and in no other way, it is paid, without any notice."""
        old = stage.open_page(seeded)
        override(stage, seeded)
        stage.sandbox.pay(old, PAID)
        stage.live(5)
        assert (stage.state(seeded), stage.row(seeded).status) == ("PAID", Status.SUCCEEDED)
        with pytest.raises(InvalidArgument, match="PAID"):
            stage.create(seeded)

    def test_old_page_paid_before_the_charge(self, stage: Stage, seeded: SeededPayment) -> None:
        """What the old page has taken keeps a charge from being sent that was accepted before."""
        old = stage.open_page(seeded)
        override(stage, seeded)
        world, stage.world = stage.world, stage.another_world(paytabs_base_url="http://127.0.0.1:9")
        with pytest.raises(NotYet, match="connect_refused"):
            charge(stage, seeded, stored(stage)[0])
        stage.world = world
        stage.sandbox.pay(old, PAID)
        stage.notice(old)
        stage.live(60)
        assert (stage.state(seeded), stage.get(seeded).captured) == ("PAID", "115.00")
        assert stage.row(seeded).error == "not sent: the payment is PAID"

    def test_offline(self, stage: Stage, seeded: SeededPayment) -> None:
        """A payer who got a reference may still pay: it does not keep a page from being made, and it counts."""
        old = stage.open_page(seeded)
        stage.sandbox.pay(old, PENDING)
        stage.verify(seeded)
        assert stage.state(seeded) == "PENDING_OFFLINE"
        override(stage, seeded)
        pay(stage, seeded, "page")
        stage.sandbox.dashboard(old, "settle")
        stage.live(2 * DAY)
        assert (stage.state(seeded), stage.get(seeded).captured) == ("REVIEW", "230.00")

    def test_adopted(self, stage: Stage) -> None:
        """A page of the CMS's old code, whose link nobody has, is set aside too, known here or not."""
        for known in (True, False):
            seeded, old = old_payment(stage, None)
            if known:
                assert stage.create(seeded).redirect_url is None
            assert override(stage, seeded).kind == "adopt"
            pay(stage, seeded, "page")
            stage.sandbox.pay(old, PAID)
            stage.live(2 * DAY)
            (reason,) = stage.get(seeded).review
            assert reason.startswith("paid twice: ")
            assert old in reason

    def test_charge_without_its_link(self, stage: Stage, seeded: SeededPayment) -> None:
        """A charge that waits for a payer who never got the link is set aside, by its cart."""
        token, _ = stored(stage)
        stage.sandbox.switch(query_cart_shows_unpaid=True)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet):
            charge(stage, seeded, token, payer_present=True)
        stage.live(SETTLED_SECONDS + 10)
        assert (stage.state(seeded), stage.row(seeded).status) == ("AWAITING_PAYER", Status.PENDING)
        override(stage, seeded)
        stage.clock.advance(1)
        assert charge(stage, seeded, token, "op-2").state == "PAID"

    def test_deleted(self, stage: Stage, seeded: SeededPayment) -> None:
        """It needs no document of the CMS."""
        stage.open_page(seeded)
        stage.database["payments"].delete_one({"_id": seeded.payment})
        assert override(stage, seeded).error == "overridden"


class TestBesidePaid:
    """A page that is open beside money that another one took can be set aside, and the money given back."""

    def test_overridden_page_paid(self, stage: Stage, seeded: SeededPayment) -> None:
        """The first page, overridden, is paid while the second is open: operators are told, and can act."""
        first = stage.open_page(seeded)
        override(stage, seeded)
        stage.clock.advance(1)
        second = stage.open_page(seeded)
        stage.sandbox.pay(first, PAID)
        stage.notice(first)
        assert stage.state(seeded) == "PAID"
        assert second in stage.alerts()["page_left_open"]
        with pytest.raises(InvalidArgument, match="override-page"):
            stage.follow_up(seeded, "refund")
        assert override(stage, seeded).tran_ref == second
        assert stage.follow_up(seeded, "refund", tran_ref=first).state == "REFUNDED"

    def test_failed_page_paid(self, stage: Stage, seeded: SeededPayment) -> None:
        """A declined page is paid late beside a second one: its row says so, and the second can be set aside."""
        stage.sandbox.switch(page_attempts="until_paid")
        first = stage.open_page(seeded)
        stage.sandbox.pay(first, DECLINED)
        stage.verify(seeded)
        stage.clock.advance(1)
        stage.open_page(seeded)
        stage.sandbox.pay(first, PAID)
        stage.notice(first)
        assert [row.status for row in stage.rows(seeded)] == [Status.SUCCEEDED, Status.PENDING]
        override(stage, seeded)
        assert stage.follow_up(seeded, "refund").state == "REFUNDED"


class TestWatched:
    """Its payer may still hold the link, so PayTabs is asked about it until it is final."""

    def test_abandoned(self, stage: Stage, seeded: SeededPayment) -> None:
        """By reference and by cart on the usual ladder for a day, then by reference daily."""
        tran_ref = stage.open_page(seeded)
        cart_id = override(stage, seeded).cart_id
        before = len(stage.queries())
        stage.live(DAY)
        asked = stage.queries()[before:]
        by_ref, by_cart = ([row for row in asked if name in row] for name in ("tran_ref", "cart_id"))
        assert ({row["tran_ref"] for row in by_ref}, {row["cart_id"] for row in by_cart}) == ({tran_ref}, {cart_id})
        assert 7 <= len(by_cart) <= len(by_ref) <= 10
        stage.live(7 * DAY)
        assert 6 <= len(stage.queries()) - before - len(asked) <= 9
        stage.sandbox.dashboard(tran_ref, "expire")
        stage.live(DAY)
        assert stage.row(seeded).due_at is None

    def test_late(self, stage: Stage, seeded: SeededPayment) -> None:
        """Paid days later beside another attempt, it is found although its notice was lost."""
        old = stage.open_page(seeded)
        override(stage, seeded)
        pay(stage, seeded, "token")
        stage.live(3 * DAY)
        stage.sandbox.pay(old, PAID)
        stage.live(DAY)
        assert "paid twice" in stage.open_alerts()["payment_review"]

    def test_declined(self, stage: Stage, seeded: SeededPayment) -> None:
        """A decline on it changes nothing for a page that is open since."""
        old = stage.open_page(seeded)
        override(stage, seeded)
        stage.clock.advance(1)
        new = stage.open_page(seeded)
        stage.sandbox.pay(old, DECLINED)
        stage.live(60)
        view = stage.get(seeded)
        assert (view.state, view.tran_ref, stage.row(seeded).open) == ("AWAITING_PAYER", new, True)


class TestRefused:
    """What is not an open page, or may be paid already, is not set aside, and the refusal says how it stands."""

    @pytest.mark.parametrize(("card", "state"), [(PAID, "PAID"), (DECLINED, "DECLINED"), (HELD, "ON_HOLD")])
    def test_has_ended(self, stage: Stage, seeded: SeededPayment, card: str, state: str) -> None:
        """PayTabs is asked first: what has come of it meanwhile is applied instead."""
        stage.sandbox.pay(stage.open_page(seeded), card)
        with pytest.raises(InvalidArgument, match=f"this one is {state}"):
            override(stage, seeded)
        assert stage.state(seeded) == state
        assert "PageOverridden" not in stage.facts(seeded)

    def test_silent(self, stage: Stage, seeded: SeededPayment) -> None:
        """Without PayTabs' word nothing is changed."""
        stage.open_page(seeded)
        before = stage.facts(seeded)
        stage.sandbox.fault("/payment/query", "http_500", times=0)
        with pytest.raises(NotYet, match="gateway_http_5xx"):
            override(stage, seeded)
        assert (stage.facts(seeded), stage.row(seeded).open) == (before, True)

    def test_untouched(self, stage: Stage, seeded: SeededPayment) -> None:
        """There is no page to set aside."""
        with pytest.raises(InvalidArgument, match="this one is NEW"):
            override(stage, seeded)
        assert stage.facts(seeded) == []

    def test_in_doubt(self, stage: Stage, seeded: SeededPayment) -> None:
        """A charge whose outcome nobody knows is no page, and one that is made anew needs no word of anybody's."""
        stage.sandbox.fault("/payment/request", "http_500")
        with pytest.raises(NotYet):
            charge(stage, seeded, stored(stage)[0])
        with pytest.raises(InvalidArgument, match=r"this one is SENT\?"):
            override(stage, seeded)

    def test_invoice(self, stage: Stage, seeded: SeededPayment) -> None:
        """An invoice is cancelled, so that PayTabs takes no money for it any more."""
        bill(stage, seeded)
        with pytest.raises(InvalidArgument, match=r"invoices\.cancel"):
            override(stage, seeded)

    def test_nobody(self, stage: Stage, seeded: SeededPayment) -> None:
        """Nobody decides anonymously, or without a word about why."""
        stage.open_page(seeded)
        with pytest.raises(InvalidArgument, match="requested_by"):
            override(stage, seeded, context=Context(correlation_id="c", source="review"))
        with pytest.raises(InvalidArgument, match="note"):
            override(stage, seeded, note=" ")
        assert stage.queries() == []

    def test_twice_at_once(self, stage: Stage, seeded: SeededPayment) -> None:
        """Of several operators at once one does it, and the others are told."""
        stage.open_page(seeded)
        worlds = [stage.world, stage.another_world()]

        def attempt(number: int) -> str:
            try:
                return str(override(stage, seeded, worlds[number % 2]).error)
            except InvalidArgument:
                return "refused"

        with ThreadPoolExecutor(6) as threads:
            results = sorted(threads.map(attempt, range(6)))
        assert results == ["overridden", *["refused"] * 5]
        assert stage.facts(seeded).count("PageOverridden") == 1
