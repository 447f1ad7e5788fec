from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from payments.handlers import EVENT_HANDLERS, UnknownHandler, check_table
from payments.outbox import COLLECTION
from payments.reactions import Reaction
from payments.showing import COUNTING
from tests.integration.payments.stage import DECLINED, PAID, Stage
from tests.integration.payments.test_stored_cards import token_of
from tests.support.cms import SeededPayment, mongoose, seed_payment
from workers.demo_outside import CmsInbox, Mailbox, Outside, outside

DAY = 86_400


@pytest.fixture
def told() -> Iterator[Outside]:
    """A mail server, and a CMS that takes webhooks."""
    with outside() as both:
        yield both


@pytest.fixture
def mails(told: Outside) -> Mailbox:
    """The mail server."""
    return told.mails


@pytest.fixture
def cms(told: Outside) -> CmsInbox:
    """The CMS."""
    return told.cms


@pytest.fixture
def stage(stage: Stage, told: Outside) -> Stage:
    """A stage that tells both."""
    stage.settings = stage.settings.model_copy(update=told.settings())
    stage.world = stage.another_world()
    return stage


class TestStoredCard:
    """What the CMS is told of a card."""

    def test_paid(self, stage: Stage, seeded: SeededPayment, cms: CmsInbox) -> None:
        """The webhook of a payment that keeps its card has its id and masked details, never its token."""
        stage.sandbox.pay(stage.open_page(seeded, tokenise=2), PAID)
        stage.verify(seeded)
        react(stage)
        (event,) = cms.events
        assert event["data"]["card"] == stage.cms(seeded)["gateway"]["card"]
        assert token_of(stage) not in str(cms.events)

    def test_registered(self, stage: Stage, seeded: SeededPayment, cms: CmsInbox) -> None:
        """A registration is told as such, with its card; the payment's status is as it was."""
        stage.sandbox.pay(stage.open_page(seeded, transaction="register"), PAID)
        stage.verify(seeded)
        react(stage)
        (event,) = cms.events
        assert (event["type"], event["data"]["state"]) == ("payment.registered", "REGISTERED")
        assert (event["data"]["status"], event["data"]["card"]["last4"]) == ("pending", "1111")

    def test_without_card(self, stage: Stage, seeded: SeededPayment, cms: CmsInbox) -> None:
        """A payment without one says nothing of cards."""
        stage.paid(seeded)
        react(stage)
        assert "card" not in cms.events[0]["data"]


def project(stage: Stage, seeded: SeededPayment, status: str = "pending") -> ObjectId:
    """Give a contract a project."""
    document = mongoose(content="Villa 12", status=status, contract=seeded.contract)
    stage.database["projects"].insert_one(document)
    return ObjectId(document["_id"])


def react(stage: Stage) -> list[dict[str, Any]]:
    """Do what workers do with the messages that were sent."""
    sent = [arguments for name, arguments in stage.messages if name == "events.handle"]
    stage.messages = [one for one in stage.messages if one[0] != "events.handle"]
    return [stage.world.reactor.handle(**one) for one in sent]


def sweep(stage: Stage) -> int:
    """Do what the sweep does, and what follows from it."""
    due = list(stage.world.outbox.claim_due(stage.clock.now, 100))
    for event_id, handler, _ in due:
        stage.world.reactor.handle(event_id, handler)
    return len(due)


def contract(stage: Stage, seeded: SeededPayment) -> Any:
    """Read a contract's status."""
    found = stage.database["contracts"].find_one({"_id": seeded.contract})
    assert found is not None
    return found["status"]


def deliveries(stage: Stage, handler: str, event_type: str = "PaymentCompleted") -> list[dict[str, Any]]:
    """List rows of the outbox."""
    return list(stage.database[COLLECTION].find({"handler": handler, "type": event_type}))


