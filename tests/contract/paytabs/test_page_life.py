"""Pages that die, as the client sees them under each setting of the sandbox's switches."""

import pytest

from paytabs.responses import Outcome
from tests.contract.paytabs.shop import Shop, transaction_of


class TestDeadPage:
    """What a query says of a page whose time is over."""

    @pytest.mark.parametrize("at_once", [False, True])
    def test_expired(self, shop: Shop, at_once: bool) -> None:
        """The X is a refusal with its code; a payer in the middle of it keeps it away, unless the switch says not."""
        shop.sandbox.switch(query_dead_page="expired", query_dead_page_at_once=at_once)
        page = shop.page()
        shop.sandbox.visit(page.tran_ref)
        shop.sandbox.pass_time(minutes=21)
        answer = shop.client.query_tran(page.tran_ref)
        assert answer.outcome is (Outcome.REFUSED if at_once else Outcome.PENDING)
        assert transaction_of(answer).response_code == ("355" if at_once else "600")
        assert shop.client.query_cart(str(page.cart_id)).detail == ("found" if at_once else "empty")

    def test_pending(self, shop: Shop) -> None:
        """Still pending is pending."""
        shop.sandbox.switch(query_dead_page="pending")
        page = shop.page()
        shop.sandbox.pass_time(minutes=21)
        assert shop.client.query_tran(page.tran_ref).outcome is Outcome.PENDING

    def test_code_2(self, shop: Shop) -> None:
        """Code 2 is "not found"."""
        shop.sandbox.switch(query_dead_page="code_2", not_found_code=2)
        page = shop.page()
        shop.sandbox.pass_time(minutes=21)
        assert shop.client.query_tran(page.tran_ref).detail == "not_found"

    @pytest.mark.parametrize(("rule", "outcome"), [("opened", Outcome.SUCCEEDED), ("none", Outcome.REFUSED)])
    def test_middle(self, shop: Shop, rule: str, outcome: Outcome) -> None:
        """Whoever may finish for a while is paid late; who may not leaves an X."""
        shop.sandbox.switch(page_finish=rule, page_finish_seconds=3600)
        page = shop.page()
        shop.sandbox.visit(page.tran_ref)
        shop.sandbox.pass_time(minutes=70)
        if rule == "opened":
            shop.sandbox.pay(page.tran_ref, "authorised")
        assert shop.client.query_tran(page.tran_ref).outcome is outcome

    @pytest.mark.parametrize(("seconds", "outcome"), [(10_800, Outcome.PENDING), (0, Outcome.REFUSED)])
    def test_method(self, shop: Shop, seconds: int, outcome: Outcome) -> None:
        """A payer away at another method keeps a page alive as long as the switch says."""
        shop.sandbox.switch(method_finish_seconds=seconds)
        page = shop.page()
        shop.sandbox.choose(page.tran_ref, "stcpay", then="leave")
        shop.sandbox.pass_time(minutes=21)
        assert shop.client.query_tran(page.tran_ref).outcome is outcome

    @pytest.mark.parametrize("told", [False, True])
    def test_told(self, shop: Shop, told: bool) -> None:
        """The death of a page is told only where the switch says so."""
        shop.sandbox.switch(dead_page_notices=told)
        page = shop.page(callback="http://127.0.0.1:1/nobody")
        shop.sandbox.pass_time(minutes=21)
        assert transaction_of(shop.client.query_tran(page.tran_ref)).response_status == "X"
        assert shop.sandbox.fates() == ({"sent": 1} if told else {})
