import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from celery import Celery
from flask.testing import FlaskClient

from config.logs import clear_task, configure_logs
from observability.dead_letters import Kind, Letter, letter_id
from payments.accepting import InvoiceTerms
from payments.ordering import FollowUpTerms
from tasks.dead_letters import carry, put_away
from tasks.retaining import make_retention
from tasks.webhooks import apply
from tests.integration.payments.stage import DECLINED, PAID, Stage
from tests.integration.webhooks.test_returns import RETURN_1, form
from tests.integration.webhooks.test_returns import sign as sign_form
from tests.support.cms import SeededPayment, seed_payment
from tests.support.notices import notice, sign
from tests.support.system import serving
from tests.support.traces import PERSON, collections_with_traces, plant, traces_in, traces_in_redis
from workers import wsgi
from workers.demo_outside import Outside, outside

Document = dict[str, Any]

#: Where the receiver of these tests is.
NOTICES, RETURNS = "/webhooks/paytabs", "/payments/return"

FORM = "application/x-www-form-urlencoded"

#: Seconds until everything has come of age.
AGED = 90 * 86_400


@pytest.fixture
def told() -> Iterator[Outside]:
    """A mail server, and a CMS that takes webhooks."""
    with outside() as both:
        yield both


@pytest.fixture
def stage(stage: Stage, told: Outside) -> Stage:
    """A stage that tells both."""
    stage.settings = stage.settings.model_copy(update=told.settings())
    stage.world = stage.another_world()
    return stage


@pytest.fixture
def seeded(seeded: SeededPayment, stage: Stage) -> SeededPayment:
    """A payment of the planted person's."""
    plant(stage.database, seeded)
    return seeded


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that is logged at every level, but by the mail server: it stands outside and runs here by chance."""
    monkeypatch.setattr(logging.getLogger("mail.log"), "propagate", False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(log_format="json", level="debug", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    clear_task()


@pytest.fixture
def app(stage: Stage) -> Iterator[Celery]:
    """A Celery application on the real broker, which nobody serves."""
    with serving(stage.settings) as made:
        yield made


@pytest.fixture
def receiver(stage: Stage, app: Celery) -> Iterator[FlaskClient]:
    """The receiver as gunicorn builds it."""
    built = wsgi.build(stage.settings, app)
    yield built.test_client()
    built.extensions["mongo_client"].close()
    built.extensions["failure_budget"].close()


class Life:
    """What happens to the person's payments, from the page to what nobody could make sense of."""

    def __init__(self, stage: Stage, receiver: FlaskClient, told: Outside) -> None:
        self.stage, self.receiver, self.told = stage, receiver, told

    def another(self) -> SeededPayment:
        """Give the person one more payment."""
        seeded = seed_payment(self.stage.database)
        plant(self.stage.database, seeded)
        return seeded

    def deliver(self, body: bytes) -> int:
        """Deliver a signed notice, and work off whatever waits."""
        status = self.receiver.post(NOTICES, data=body, headers=sign(body)).status_code
        self.stage.clock.advance(60)  # the receiver lives by the real one
        world = self.stage.world
        for row in list(self.stage.database["webhook_inbox"].find({"status": "received"})):
            delivery = world.inbox.claim(row["_id"], "worker")
            assert delivery is not None
            apply(world, delivery, self.stage.context("webhooks.process"))
        return status

    def notice_of(self, tran_ref: str, **changes: Any) -> bytes:
        """Give the sandbox's notice of a transaction."""
        return str(self.stage.sandbox.notify(tran_ref, url="http://127.0.0.1:9/", **changes)["body"]).encode()

    def react(self) -> None:
        """Do the reactions that are owed."""
        for name, arguments in self.stage.messages:
            if name == "events.handle":
                self.stage.world.reactor.handle(**arguments)
        self.stage.messages.clear()

    def paid(self, seeded: SeededPayment) -> None:
        """Have it paid by notice and return, refunded in part with a word why, and told to everybody."""
        tran_ref = self.stage.open_page(seeded)
        self.stage.sandbox.pay(tran_ref, PAID)
        body = self.notice_of(tran_ref)
        assert {"Zwilhelmina", "quixotrix", "598761234", "Sycamorette", "11## ####"} <= set(traces_in(body.decode()))
        assert [self.deliver(body), self.deliver(body)] == [200, 200]
        self.came_back(tran_ref)
        self.react()
        assert [mail["To"] for mail in self.told.mails.mails] == [f"{PERSON['fullName']} <{PERSON['email']}>"]
        terms = FollowUpTerms("refund", "15.00", None, "Zwilhelmina has called")
        self.stage.world.money.follow_up(seeded.payment_id, terms, "refund-1", self.stage.context())
        self.react()

    def came_back(self, tran_ref: str) -> None:
        """Have the payer's browser come back, with the address of their mailbox in the form, and once tampered with."""
        fields = {**RETURN_1, "tranRef": tran_ref, "customerEmail": PERSON["email"]}
        signed, forged = form(fields, sign_form(fields)), form(fields, "0" * 64)
        assert self.receiver.post(RETURNS, data=signed, content_type=FORM).status_code == 303
        assert [self.receiver.get(f"{RETURNS}?{one}").status_code for one in (signed, forged)] == [303, 403]

    def went_wrong(self, seeded: SeededPayment) -> None:
        """Have it declined, doubted, settled, and its mail refused in words that name the person."""
        self.stage.sandbox.pay(self.stage.open_page(seeded), DECLINED)
        self.stage.verify(seeded)
        tran_ref = self.stage.open_page(seeded)
        self.stage.sandbox.pay(tran_ref, PAID)
        assert self.deliver(self.notice_of(tran_ref, cart_amount="999.00", tran_total="999.00")) == 200
        for case in self.stage.world.review.cases(seeded.payment_id):
            self.stage.world.review.settle(seeded.payment_id, case.reason, "looked at", self.stage.context())
        self.stage.verify(seeded)
        self.told.mails.answers = [f"550 <{PERSON['email']}> {PERSON['fullName']} is unknown here"]
        self.told.cms.answers = [410]
        self.react()
        letters = list(self.stage.database["dead_letters"].find({"task": "events.handle"}))
        assert len(letters) == 2

    def billed(self, seeded: SeededPayment) -> None:
        """Have it billed, line by line, and the bill cancelled."""
        line = {"description": "For Zwilhelmina Quixotrix", "quantity": "1", "unit_cost": "115.00", "total": "115.00"}
        terms = InvoiceTerms({"line_items": [line]})
        self.stage.world.invoices.create(seeded.payment_id, terms, "bill-1", self.stage.context())
        self.stage.world.invoices.cancel(seeded.payment_id, self.stage.context())

    def not_understood(self) -> None:
        """Have deliveries that are no notices or nobody's, and messages that nobody could do anything with."""
        people = {"customer_details": {"name": PERSON["fullName"], "email": PERSON["email"]}}
        assert self.deliver(notice(tran_ref=None, **people)) == 400
        assert self.deliver(f"<{PERSON['fullName']}>".encode()) == 400
        assert self.deliver(notice(tran_ref="TST9", cart_id="C-9", **people)) == 200
        unread = Letter(
            letter_id=letter_id("raw"), kind=Kind.MALFORMED, at=self.stage.clock.now, error="Malformed",
            text=f"about {PERSON['phone']}", raw=f"<{PERSON['fullName']}",
        )  # fmt: skip
        unsent = replace(
            unread, letter_id=letter_id("sms"), kind=Kind.GIVEN_UP, task="invoices.send_sms", raw=None, intact=True,
            arguments=json.dumps({"args": [], "kwargs": {"phone": PERSON["phone"]}}),
        )  # fmt: skip
        for letter in (unread, unsent):
            put_away(letter, str(self.stage.settings.redis_url))
        assert carry(self.stage.world) == 2