class TestCompleted:
    """When a payment completes, everybody who has to know does."""

    def test_everything(self, stage: Stage, seeded: SeededPayment, mails: Mailbox, cms: CmsInbox) -> None:
        """The contract is paid, its project active, the client has a mail, the CMS a webhook, reads are invalidated."""
        house = project(stage, seeded)
        stage.paid(seeded)
        assert {answer["result"] for answer in react(stage)} == {"done"}
        assert contract(stage, seeded) == "paid"
        started = stage.database["projects"].find_one({"_id": house})
        assert started is not None
        assert started["status"] == "active"
        assert [mail["Subject"] for mail in mails.mails] == ["Your payment of SAR 115.00"]
        assert cms.events[-1]["type"] == "payment.completed"
        assert cms.events[-1]["data"]["status"] == "paid"
        assert f"contract:{seeded.contract_id}" in stage.tags()
        assert stage.messages == []

    def test_once(self, stage: Stage, seeded: SeededPayment, mails: Mailbox, cms: CmsInbox) -> None:
        """The same message again, and a sweep later, do nothing."""
        stage.paid(seeded)
        sent = [arguments for name, arguments in stage.messages if name == "events.handle"]
        for one in sent * 2:
            stage.world.reactor.handle(**one)
        stage.clock.advance(DAY)
        assert sweep(stage) == 0
        assert len(mails.mails) == 1
        assert len(cms.events) == len({event["data"]["version"] for event in cms.events})

    def test_dispatcher_lost(self, stage: Stage, seeded: SeededPayment, mails: Mailbox) -> None:
        """What a sweep has taken up and did not send, since it died over it, is taken up again by a later one."""
        stage.broker_is_up = False
        stage.paid(seeded)
        stage.clock.advance(11)
        taken = list(stage.world.outbox.claim_due(stage.clock.now, 100))
        assert len(taken) == len(COUNTING) + len(EVENT_HANDLERS["PaymentCompleted"])
        stage.clock.advance(19)
        assert sweep(stage) == 0
        stage.clock.advance(1)
        assert sweep(stage) == len(taken)
        assert len(mails.mails) == 1

    def test_nobody_there(self, stage: Stage, seeded: SeededPayment, told: Outside, silent_port: int) -> None:
        """A mail server and a CMS that refuse the connection are tried again until they are there."""
        there = stage.world
        nobody = f"http://127.0.0.1:{silent_port}/"
        stage.world = stage.another_world(smtp_port=silent_port, cms_webhook_url=nobody)
        stage.paid(seeded)
        react(stage)
        for handler, error in (("email_client", "ConnectionRefusedError"), ("notify_cms", "ConnectionError")):
            (row,) = deliveries(stage, handler)
            assert (row["status"], row["attempts"]) == ("waiting", 1)
            assert error in row["error"]
        assert contract(stage, seeded) == "paid"
        assert stage.state(seeded) == "PAID"
        stage.world = there
        stage.clock.advance(200)
        sweep(stage)
        assert (len(told.mails.mails), len(told.cms.events)) == (1, 1)
        assert {row["status"] for row in stage.database[COLLECTION].find()} == {"done"}

    def test_lost_messages(self, stage: Stage, seeded: SeededPayment, mails: Mailbox) -> None:
        """With the broker away nothing is sent and nothing is lost: the sweep finds it."""
        stage.broker_is_up = False
        stage.paid(seeded)
        stage.broker_is_up = True
        assert stage.messages == []
        assert sweep(stage) == 0
        stage.clock.advance(11)
        assert sweep(stage) >= len(EVENT_HANDLERS["PaymentCompleted"])
        assert contract(stage, seeded) == "paid"
        assert len(mails.mails) == 1

    def test_no_settings(self, stage: Stage, seeded: SeededPayment) -> None:
        """Without a mail server and a webhook's address there is neither, and the rows say so."""
        stage.settings = stage.settings.model_copy(update={"smtp_host": None, "cms_webhook_url": None})
        stage.world = stage.another_world()
        stage.paid(seeded)
        react(stage)
        assert [row["note"] for row in deliveries(stage, "email_client")] == ["no mail server is set"]
        assert [row["note"] for row in deliveries(stage, "notify_cms")] == ["no webhook of the CMS is set"]


