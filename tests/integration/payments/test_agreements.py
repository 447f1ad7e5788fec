from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from payments.errors import InvalidArgument, NotYet, Refusal
from payments.operations import Status
from tests.integration.payments.stage import PAID, Stage
from tests.integration.payments.test_stored_cards import DAY, HOUR, another, charge, made, refused
from tests.support.cms import SeededPayment

MONTHLY: dict[str, Any] = {
    "token_type": "recurring_fixed", "payment_frequency": "MONTHLY", "total_count": 3, "min_days_between_payments": 20,
}  # fmt: skip

FREE: dict[str, Any] = {"token_type": "unscheduled"}


def counters(stage: Stage) -> list[int]:
    """List the counters that PayTabs was told, in order."""
    told = [body.get("token_info", {}).get("counter") for body in stage.sent()]
    return [one for one in told if one is not None]


class TestAgreed:
    """A page that makes an agreement."""

    def test_page(self, stage: Stage, seeded: SeededPayment) -> None:
        """PayTabs is told its terms, and that this is the first payment; the list of cards has them."""
        terms = {**MONTHLY, "min_amount_per_payment": "100.00", "max_amount_per_payment": "200"}
        made(stage, seeded, agreement=terms, tokenise=3)
        sent = stage.sent()[-1]
        assert "tokenise" not in sent
        assert sent["token_info"] == {
            "tokenise": 3, "token_type": "recurring_fixed", "counter": 1, "total_count": 3,
            "payment_frequency": "MONTHLY", "min_amount_per_payment": 100, "max_amount_per_payment": 200,
            "min_days_between_payments": 20,
        }  # fmt: skip
        (card,) = stage.world.cards.list(str(seeded.client))["cards"]
        assert (card["agreement"]["counted"], card["agreement"]["amount"]) == (1, "115.00")

    def test_registered(self, stage: Stage, seeded: SeededPayment) -> None:
        """A registration counts as no payment: the first instalment is number 1."""
        card_id = made(stage, seeded, agreement=FREE, transaction="register")
        assert "counter" not in stage.sent()[-1]["token_info"]
        charge(stage, seeded, card_id)
        assert counters(stage) == [1]

    @pytest.mark.parametrize(("terms", "field"), [
        ({"min_amount_per_payment": "1.001"}, "agreement.min_amount_per_payment"),
        ({"min_amount_per_payment": "9", "max_amount_per_payment": "8"}, "agreement.max_amount_per_payment"),
        ({"start_date": "2026-08-06", "expiry_date": "2026-08-05"}, "agreement.expiry_date"),
    ])  # fmt: skip
    def test_refused(self, stage: Stage, seeded: SeededPayment, terms: dict[str, Any], field: str) -> None:
        """Terms that contradict themselves are refused by name, and nothing is sent."""
        with pytest.raises(InvalidArgument) as error:
            stage.create(seeded, agreement=FREE | terms)
        assert error.value.field == field
        assert stage.sent() == []


