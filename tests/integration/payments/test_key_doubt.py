"""Code 1: a request in a currency that the profile lacks stops nobody, a wrong key stops everybody, with one alert."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from payments.accepting import InvoiceTerms
from payments.booking import KEY_IN_DOUBT, REFUSED_ONCE
from payments.errors import GatewaySilent, NotYet
from payments.operations import Status
from paytabs.breaker_rules import BreakerRules
from tasks.gateway import ALERT as NOT_CALLED
from tasks.gateway_watch import ALERT, CORRECTED_AFTER, PAGES_IN_A_ROW, WITHIN
from tasks.wiring import World
from tests.integration.payments.stage import Stage
from tests.integration.payments.test_invoices import LINES
from tests.support.cms import SeededPayment, seed_payment
from tests.support.waiting import eventually

#: The agreed numbers.
AGREED = BreakerRules()

#: Open for so short a time that a test can wait for its end.
BRIEF = BreakerRules(open_seconds=2, jitter_seconds=0)

#: A well-formed key that the sandbox does not know.
WRONG_KEY = SecretStr("SWRONGKEY1-AAAA2222BB-CCCC3333DD")

Refuse = dict[str, Any]


def refuse(stage: Stage, *, times: int = 0, **match: str) -> None:
    """Have requests refused with code 1, those that match."""
    stage.sandbox.fault("/payment/request", "auth_failed", times=times, match=match)


def outcome(stage: Stage, world: World, seeded: SeededPayment) -> str:
    """Ask for a page as one of many workers does, and return what the caller is told."""
    try:
        return str(stage.create(seeded, world).state)
    except NotYet as waiting:
        return waiting.reason.partition(":")[0]


def alert_rows(stage: Stage) -> list[dict[str, Any]]:
    """List the configuration's alerts."""
    return list(stage.database["alerts"].find({"name": ALERT}))


class TestBadRequest:
    """The question is answered: it was the request."""

    def test_page(self, stage: Stage, seeded: SeededPayment) -> None:
        """The page ends with PayTabs' words; nobody is alerted, and the breaker stays closed."""
        world = stage.world = stage.another_world(breaker=AGREED)
        refuse(stage, times=2)
        with pytest.raises(NotYet, match=REFUSED_ONCE):
            stage.create(seeded, world)
        stage.live(60)
        view = stage.get(seeded)
        assert (view.state, view.redirect_url) == ("ERROR", None)
        assert "code 1: Authentication failed" in str(view.error)
        assert len(stage.queries()) == 2
        assert stage.facts(seeded)[-3:] == ["AttemptNotSent", "AttemptRefused", "PaymentErrored"]
        assert world.gateway.gate.breaker.state() == "closed"
        assert stage.alerts() == {}
        assert stage.create(seeded, world).redirect_url

    def test_known_transaction(self, stage: Stage, seeded: SeededPayment) -> None:
        """Where there is a transaction it is asked about, otherwise one that there is not."""
        refuse(stage, times=1)
        with pytest.raises(NotYet):
            stage.create(seeded)
        assert stage.queries()[-1]["cart_id"] == "probe"
        tran_ref = stage.open_page(seed_payment(stage.database))
        other = seed_payment(stage.database)
        refuse(stage, times=1)
        with pytest.raises(NotYet):
            stage.create(other)
        assert stage.queries()[-1]["tran_ref"] == tran_ref

    @pytest.mark.parametrize("action", ["refund", "capture", "void"])
    def test_money(self, stage: Stage, seeded: SeededPayment, action: Any) -> None:
        """So does a refund, a capture or a void: refused, the payment as it was, the next one free to begin."""
        stage.paid(seeded, transaction="sale" if action == "refund" else "auth")
        before = stage.state(seeded)
        refuse(stage, times=2)
        with pytest.raises(NotYet, match=REFUSED_ONCE):
            stage.follow_up(seeded, action, operation_id="first")
        stage.live(60)
        row = stage.row(seeded)
        assert (row.operation_id, row.status, row.open) == ("first", "refused", False)
        assert "code 1" in str(row.error)
        assert stage.state(seeded) == before
        assert stage.follow_up(seeded, action).status == "succeeded"

    @pytest.mark.parametrize("action", ["refund", "capture", "void"])
    def test_mended_in_between(self, stage: Stage, seeded: SeededPayment, action: Any) -> None:
        """The first to meet a refused key, which is mended before the question, waits like all others and is done."""
        stage.paid(seeded, transaction="sale" if action == "refund" else "auth")
        refuse(stage, times=1)
        with pytest.raises(NotYet, match=REFUSED_ONCE):
            stage.follow_up(seeded, action)
        row = stage.row(seeded)
        assert (row.status, row.open, row.attempts) == (Status.NEW, True, 0)
        stage.live(60)
        assert stage.row(seeded).status == "succeeded"

    def test_refused_between(self, stage: Stage, seeded: SeededPayment) -> None:
        """One refusal before a key's trouble and one in it are not two in a row."""
        stage.paid(seeded)
        refuse(stage)
        with pytest.raises(NotYet, match=REFUSED_ONCE):
            stage.follow_up(seeded, "refund")
        stage.sandbox.fault("/payment/query", "auth_failed", times=0)
        stage.live(26)
        assert (stage.row(seeded).status, stage.row(seeded).error) == (Status.NEW, KEY_IN_DOUBT)
        stage.sandbox.clear_faults()
        refuse(stage, times=1)
        stage.live(3600)
        assert stage.row(seeded).status == "succeeded"

    def test_an_act(self, stage: Stage, seeded: SeededPayment) -> None:
        """A text about an invoice that a refused key stops was not refused: it is sent when it is asked again."""
        stage.world.invoices.create(seeded.payment_id, InvoiceTerms(LINES), "bill", stage.context())
        stage.sandbox.fault("/payment/*", "auth_failed", times=0)
        act = (seeded.payment_id, "+966500000123", "text-1", stage.context())
        with pytest.raises((GatewaySilent, NotYet)):
            stage.world.invoices.send_sms(*act)
        stage.sandbox.clear_faults()
        assert stage.world.invoices.send_sms(*act)["state"] == "sent"

    def test_after_trouble(self, stage: Stage, seeded: SeededPayment) -> None:
        """While the key is in trouble, or was since the send, nothing is concluded: it is sent again, and made."""
        stage.open_page(seed_payment(stage.database))
        stage.sandbox.fault("/payment/query", "auth_failed")
        stage.world.gateway.query_cart("probe")
        assert ALERT in stage.open_alerts()
        refuse(stage, times=1)
        with pytest.raises(NotYet, match=KEY_IN_DOUBT):
            stage.create(seeded)
        assert ALERT not in stage.open_alerts()
        stage.live(60)
        assert stage.state(seeded) == "AWAITING_PAYER"