class TestContract:
    """A contract is what its payments make of it."""

    def second(self, stage: Stage, seeded: SeededPayment) -> SeededPayment:
        """Give the same contract one more payment, which names it and is not named by it."""
        other = seed_payment(stage.database, with_contract=False)
        stage.database["payments"].update_one({"_id": other.payment}, {"$set": {"contractId": seeded.contract}})
        return SeededPayment(other.payment, seeded.contract, other.client, other.employee)

    def test_parts(self, stage: Stage, seeded: SeededPayment) -> None:
        """Some paid: partially; all paid: paid; a declined one does not count."""
        other, third = self.second(stage, seeded), self.second(stage, seeded)
        stage.paid(seeded)
        react(stage)
        assert contract(stage, seeded) == "partially_paid"
        stage.sandbox.pay(stage.open_page(third), DECLINED)
        stage.verify(third)
        react(stage)
        assert contract(stage, seeded) == "partially_paid"
        stage.paid(other)
        react(stage)
        assert contract(stage, seeded) == "paid"

    def test_refund(self, stage: Stage, seeded: SeededPayment) -> None:
        """When all of it went back, the contract has the status it had before anybody paid."""
        stage.paid(seeded)
        react(stage)
        stage.follow_up(seeded, "refund")
        react(stage)
        assert contract(stage, seeded) == "active"
        assert deliveries(stage, "recount_contract", "PaymentRefunded")[0]["status"] == "done"

    def test_changed_by_the_cms(self, stage: Stage, seeded: SeededPayment) -> None:
        """A status that the CMS has set meanwhile is the CMS's."""
        stage.paid(seeded)
        react(stage)
        stage.database["contracts"].update_one({"_id": seeded.contract}, {"$set": {"status": "closed"}})
        stage.follow_up(seeded, "refund")
        react(stage)
        assert contract(stage, seeded) == "closed"

    def test_untouched(self, stage: Stage, seeded: SeededPayment) -> None:
        """A contract of which nothing is paid keeps its status."""
        stage.sandbox.pay(stage.open_page(seeded), DECLINED)
        stage.verify(seeded)
        react(stage)
        assert contract(stage, seeded) == "active"

    @pytest.mark.parametrize("status", ["completed", "cancelled"])
    def test_finished_project(self, stage: Stage, seeded: SeededPayment, status: str) -> None:
        """A project that is over is not begun again."""
        over = project(stage, seeded, status)
        stage.paid(seeded)
        react(stage)
        found = stage.database["projects"].find_one({"_id": over})
        assert found is not None
        assert found["status"] == status

    def test_at_once(self, stage: Stage) -> None:
        """Two payments of one contract complete at the same moment, in 20 contracts: all of them end paid."""
        firsts = [seed_payment(stage.database) for _ in range(20)]
        pairs = [(first, self.second(stage, first)) for first in firsts]
        for first, other in pairs:
            stage.paid(first)
            stage.paid(other)
        stage.database["contracts"].update_many({}, {"$set": {"status": "active"}})
        stage.database[COLLECTION].update_many(
            {}, {"$set": {"done_at": None, "attempts": 0, "lease_until": None, "status": "waiting"}}
        )
        wanted = [row["event_id"] for row in deliveries(stage, "recount_contract")]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda one: stage.world.reactor.handle(one, "recount_contract"), wanted))
        assert [answer["result"] for answer in answers] == ["done"] * 40
        assert {contract(stage, first) for first in firsts} == {"paid"}


class TestMail:
    """The confirmation."""

    def test_content(self, stage: Stage, seeded: SeededPayment, mails: Mailbox) -> None:
        """Plain text and HTML, to the client alone, under an id that is the payment's."""
        tran_ref = stage.paid(seeded)
        react(stage)
        (mail,) = mails.mails
        assert mails.recipients == ["huda@example.com"]
        assert mail["Message-ID"] == f"<payment-{seeded.payment_id}.completed@example.com>"
        assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
        for kind in ("plain", "html"):
            part = mail.get_body((kind,))
            assert part is not None
            text = part.get_content()
            assert "115.00" in text
            assert tran_ref in text

    def test_server_away(self, stage: Stage, seeded: SeededPayment, mails: Mailbox) -> None:
        """A mail server that fails for a while is tried again until it takes the mail; the payment is untouched."""
        mails.answers = ["451 busy"] * 3
        stage.paid(seeded)
        react(stage)
        assert deliveries(stage, "email_client")[0]["status"] == "waiting"
        for _ in range(10):
            stage.clock.advance(200)
            sweep(stage)
        assert len(mails.mails) == 1
        assert deliveries(stage, "email_client")[0]["attempts"] == 4
        assert stage.state(seeded) == "PAID"

    def test_refused_for_good(self, stage: Stage, seeded: SeededPayment, mails: Mailbox) -> None:
        """A mail that is refused for good becomes a dead letter, which can be replayed."""
        mails.answers = ["550 no such user"]
        stage.paid(seeded)
        react(stage)
        (row,) = deliveries(stage, "email_client")
        assert (row["status"], row["done_at"]) == ("given_up", None)
        letter = stage.database["dead_letters"].find_one({"task": "events.handle"})
        assert letter is not None
        assert (letter["kind"], letter["intact"]) == ("given_up", True)
        assert stage.world.reactor.handle(row["event_id"], "email_client")["result"] == "done"
        assert len(mails.mails) == 1

    def test_completed_again(self, stage: Stage, seeded: SeededPayment, mails: Mailbox) -> None:
        """A payment that went to a human and came back is not confirmed twice."""
        tran_ref = stage.paid(seeded)
        react(stage)
        stage.notice(tran_ref, tran_total="999.00", cart_amount="999.00")
        stage.verify(seeded)
        react(stage)
        assert len(mails.mails) == 1