class TestInstalments:
    """A payment that is charged upon an agreement."""

    def test_counted(self, stage: Stage, seeded: SeededPayment) -> None:
        """Each has the next number, once per operation; after the last one the agreement is full."""
        card_id = made(stage, seeded, agreement=MONTHLY)
        for number in (2, 3):
            stage.clock.advance(30 * DAY)
            stage.desk("time", seconds=30 * DAY)
            payment = another(stage, seeded)
            for _ in range(2):
                assert charge(stage, payment, card_id, f"op-{number}").state == "PAID"
        last = stage.sent()[-1]
        assert counters(stage) == [1, 2, 3]
        assert (last["tran_class"], last["token_info"]["total_count"]) == ("recurring", 3)
        assert (last["token_info"]["token_type"], "token" in last) == ("recurring_fixed", False)
        stage.clock.advance(30 * DAY)
        with refused(Refusal.AGREEMENT_FULL):
            charge(stage, another(stage, seeded), card_id, "op-4")

    def test_given_back(self, stage: Stage, seeded: SeededPayment) -> None:
        """One that PayTabs refuses gives its number back."""
        card_id = made(stage, seeded, agreement=FREE)
        stage.sandbox.fault("/payment/request", "code", code=2, message="Invalid request", http_status=400)
        payment = another(stage, seeded)
        charge(stage, payment, card_id, "op-1")
        assert stage.row(payment).status is Status.REFUSED
        assert charge(stage, payment, card_id, "op-2").state == "PAID"
        assert counters(stage) == [1, 2, 2]

    def test_under_way(self, stage: Stage, seeded: SeededPayment) -> None:
        """While nobody knows what became of one, no other begins; found, it counts."""
        card_id = made(stage, seeded, agreement=FREE)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        doubted = another(stage, seeded)
        with pytest.raises(NotYet, match="unknown"):
            charge(stage, doubted, card_id, "op-1")
        with refused(Refusal.INSTALMENT_UNDER_WAY):
            charge(stage, another(stage, seeded), card_id, "op-2")
        stage.live(HOUR)
        assert stage.state(doubted) == "PAID"
        charge(stage, another(stage, seeded), card_id, "op-2")
        assert counters(stage) == [1, 2, 3]

    def test_at_once(self, stage: Stage, seeded: SeededPayment) -> None:
        """Of two that are asked for at the same moment one has to wait: no number is given twice."""
        card_id = made(stage, seeded, agreement=FREE)
        payments = [another(stage, seeded) for _ in range(4)]
        worlds = [stage.another_world() for _ in payments]
        ready = Barrier(len(payments))

        def ask(number: int) -> str:
            ready.wait()
            try:
                return charge(stage, payments[number], card_id, f"op-{number}", worlds[number]).state
            except InvalidArgument as error:
                return str(error.code)

        with ThreadPoolExecutor(len(payments)) as pool:
            ends = list(pool.map(ask, range(len(payments))))
        taken = counters(stage)
        assert sorted(taken) == list(range(1, len(taken) + 1))
        assert set(ends) <= {"PAID", "instalment_under_way"}
        assert ends.count("PAID") == len(taken) - 1 >= 1

    def test_with_payer(self, stage: Stage, seeded: SeededPayment) -> None:
        """A charge with its payer at hand is no instalment."""
        card_id = made(stage, seeded, agreement=MONTHLY)
        charge(stage, another(stage, seeded), card_id, payer_present=True)
        assert (stage.sent()[-1]["tran_class"], counters(stage)) == ("ecom", [1])

    @pytest.mark.parametrize(("terms", "changes", "code"), [
        ({"token_type": "recurring_fixed"}, {"amount": "116.00"}, Refusal.AGREEMENT_AMOUNT),
        ({"min_amount_per_payment": "100"}, {"amount": "99.99"}, Refusal.AGREEMENT_AMOUNT),
        ({"max_amount_per_payment": "200"}, {"amount": "200.01"}, Refusal.AGREEMENT_AMOUNT),
        ({}, {"currency": "USD"}, Refusal.AGREEMENT_CURRENCY),
        ({"min_days_between_payments": 1}, {}, Refusal.AGREEMENT_TOO_SOON),
        ({"total_count": 1}, {}, Refusal.AGREEMENT_FULL),
        ({"start_date": "9000-01-01"}, {}, Refusal.AGREEMENT_NOT_BEGUN),
        ({"expiry_date": "2001-01-01"}, {}, Refusal.AGREEMENT_ENDED),
    ])  # fmt: skip
    def test_limits(
        self, stage: Stage, seeded: SeededPayment, terms: dict[str, Any], changes: dict[str, Any], code: Refusal
    ) -> None:
        """What goes beyond the agreement is refused by name before anything is sent."""
        card_id = made(stage, seeded, agreement=FREE | terms)
        with refused(code):
            charge(stage, another(stage, seeded, **changes), card_id)
        assert len(stage.sent()) == 1

    def test_declined(self, stage: Stage, seeded: SeededPayment) -> None:
        """One that is answered with a refusal gives its number back too, and its payment may be paid on a page."""
        card_id = made(stage, seeded, agreement=FREE)
        stage.sandbox.switch(amount_cap=100)
        payment = another(stage, seeded)
        assert charge(stage, payment, card_id).state == "ERROR"
        stage.sandbox.switch(amount_cap=None)
        charge(stage, another(stage, seeded), card_id, "op-2")
        assert counters(stage) == [1, 2, 2]
        stage.sandbox.pay(stage.open_page(payment), PAID)
        assert stage.verify(payment).state == "PAID"