class TestUndecided:
    """The question is not answered: the send waits, and nothing is stopped for others."""

    @pytest.mark.parametrize("kind", ["http_500", "html_200", "http_429"])
    def test_waits(self, stage: Stage, seeded: SeededPayment, kind: str) -> None:
        """No attempt is spent; once an answer comes, the next send tells."""
        refuse(stage)
        stage.sandbox.fault("/payment/query", kind, times=0)
        with pytest.raises(NotYet, match=KEY_IN_DOUBT):
            stage.create(seeded)
        row = stage.row(seeded)
        assert (row.status, row.open, row.attempts, row.error) == (Status.NEW, True, 0, KEY_IN_DOUBT)
        assert row.due_at is not None
        assert row.due_at >= stage.clock.now + timedelta(seconds=5)
        assert stage.state(seeded) == "NEW"
        assert ALERT not in stage.alerts()
        stage.sandbox.clear_faults()
        stage.live(60)
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_a_killed_worker(self, stage: Stage, seeded: SeededPayment) -> None:
        """Whoever dies before the question leaves a row that waits, not one whose outcome nobody knows."""
        refuse(stage, times=1)
        world = stage.another_world()
        world.sender._key_doubt._ask = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            stage.create(seeded, world)
        assert (stage.row(seeded).status, stage.row(seeded).error) == (Status.NEW, KEY_IN_DOUBT)
        stage.live(60)
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_given_up(self, stage: Stage, seeded: SeededPayment) -> None:
        """After a day in which nobody could tell, operators get it."""
        refuse(stage)
        stage.sandbox.fault("/payment/query", "html_200", times=0)
        with pytest.raises(NotYet):
            stage.create(seeded)
        stage.clock.advance(86_401)
        stage.live(0)
        assert (stage.row(seeded).status, stage.row(seeded).open) == (Status.FAILED, False)
        assert "operation_given_up" in stage.alerts()


class TestManyAtOnce:
    """Several workers and payments at a time."""

    def test_one_currency(self, stage: Stage) -> None:
        """One payment's currency is refused; it ends, and of the others each has its page, none having waited."""
        worlds = [stage.another_world(breaker=AGREED) for _ in range(3)]
        refuse(stage, cart_currency="USD")
        bad = [seed_payment(stage.database, currency="USD") for _ in range(2)]
        good = [seed_payment(stage.database) for _ in range(10)]
        mixed = [*good[:5], *bad, *good[5:]]
        with ThreadPoolExecutor(6) as pool:
            told = list(pool.map(lambda it: outcome(stage, worlds[it[0] % 3], it[1]), enumerate(mixed)))
        assert told == ["AWAITING_PAYER"] * 5 + ["new"] * 2 + ["AWAITING_PAYER"] * 5
        stage.world = worlds[0]
        stage.live(60)
        assert [stage.state(one) for one in mixed] == ["AWAITING_PAYER"] * 5 + ["ERROR"] * 2 + ["AWAITING_PAYER"] * 5
        assert stage.alerts() == {}
        assert worlds[0].gateway.gate.breaker.state() == "closed"

    def test_wrong_key(self, stage: Stage) -> None:
        """A key that PayTabs takes no more stops all with one alert; once it is mended all go on and it closes."""
        worlds = [stage.another_world(breaker=BRIEF) for _ in range(3)]
        stage.world = worlds[0]
        stage.sandbox.fault("/payment/*", "auth_failed", times=0)
        payments = [seed_payment(stage.database) for _ in range(10)]
        with ThreadPoolExecutor(6) as pool:
            told = list(pool.map(lambda it: outcome(stage, worlds[it[0] % 3], it[1]), enumerate(payments)))
        assert set(told) <= {"new", "parked"}
        assert all(stage.row(one).attempts == 0 for one in payments)
        assert {stage.state(one) for one in payments} == {"NEW"}
        assert [row["closed_at"] for row in alert_rows(stage)] == [None]
        assert NOT_CALLED in stage.alerts()
        asked = len(stage.sent())
        with pytest.raises(NotYet, match="parked"):
            stage.create(seed_payment(stage.database))
        assert len(stage.sent()) == asked
        stage.sandbox.clear_faults()
        eventually(lambda: worlds[0].gateway.gate.breaker.state() == "half-open", what="the end of the open time")
        stage.live(120)
        assert {stage.state(one) for one in payments} == {"AWAITING_PAYER"}
        assert [row["closed_at"] is not None for row in alert_rows(stage)] == [True]