class TestWebhook:
    """What the CMS is told."""

    def test_signed(self, stage: Stage, seeded: SeededPayment, cms: CmsInbox) -> None:
        """It is verified by the scheme's own library, and its id is the event's."""
        stage.paid(seeded)
        react(stage)
        completed = next(one for one in deliveries(stage, "notify_cms"))
        assert completed["event_id"] in {headers["webhook-id"].removeprefix("evt_") for headers in cms.headers}
        assert cms.events[-1]["data"]["payment_id"] == seeded.payment_id

    def test_why_declined(self, stage: Stage, seeded: SeededPayment, cms: CmsInbox) -> None:
        """A decline says why, as document and view do; a new page takes it away there, and a late copy still has it."""
        stage.sandbox.pay(stage.open_page(seeded), DECLINED)
        stage.verify(seeded)
        decline = stage.cms(seeded)["gateway"]["decline"]
        assert decline["code"] is not None
        assert decline["meaning"]
        assert stage.get(seeded).to_json()["decline"] == decline
        stage.open_page(seeded)
        assert stage.cms(seeded)["gateway"]["decline"] is None
        assert stage.get(seeded).decline is None
        react(stage)
        told = {one["type"]: one["data"]["decline"] for one in cms.events}
        assert told["payment.declined"] == decline
        stage.paid(seed_payment(stage.database))
        react(stage)
        assert {one["type"]: one["data"]["decline"] for one in cms.events}["payment.completed"] is None

    def test_refused_page(self, stage: Stage, seeded: SeededPayment, cms: CmsInbox) -> None:
        """So does a page that PayTabs refused to make, by its own code."""
        stage.sandbox.fault("/payment/request", "code", code=206, http_status=400)
        assert stage.create(seeded).state == "ERROR"
        react(stage)
        (told,) = [one["data"]["decline"] for one in cms.events if one["type"] == "payment.errored"]
        assert told == stage.cms(seeded)["gateway"]["decline"] == stage.get(seeded).decline
        assert (told["of"], told["code"], told["retry_same_card"]) == ("request", "206", False)

    def test_failing_for_a_while(self, stage: Stage, seeded: SeededPayment, cms: CmsInbox) -> None:
        """500 for a while: the same webhook, under the same id, until it is taken."""
        cms.answers = [500, 503, 302]
        stage.paid(seeded)
        react(stage)
        for _ in range(10):
            stage.clock.advance(200)
            sweep(stage)
        ids = [headers["webhook-id"] for headers in cms.headers]
        assert len(ids) - len(set(ids)) == 3
        assert [event["type"] for event in cms.events].count("payment.completed") == 1

    def test_failing_then_gone(self, stage: Stage, seeded: SeededPayment, cms: CmsInbox) -> None:
        """500 for a while and then 410: tried again, then given up to the dead letters; the payment is untouched."""
        cms.answers = [500, 500, 500, 410]
        stage.paid(seeded)
        before = stage.facts(seeded)
        react(stage)
        while deliveries(stage, "notify_cms")[0]["status"] == "waiting":
            stage.clock.advance(200)
            sweep(stage)
        (row,) = deliveries(stage, "notify_cms")
        assert (row["status"], row["attempts"], len(cms.headers)) == ("given_up", 4, 4)
        assert len({headers["webhook-id"] for headers in cms.headers}) == 1
        letter = stage.database["dead_letters"].find_one({"task": "events.handle"})
        assert letter is not None
        assert (letter["status"], letter["correlation_id"]) == ("waiting", "corr-1")
        assert "410" in letter["text"]
        assert (stage.state(seeded), stage.facts(seeded), contract(stage, seeded)) == ("PAID", before, "paid")

    def test_gone(self, stage: Stage, seeded: SeededPayment, cms: CmsInbox) -> None:
        """410 is final: a dead letter, and no further try."""
        cms.answers = [410]
        stage.paid(seeded)
        react(stage)
        stage.clock.advance(DAY)
        sweep(stage)
        assert [row["status"] for row in deliveries(stage, "notify_cms")] == ["given_up"]
        assert len(cms.headers) == 1
        assert "reaction_given_up" in stage.alerts()

    def test_given_up(self, stage: Stage, seeded: SeededPayment, cms: CmsInbox) -> None:
        """What fails for longer than the policy's horizon is given up; the payment stays paid."""
        cms.answers = [500] * 500
        stage.paid(seeded)
        react(stage)
        while deliveries(stage, "notify_cms")[0]["status"] == "waiting":
            stage.clock.advance(3600)
            sweep(stage)
        assert deliveries(stage, "notify_cms")[0]["status"] == "given_up"
        assert 20 < len(cms.headers) < 60
        assert stage.state(seeded) == "PAID"


class TestTable:
    """The table of reactions."""

    def test_unknown_handler(self) -> None:
        """A name that nobody answers to, or an event that there is not, fails at start."""
        known = {"notify_cms": Reaction("notify_cms")}
        with pytest.raises(UnknownHandler, match="no_such"):
            check_table({"PaymentCompleted": ("notify_cms", "no_such")}, known)
        with pytest.raises(UnknownHandler, match="PaymentImagined"):
            check_table({"PaymentImagined": ("notify_cms",)}, known)
