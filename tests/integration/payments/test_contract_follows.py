from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from config.connections import streaming_client
from config.settings import Settings
from tasks.alert_tending import tend
from tasks.viewing import make_watcher
from tests.integration.payments.stage import DECLINED, Stage
from tests.integration.payments.test_reactions import contract, react
from tests.support.cms import SeededPayment, mongoose, seed_payment
from tests.support.waiting import eventually
from workers.demo_outside import CmsInbox, outside

Json = dict[str, Any]


class Cms:
    """What the CMS does, and whoever follows its changes."""

    def __init__(self, stage: Stage, streaming: MongoClient[Json]) -> None:
        self.stage, self.db = stage, stage.database
        self._watcher = make_watcher(
            stage.settings, stage.world.db, streaming[stage.database.name], alerts=stage.world.alerts,
            send=stage._send, clock=stage.clock,
        )  # fmt: skip
        self._watcher.step(1)
        self.follow()
        stage.messages.clear()

    def follow(self) -> None:
        """Follow what was changed, and do what is asked for."""
        until = self.db.command("ping")["operationTime"]
        for _ in range(200):
            self._watcher.step(20)
            at = self.db["mv_meta"].find_one({"_id": "watcher"}, {"at": 1})
            if at and at.get("at") and at["at"] >= until:
                break
        self.stage.clock.advance(11)
        while self.stage.world.documents.step(self.stage.context("watcher"))["left"]:
            pass

    def asked(self) -> bool:
        """Go on following, and tell whether somebody was asked to look at what was changed."""
        self._watcher.step(20)
        return "maintenance.sweep_documents" in [name for name, _ in self.stage.messages]

    def instalment(self, contract_id: object, **fields: Any) -> ObjectId:
        """Insert a payment of a contract."""
        document = mongoose(title="Next", amount="50", currency="sar", contractId=contract_id, **fields)
        self.db["payments"].insert_one(document)
        return ObjectId(document["_id"])

    def close(self) -> None:
        """Stop following."""
        self._watcher.stop()


@pytest.fixture
def cms(stage: Stage, settings: Settings) -> Iterator[Cms]:
    """The CMS beside us, and a watcher that follows it."""
    with streaming_client(settings) as streaming:
        made = Cms(stage, streaming)
        yield made
        made.close()


def with_second(stage: Stage, seeded: SeededPayment) -> SeededPayment:
    """Give a contract a second payment."""
    second = seed_payment(stage.database, with_contract=False)
    named = {"$set": {"contractId": seeded.contract}}
    stage.database["payments"].update_one({"_id": second.payment}, named)
    return second


class TestOurOwn:
    """Changes that we make."""

    def test_new_page_after_decline(self, stage: Stage, seeded: SeededPayment) -> None:
        """A paid, B declined: all is paid. A new page for B: something is owed again."""
        second = with_second(stage, seeded)
        stage.paid(seeded)
        stage.sandbox.pay(stage.open_page(second), DECLINED)
        stage.verify(second)
        react(stage)
        assert contract(stage, seeded) == "paid"
        stage.clock.advance(1)
        stage.open_page(second)
        react(stage)
        assert contract(stage, seeded) == "partially_paid"

    def test_first_showing(self, stage: Stage, seeded: SeededPayment) -> None:
        """A failed payment of the CMS that gets its first page counts again."""
        second = with_second(stage, seeded)
        stage.database["payments"].update_one({"_id": second.payment}, {"$set": {"status": "failed"}})
        stage.paid(seeded)
        react(stage)
        assert contract(stage, seeded) == "paid"
        stage.forget_tags()
        stage.open_page(second)
        react(stage)
        assert contract(stage, seeded) == "partially_paid"
        assert {f"payment:{second.payment_id}", f"contract:{seeded.contract_id}"} <= stage.tags()

    def test_settled_as_ours(self, stage: Stage, seeded: SeededPayment) -> None:
        """What a person says of the CMS's word changes the status, and so the contract."""
        stage.sandbox.pay(stage.open_page(seeded), DECLINED)
        stage.verify(seeded)
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"status": "paid"}})
        stage.world.documents.look(seeded.payment_id, stage.context())
        react(stage)
        assert contract(stage, seeded) == "paid"
        (case,) = stage.world.review.cases(seeded.payment_id)
        stage.world.word.settle(seeded.payment_id, case.reason, "ours", "no cash", stage.context())
        react(stage)
        assert contract(stage, seeded) == "active"

    def test_odd_words(self, stage: Stage, seeded: SeededPayment) -> None:
        """A contract counts words as they are read, and what cannot be read as not paid."""
        for status in (" Paid", "FAILED ", 17):
            second = with_second(stage, seeded)
            stage.database["payments"].update_one({"_id": second.payment}, {"$set": {"status": status}})
            stage.world.documents.recount(seeded.contract)
            assert contract(stage, seeded) == "partially_paid"
        stage.database["payments"].delete_many({"status": 17})
        stage.paid(seeded)
        react(stage)
        assert contract(stage, seeded) == "paid"