@pytest.fixture
def life(stage: Stage, receiver: FlaskClient, told: Outside) -> Life:
    """A stage on which all of this can happen."""
    return Life(stage, receiver, told)


class TestPersonalData:
    """People are known to the CMS and to PayTabs; here they leave no trace that stays."""

    def test_forgotten(self, life: Life, stage: Stage, seeded: SeededPayment, logged: io.StringIO) -> None:
        """Of all that has happened, no collection, log or event has a trace of the person once it has come of age."""
        life.paid(seeded)
        wrong, billed = life.another(), life.another()
        life.went_wrong(wrong)
        life.billed(billed)
        life.not_understood()
        payments = (seeded, wrong, billed)
        kept_for_a_while = {"webhook_inbox", "payment_operations", "dead_letters"}
        assert collections_with_traces(stage.database) == kept_for_a_while
        told = {one.payment_id: stage.facts(one) for one in payments}
        stage.live(2 * 86_400)
        stage.clock.advance(AGED)
        keeper = make_retention(stage.world)
        run = keeper.run()
        assert run.finished
        assert run.held == 0
        assert all(run.redacted[name] for name in kept_for_a_while)
        assert [row["due"] for row in keeper.status()] == [0, 0, 0]
        assert collections_with_traces(stage.database) == set()
        assert traces_in_redis(str(stage.settings.redis_url)) == []
        assert "notice_recorded" in logged.getvalue()
        assert "payer_returned" in logged.getvalue()
        assert traces_in(logged.getvalue()) == []
        # `facts` checks each chain of hashes.
        assert {one.payment_id: stage.facts(one) for one in payments} == told
        assert (stage.get(seeded).state, stage.get(seeded).refunded) == ("PART_REFUNDED", "15.00")

    def test_events(self, life: Life, stage: Stage, seeded: SeededPayment) -> None:
        """Events, their deliveries and alerts have no trace of the person at any time: nothing there is redacted."""
        life.paid(seeded)
        life.went_wrong(life.another())
        assert stage.database["payment_events"].count_documents({}) > 10
        clean = {"payment_events", "event_deliveries", "alerts", "contract_marks"}
        assert clean <= set(stage.database.list_collection_names())
        assert collections_with_traces(stage.database) & clean == set()