class TestKeys:
    """Which key an alert is about."""

    def test_another_key(self, stage: Stage, seeded: SeededPayment) -> None:
        """Processes with the right key go on; their work closes the alert once the wrong one is in use no more."""
        wrong = stage.another_world(breaker=AGREED, paytabs_serverk=WRONG_KEY)
        with pytest.raises(NotYet, match=KEY_IN_DOUBT):
            stage.create(seeded, wrong)
        assert wrong.gateway.gate.breaker.state() == "open"
        with pytest.raises(NotYet, match="parked"):
            stage.create(seed_payment(stage.database), wrong)
        assert len(stage.sandbox.requests("/payment/request")) == 1
        assert stage.create(seed_payment(stage.database)).redirect_url
        assert ALERT in stage.open_alerts()
        stage.clock.advance(CORRECTED_AFTER.total_seconds() + 1)
        stage.live(1)
        assert stage.state(seeded) == "AWAITING_PAYER"
        assert ALERT not in stage.open_alerts()

    def test_alert_of_before(self, stage: Stage, seeded: SeededPayment) -> None:
        """One that the version before has left open is closed as well."""
        stage.world.alerts.raise_alert(ALERT, "1", "authentication failed")
        stage.clock.advance(CORRECTED_AFTER.total_seconds() + 1)
        stage.open_page(seeded)
        assert ALERT not in stage.open_alerts()

    def test_acts(self, stage: Stage) -> None:
        """An act so refused asks too: a request at fault stops nobody, a wrong key does."""
        world = stage.another_world(breaker=AGREED)
        stage.sandbox.fault("/payment/token/delete", "auth_failed")
        world.gateway.delete_token("T" * 32)
        assert world.gateway.gate.breaker.state() == "closed"
        wrong = stage.another_world(breaker=AGREED, paytabs_serverk=WRONG_KEY)
        wrong.gateway.delete_token("T" * 32)
        assert wrong.gateway.gate.breaker.state() == "open"


class TestKindOfKey:
    """A mobile SDK's key: code 2 for everything, with a sentence about the body's form."""

    def test_sentence(self, stage: Stage, seeded: SeededPayment) -> None:
        """The sentence raises the alert and does nothing else; the first page that PayTabs takes closes it."""
        stage.sandbox.fault("/payment/request", "mobile_key")
        assert stage.create(seeded).state == "ERROR"
        assert "mobile" in stage.open_alerts()[ALERT]
        assert stage.world.gateway.gate.breaker.state() == "closed"
        assert stage.create(seeded).redirect_url
        assert ALERT not in stage.open_alerts()

    def test_every_page(self, stage: Stage) -> None:
        """So do so many pages in a row, over all processes, whatever their sentence."""
        worlds = [stage.another_world(), stage.another_world()]
        stage.sandbox.fault("/payment/request", "code", code=2, times=0)
        for number in range(PAGES_IN_A_ROW):
            assert ALERT not in stage.alerts()
            stage.create(seed_payment(stage.database), worlds[number % 2])
        assert "mobile" in stage.open_alerts()[ALERT]
        stage.sandbox.clear_faults()
        stage.open_page(seed_payment(stage.database))
        assert ALERT not in stage.open_alerts()

    @pytest.mark.parametrize("between", ["taken", "another code", "a long while"])
    def test_not_in_a_row(self, stage: Stage, between: str) -> None:
        """A page that is taken, or refused for something else, or a quiet while begins the count anew."""
        for number in range(2 * (PAGES_IN_A_ROW - 1)):
            if number == PAGES_IN_A_ROW - 1:
                if between == "a long while":
                    stage.clock.advance(WITHIN.total_seconds() + 1)
                else:
                    if between == "another code":
                        stage.sandbox.fault("/payment/request", "code", code=206)
                    stage.create(seed_payment(stage.database))
            stage.sandbox.fault("/payment/request", "code", code=2)
            stage.create(seed_payment(stage.database))
        assert ALERT not in stage.alerts()