class TestTheCms:
    """Changes that the CMS makes: the watcher has them counted."""

    @pytest.mark.parametrize("as_text", [True, False])
    def test_instalment_comes_and_goes(self, stage: Stage, seeded: SeededPayment, cms: Cms, *, as_text: bool) -> None:
        """One more instalment is owed; when it is gone, it is not; when it is paid by hand, it is paid."""
        stage.paid(seeded)
        react(stage)
        assert contract(stage, seeded) == "paid"
        new = cms.instalment(seeded.contract_id if as_text else seeded.contract)
        cms.follow()
        assert contract(stage, seeded) == "partially_paid"
        cms.db["payments"].update_one({"_id": new}, {"$set": {"status": "Paid"}})
        cms.follow()
        assert contract(stage, seeded) == "paid"
        cms.db["payments"].update_one({"_id": new}, {"$unset": {"status": ""}})
        cms.follow()
        assert contract(stage, seeded) == "partially_paid"
        cms.db["payments"].delete_one({"_id": new})
        cms.follow()
        assert contract(stage, seeded) == "paid"

    @pytest.mark.parametrize("as_text", [True, False])
    def test_moved(self, stage: Stage, seeded: SeededPayment, cms: Cms, *, as_text: bool) -> None:
        """A payment that moves to another contract is counted in neither or both as it belongs."""
        other = seed_payment(stage.database)
        for one in (seeded, other):
            stage.paid(one)
        react(stage)
        new = cms.instalment(seeded.contract)
        cms.follow()
        assert (contract(stage, seeded), contract(stage, other)) == ("partially_paid", "paid")
        to = other.contract_id if as_text else other.contract
        cms.db["payments"].update_one({"_id": new}, {"$set": {"contractId": to}})
        cms.follow()
        assert (contract(stage, seeded), contract(stage, other)) == ("paid", "partially_paid")

    @pytest.mark.parametrize("as_text", [True, False])
    def test_listed(self, stage: Stage, seeded: SeededPayment, cms: Cms, *, as_text: bool) -> None:
        """So is one that only the contract names, from the moment it does, and when it changes."""
        stage.paid(seeded)
        react(stage)
        new = cms.instalment(None)
        named = str(new) if as_text else new
        cms.db["contracts"].update_one({"_id": seeded.contract}, {"$push": {"paymentsIds": named}})
        cms.follow()
        assert contract(stage, seeded) == "partially_paid"
        cms.db["payments"].update_one({"_id": new}, {"$set": {"status": "failed"}})
        cms.follow()
        assert contract(stage, seeded) == "paid"

    def test_no_circle(self, stage: Stage, seeded: SeededPayment, cms: Cms) -> None:
        """A contract that was counted is not counted again because it was: its document is left alone."""
        stage.paid(seeded)
        react(stage)
        cms.follow()
        before = cms.db["contracts"].find_one({"_id": seeded.contract})
        for _ in range(3):
            cms.follow()
        assert cms.db["contracts"].find_one({"_id": seeded.contract}) == before
        assert cms.db["cms_changes"].count_documents({"kind": {"$in": ["payment", "contract"]}}) == 0

    def test_case(self, stage: Stage, seeded: SeededPayment, cms: Cms) -> None:
        """A status that contradicts ours is a case although nothing else happens to the payment."""
        stage.open_page(seeded)
        cms.follow()
        stage.messages.clear()
        cms.db["payments"].update_one({"_id": seeded.payment}, {"$set": {"status": "paid"}})
        cms.follow()
        assert stage.get(seeded).review_codes == ("cms_status_changed",)
        eventually(cms.asked, within_seconds=10, what="a request to look")
        assert contract(stage, seeded) == "paid"

    def test_missed(self, stage: Stage, seeded: SeededPayment, cms: Cms) -> None:
        """What changed while nobody followed is found by a look at everything."""
        stage.open_page(seeded)
        cms.db["payments"].update_one({"_id": seeded.payment}, {"$set": {"status": "paid"}})
        stage.world.db["cms_changes"].delete_many({})
        stage.world.documents._parts.marks.note_everything(stage.clock.now)
        while stage.world.documents.step(stage.context())["left"]:
            pass
        assert stage.get(seeded).review_codes == ("cms_status_changed",)
        assert stage.world.documents._parts.marks.everything() is None

    def test_one_fails(self, stage: Stage, seeded: SeededPayment, cms: Cms) -> None:
        """A payment that cannot be looked at stops no other; operators hear of it until it can."""
        other = seed_payment(stage.database)
        for one in (seeded, other):
            stage.open_page(one)
            cms.db["payments"].update_one({"_id": one.payment}, {"$set": {"status": "paid"}})
        first = {"payment_id": seeded.payment, "version": 1}
        cms.db["payment_events"].update_one(first, {"$set": {"type": "PaymentImagined"}})
        stage.world.store._remembered._known.clear()
        cms.follow()
        assert stage.get(other).review_codes == ("cms_status_changed",)
        assert "cms_document_fails" in stage.open_alerts()
        cms.db["payment_events"].update_one(first, {"$set": {"type": "PaymentCreated"}})
        stage.clock.advance(61)
        cms.follow()
        assert stage.get(seeded).review_codes == ("cms_status_changed",)
        tend(stage.world)
        assert "cms_document_fails" not in stage.open_alerts()


class TestWebhook:
    """The CMS is told of every change of the status and of the sums."""

    @pytest.fixture
    def told(self, stage: Stage) -> Iterator[CmsInbox]:
        """A CMS that takes webhooks."""
        with outside() as both:
            stage.settings = stage.settings.model_copy(update=both.settings())
            stage.world = stage.another_world()
            yield both.cms

    def test_second_partial_refund(self, stage: Stage, seeded: SeededPayment, told: CmsInbox) -> None:
        """Each partial refund is told, with the sums as they are then, though the state stays the same."""
        stage.paid(seeded)
        for amount in ("15.00", "20.00"):
            stage.follow_up(seeded, "refund", amount)
        react(stage)
        refunded = [event["data"]["refunded"] for event in told.events]
        assert "15.00" in refunded
        assert refunded[-1] == "35.00"
        assert {event["data"]["state"] for event in told.events[-1:]} == {"PART_REFUNDED"}
        assert told.events[-1]["type"] == "payment.changed"
        assert len({event["data"]["version"] for event in told.events}) == len(told.events)

    def test_pending_again(self, stage: Stage, seeded: SeededPayment, told: CmsInbox) -> None:
        """A new page after a decline: the status is pending again, and the CMS hears of it once."""
        stage.sandbox.pay(stage.open_page(seeded), DECLINED)
        stage.verify(seeded)
        react(stage)
        assert [event["data"]["status"] for event in told.events] == ["failed"]
        stage.clock.advance(1)
        stage.open_page(seeded)
        react(stage)
        assert [event["data"]["status"] for event in told.events] == ["failed", "pending"]

    def test_first_page(self, stage: Stage, seeded: SeededPayment, told: CmsInbox) -> None:
        """A first page changes neither status nor sums: the contract is counted, and nobody is told."""
        stage.open_page(seeded)
        react(stage)
        assert told.events == []
