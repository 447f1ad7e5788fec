import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pydantic import SecretStr

from payments.accepting import ChargeTerms
from payments.card_keys import Reencrypted, reencrypt
from payments.card_terms import CardTerms
from payments.errors import GatewaySilent, InvalidArgument, NotYet, Refusal
from payments.observing import observe
from payments.operations import Status
from payments.replay_scan import Span
from payments.replaying import ReplayTerms
from payments.views import PaymentView
from paytabs.responses import parse_notification
from tasks.webhooks import apply
from tasks.wiring import World
from tests.integration.payments.stage import DECLINED, PAID, Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.support.notices import sign
from tests.support.stored_cards import CARD_KEY, OLD_CARD_KEY, collections_with
from workers.cli_explain import explain_payment

HOUR, DAY = 3600.0, 86_400.0


def another(stage: Stage, seeded: SeededPayment, **changes: Any) -> SeededPayment:
    """Give the client of a payment one more."""
    other = seed_payment(stage.database)
    changed = {"client": seeded.client, **changes}
    stage.database["payments"].update_one({"_id": other.payment}, {"$set": changed})
    return replace(other, client=changed["client"])


def made(stage: Stage, seeded: SeededPayment, world: World | None = None, **terms: Any) -> str:
    """Have a page paid that keeps its card, and return the card's id."""
    tran_ref = stage.open_page(seeded, **({"tokenise": 2} | terms))
    stage.sandbox.pay(tran_ref, PAID)
    (world or stage.world).service.verify(seeded.payment_id, stage.context())
    card = stage.cms(seeded)["gateway"]["card"]
    return str(card["card_id"])


def charge(
    stage: Stage, seeded: SeededPayment, card_id: str, operation_id: str = "op-1", world: World | None = None,
    **terms: Any,
) -> PaymentView:  # fmt: skip
    """Charge a card that is kept."""
    return (world or stage.world).money.charge(
        seeded.payment_id, CardTerms(card_id, **terms), operation_id, stage.context()
    )


def forget(stage: Stage, card_id: str, world: World | None = None) -> dict[str, Any]:
    """Have a card forgotten."""
    context = replace(stage.context("cards.forget"), operation_id="forget-1")
    return (world or stage.world).cards.forget(card_id, context)


def token_of(stage: Stage) -> str:
    """Return the token that the sandbox made last."""
    return next(str(one["token"]) for one in reversed(stage.sandbox.ledger()) if one.get("token"))


def keyless(stage: Stage) -> World:
    """Build a world without a key."""
    return stage.another_world(card_keys=None)


def with_keys(stage: Stage, *keys: str) -> World:
    """Build a world with other keys."""
    return stage.another_world(card_keys=SecretStr(",".join(keys)))


def refused(code: Refusal) -> Any:
    """Expect a refusal with a code."""
    return pytest.raises(InvalidArgument, check=lambda error: bool(error.code == code))


class TestKept:
    """A page that was asked to keep its card makes one, by whatever way PayTabs tells of it."""

    def test_shown(self, stage: Stage, seeded: SeededPayment) -> None:
        """The CMS's document, the view and the list have its id and what everybody may know of it."""
        card_id = made(stage, seeded)
        card = stage.cms(seeded)["gateway"]["card"]
        assert card == {
            "card_id": card_id, "scheme": "Visa", "masked": "4111 11## #### 1111", "last4": "1111",
            "expires": card["expires"],
        }  # fmt: skip
        assert stage.get(seeded).to_json()["card"] == card
        (listed,) = stage.world.cards.list(str(seeded.client))["cards"]
        assert {name: listed[name] for name in card} == card
        assert (listed["state"], listed["payment_id"]) == ("active", seeded.payment_id)
        assert token_of(stage) not in str(listed) + str(stage.get(seeded)) + str(card)

    def test_token_is_nowhere(self, stage: Stage, seeded: SeededPayment) -> None:
        """No collection has its token in clear."""
        made(stage, seeded)
        assert collections_with(stage.database, token_of(stage)) == set()

    def test_every_way(self, stage: Stage, seeded: SeededPayment) -> None:
        """A notice, a query and a repetition of both make the same card, once."""
        tran_ref = stage.open_page(seeded, tokenise=2)
        stage.sandbox.pay(tran_ref, PAID)
        for _ in range(2):
            stage.notice(tran_ref)
            stage.verify(seeded)
        assert stage.database["payment_cards"].count_documents({}) == 1
        assert len({one.card_id for one in stage.world.store.payment(seeded.payment_id).observations} - {None}) == 1

    def test_managed_form(self, stage: Stage, seeded: SeededPayment) -> None:
        """So does the answer to a charge of what was typed into PayTabs' fields."""
        token = stage.desk("payment_token", card=PAID)["payment_token"]
        terms = ChargeTerms(kind="managed_form", secret=token, tokenise=2)
        view = stage.world.money.charge(seeded.payment_id, terms, "op-1", stage.context())
        assert view.card is not None
        assert stage.world.cards.list(str(seeded.client))["cards"][0]["card_id"] == view.card["card_id"]

    def test_token_from_elsewhere(self, stage: Stage, seeded: SeededPayment) -> None:
        """A token that a caller has from elsewhere makes no card, though the answer repeats it."""
        kept = stage.desk("token", card=PAID)
        terms = ChargeTerms(kind="charge_token", secret=kept["token"], payer_present=False)
        assert stage.world.money.charge(seeded.payment_id, terms, "op-1", stage.context()).card is None
        assert stage.database["payment_cards"].count_documents({}) == 0
        assert collections_with(stage.database, kept["token"]) == set()

    def test_declined(self, stage: Stage, seeded: SeededPayment) -> None:
        """A declined page makes no card."""
        stage.sandbox.pay(stage.open_page(seeded, tokenise=2), DECLINED)
        assert stage.verify(seeded).card is None


class TestRegistered:
    """A card that is only registered."""

    def test_registered(self, stage: Stage, seeded: SeededPayment) -> None:
        """It is no failure: the payment waits to be paid, with a page, or with the very card."""
        tran_ref = stage.open_page(seeded, transaction="register")
        before = stage.cms(seeded)["status"]
        stage.sandbox.pay(tran_ref, PAID)
        view = stage.verify(seeded)
        document = stage.cms(seeded)
        assert (view.state, view.status, view.captured) == ("REGISTERED", "pending", "0")
        assert (document["status"], document["gateway"]["state"]) == (before, "REGISTERED")
        assert (stage.row(seeded).status, stage.row(seeded).open) == (Status.SUCCEEDED, False)
        paid = charge(stage, seeded, document["gateway"]["card"]["card_id"])
        assert (paid.state, paid.status, paid.review) == ("PAID", "paid", ())
        assert stage.verify(seeded).state == "PAID"
        assert stage.follow_up(seeded, "refund").state == "REFUNDED"

    def test_then_a_page(self, stage: Stage, seeded: SeededPayment) -> None:
        """Or it is paid on a page, as if nothing had been."""
        stage.sandbox.pay(stage.open_page(seeded, transaction="register"), PAID)
        stage.verify(seeded)
        assert stage.paid(seeded)
        assert stage.state(seeded) == "PAID"

    def test_notice(self, stage: Stage, seeded: SeededPayment) -> None:
        """A notice of it is applied as any other."""
        tran_ref = stage.open_page(seeded, transaction="register")
        stage.sandbox.pay(tran_ref, PAID)
        assert stage.notice(tran_ref).result == "applied"
        assert stage.get(seeded).card is not None

    def called_voided(self, stage: Stage, seeded: SeededPayment) -> None:
        """Have a card registered and its document as the version before wrote it, which kept no row beside it."""
        stage.sandbox.pay(stage.open_page(seeded, transaction="register"), PAID)
        stage.verify(seeded)
        before = {"$set": {"status": "failed", "gateway.state": "VOIDED"}, "$unset": {"gateway.card": ""}}
        stage.database["payments"].update_one({"_id": seeded.payment}, before)
        stage.database["cms_written"].delete_many({})

    def test_mended_by_a_replay(self, stage: Stage, seeded: SeededPayment) -> None:
        """A document of the version before that calls it failed is mended by a replay, and is no case."""
        self.called_voided(stage, seeded)
        replayer = stage.world.replayer
        terms = ReplayTerms("cms_payments", Span(None, None), dry_run=False, by="tests", reason="why")
        begun = replayer.begin(terms, "replay-1")
        stage.clock.advance(HOUR)
        replayer.go_on(begun, 20.0)
        assert (stage.cms(seeded)["status"], stage.cms(seeded)["gateway"]["state"]) == ("pending", "REGISTERED")
        assert (stage.get(seeded).review, stage.get(seeded).state) == ((), "REGISTERED")

    def test_mended_by_the_next_change(self, stage: Stage, seeded: SeededPayment) -> None:
        """So it is by the payment's next change: the payer pays on a page."""
        self.called_voided(stage, seeded)
        tran_ref = stage.open_page(seeded)
        assert (stage.cms(seeded)["status"], stage.get(seeded).review) == ("pending", ())
        stage.sandbox.pay(tran_ref, PAID)
        assert stage.verify(seeded).status == "paid"


class TestCharged:
    """A card charged for another payment of its client."""

    def test_without_payer(self, stage: Stage, seeded: SeededPayment) -> None:
        """It is paid at once, asked again it is charged once, and its row has the card's id and never its token."""
        card_id = made(stage, seeded)
        other = another(stage, seeded)
        first, again = charge(stage, other, card_id), charge(stage, other, card_id)
        assert (first.state, again) == ("PAID", first)
        assert first.card is not None
        assert first.card["card_id"] == card_id
        assert len(stage.sent()) == 2
        assert (stage.sent()[-1]["tran_class"], stage.sent()[-1]["token"]) == ("recurring", token_of(stage))
        assert stage.row(other).params["card_id"] == card_id
        assert collections_with(stage.database, token_of(stage)) == set()

    def test_with_payer(self, stage: Stage, seeded: SeededPayment) -> None:
        """With the payer at hand PayTabs may lead to a page first."""
        card_id = made(stage, seeded)
        other = another(stage, seeded)
        view = charge(stage, other, card_id, payer_present=True)
        assert (view.state, bool(view.redirect_url)) == ("AWAITING_PAYER", True)
        stage.sandbox.pay(str(view.tran_ref), PAID)
        stage.live(HOUR)
        assert (stage.state(other), stage.row(other).status) == ("PAID", Status.SUCCEEDED)

    def test_sent_later(self, stage: Stage, seeded: SeededPayment) -> None:
        """What provably did not happen is sent again by the sweep, though no row has the token."""
        card_id = made(stage, seeded)
        other = another(stage, seeded)
        world = stage.another_world(paytabs_base_url="http://127.0.0.1:9")
        with pytest.raises(NotYet):
            charge(stage, other, card_id, world=world)
        assert "secret" not in stage.row(other).params
        stage.live(HOUR)
        assert stage.state(other) == "PAID"

    def test_another_client(self, stage: Stage, seeded: SeededPayment) -> None:
        """A card of another client is refused, whatever the caller may say."""
        card_id = made(stage, seeded)
        with refused(Refusal.CARD_OF_ANOTHER_CLIENT):
            charge(stage, seed_payment(stage.database), card_id)
        assert len(stage.sent()) == 1

    def test_client_changed(self, stage: Stage, seeded: SeededPayment) -> None:
        """So it is for a payment that the CMS has given to the card's client after it was begun for another."""
        card_id = made(stage, seeded)
        other = seed_payment(stage.database)
        stage.sandbox.cancel(stage.open_page(other))
        stage.verify(other)
        stage.database["payments"].update_one({"_id": other.payment}, {"$set": {"client": seeded.client}})
        with refused(Refusal.CARD_OF_ANOTHER_CLIENT):
            charge(stage, other, card_id)

    @pytest.mark.parametrize("owner", [ObjectId(), str(ObjectId()), None, 7], ids=["id", "text", "none", "number"])
    def test_client_changed_before_it_is_sent(self, stage: Stage, seeded: SeededPayment, owner: object) -> None:
        """A charge that waits to be sent is not sent once the CMS has given its payment to somebody else, or nobody."""
        card_id = made(stage, seeded)
        other = another(stage, seeded)
        with pytest.raises(NotYet):
            charge(stage, other, card_id, world=stage.another_world(paytabs_base_url="http://127.0.0.1:9"))
        stage.database["payments"].update_one({"_id": other.payment}, {"$set": {"client": owner}})
        stage.live(HOUR)
        assert (stage.row(other).status, len(stage.sent())) == (Status.REFUSED, 1)
        assert "a card of this payment's client" in str(stage.row(other).error)

    def test_unknown(self, stage: Stage, seeded: SeededPayment) -> None:
        """An id of no card is refused by name."""
        with refused(Refusal.CARD_UNKNOWN):
            charge(stage, seeded, str(ObjectId()))

    def test_expired(self, stage: Stage, seeded: SeededPayment) -> None:
        """A card is good until its month has ended everywhere, and is refused from then on."""
        card_id = made(stage, seeded)
        stage.database["payment_cards"].update_one({"_id": card_id}, {"$set": {"expires": f"{stage.clock.now:%Y-%m}"}})
        other = another(stage, seeded)
        assert charge(stage, other, card_id).state == "PAID"
        stage.clock.now = stage.clock.now.replace(day=28) + timedelta(days=6)
        with refused(Refusal.CARD_EXPIRED):
            charge(stage, another(stage, seeded), card_id, "op-2")
        assert stage.world.cards.list(str(seeded.client))["cards"][0]["state"] == "expired"

    def test_forgotten_before_it_is_sent(self, stage: Stage, seeded: SeededPayment) -> None:
        """A card that is forgotten between the acceptance and the send is not charged."""
        card_id = made(stage, seeded)
        other = another(stage, seeded)
        with pytest.raises(NotYet):
            charge(stage, other, card_id, world=stage.another_world(paytabs_base_url="http://127.0.0.1:9"))
        forget(stage, card_id)
        stage.live(HOUR)
        assert (stage.row(other).status, len(stage.sent())) == (Status.REFUSED, 1)
        assert "forgotten" in str(stage.row(other).error)

    def test_nobody_knows(self, stage: Stage, seeded: SeededPayment) -> None:
        """A charge in doubt is never sent again: it is found, or a human is called."""
        card_id = made(stage, seeded)
        other = another(stage, seeded)
        stage.sandbox.fault("/payment/request", "http_500")
        with pytest.raises(NotYet, match="unknown"):
            charge(stage, other, card_id)
        stage.live(25 * HOUR)
        assert (stage.row(other).status, stage.row(other).open, len(stage.sent())) == (Status.REVIEW, True, 2)

    def test_words_of_a_refusal(self, stage: Stage, seeded: SeededPayment) -> None:
        """A token that PayTabs repeats in its words is taken out of them."""
        card_id = made(stage, seeded)
        token = token_of(stage)
        other = another(stage, seeded)
        stage.sandbox.fault("/payment/request", "code", code=2, message=f"Invalid token {token}", http_status=400)
        charge(stage, other, card_id)
        assert "Invalid token […]" in str(stage.row(other).error)
        assert collections_with(stage.database, token) == set()


class TestForgotten:
    """A card that is forgotten."""

    def test_forgotten(self, stage: Stage, seeded: SeededPayment) -> None:
        """PayTabs has no token of it, nor have we; asked again it is forgotten; it is charged and listed no more."""
        card_id = made(stage, seeded)
        token = token_of(stage)
        assert [forget(stage, card_id) for _ in range(2)] == [{"card_id": card_id, "state": "forgotten"}] * 2
        assert stage.world.cards.query(token, stage.context())["state"] == "not_found"
        assert len(stage.sandbox.requests("/payment/token/delete")) == 1
        row = stage.database["payment_cards"].find_one({"_id": card_id}) or {}
        assert ("locked" in row, row["forgotten_by"]["operation_id"]) == (False, "forget-1")
        assert stage.world.cards.list(str(seeded.client))["cards"] == []
        with refused(Refusal.CARD_FORGOTTEN):
            charge(stage, another(stage, seeded), card_id)

    def test_stays_forgotten(self, stage: Stage, seeded: SeededPayment) -> None:
        """A delivery that is repeated later does not bring it back."""
        card_id = made(stage, seeded)
        forget(stage, card_id)
        stage.notice(str(stage.get(seeded).tran_ref))
        with refused(Refusal.CARD_FORGOTTEN):
            charge(stage, another(stage, seeded), card_id)

    def test_audited(self, stage: Stage, seeded: SeededPayment) -> None:
        """The trail says who had it forgotten, that it began and how it ended, and nothing of the token."""
        card_id = made(stage, seeded)
        token = token_of(stage)
        forget(stage, card_id)
        entries = list(stage.database["audit_entries"].find().sort("_id", 1))
        assert [(one["command"], one["phase"], one["by"]) for one in entries] == [
            ("cards.forget", "begun", "tests"), ("cards.forget", "ended", "tests")
        ]  # fmt: skip
        assert entries[0]["arguments"] == {"card_id": card_id, "operation_id": "forget-1"}
        assert entries[1]["outcome"] == "forgotten"
        assert token not in str(entries)

    def test_answer_lost(self, stage: Stage, seeded: SeededPayment) -> None:
        """Whether PayTabs has deleted it is not known: nothing is forgotten here; asked again, "not found" is done."""
        card_id = made(stage, seeded)
        stage.sandbox.fault("/payment/token/delete", "cut_after_accept", times=0)
        with pytest.raises(GatewaySilent):
            forget(stage, card_id)
        assert stage.world.cards.list(str(seeded.client))["cards"][0]["state"] == "active"
        stage.sandbox.clear_faults()
        assert forget(stage, card_id)["state"] == "forgotten"

    @pytest.mark.parametrize(("message", "times"), [
        ("Unexpected content type application/octet-stream", 0), ("The data is not a multiple of the block size", 0),
        ("Invalid request", 1), ("profile_id is invalid", 1),
    ])  # fmt: skip
    def test_not_found_is_not_gone(self, stage: Stage, seeded: SeededPayment, message: str, times: int) -> None:
        """Code 2 has many meanings: while PayTabs knows the token, or was not asked with our key, it is kept here."""
        card_id, token = made(stage, seeded), token_of(stage)
        for path in ("/payment/token/delete", "/payment/token")[: 2 - times]:
            stage.sandbox.fault(path, "code", code=2, message=message, http_status=400, times=times)
        with pytest.raises(GatewaySilent):
            forget(stage, card_id)
        if not times:
            with pytest.raises(GatewaySilent):
                stage.world.cards.delete(token, stage.context())
        assert stage.world.cards.list(str(seeded.client))["cards"][0]["state"] == "active"
        stage.sandbox.clear_faults()
        assert forget(stage, card_id)["state"] == "forgotten"

    def test_by_its_token(self, stage: Stage, seeded: SeededPayment) -> None:
        """A card whose token a caller has and deletes is forgotten here too."""
        card_id = made(stage, seeded)
        stage.world.cards.delete(token_of(stage), stage.context())
        with refused(Refusal.CARD_FORGOTTEN):
            charge(stage, another(stage, seeded), card_id)

    def test_without_a_key(self, stage: Stage, seeded: SeededPayment) -> None:
        """Without a key PayTabs is asked which token it is: whoever wants to be forgotten does not wait for one."""
        card_id = made(stage, seeded)
        token = token_of(stage)
        assert forget(stage, card_id, keyless(stage))["state"] == "forgotten"
        assert stage.world.cards.query(token, stage.context())["state"] == "not_found"

    def test_unknown(self, stage: Stage) -> None:
        """An id of no card is refused by name."""
        with refused(Refusal.CARD_UNKNOWN):
            forget(stage, str(ObjectId()))


class TestWithoutKey:
    """Where no key is set."""

    @pytest.mark.parametrize("terms", [
        {"tokenise": 2}, {"transaction": "register"}, {"agreement": {"token_type": "recurring_fixed"}},
    ])  # fmt: skip
    def test_pages(self, stage: Stage, seeded: SeededPayment, terms: dict[str, Any]) -> None:
        """A page that would make a card is refused, saying so; nothing is sent."""
        with refused(Refusal.CARD_KEY_MISSING) as error:
            stage.create(seeded, keyless(stage), **terms)
        assert "CARD_KEYS" in str(error.value)
        assert error.value.field == next(iter(terms))
        assert stage.sent() == []

    def test_form(self, stage: Stage, seeded: SeededPayment) -> None:
        """So is a form that would, and any other page or form is not."""
        world = keyless(stage)
        form = ChargeTerms(kind="managed_form", secret="a-token", tokenise=2)
        with refused(Refusal.CARD_KEY_MISSING):
            world.money.charge(seeded.payment_id, form, "op-1", stage.context())
        assert stage.create(seeded, world).redirect_url

    def test_charge(self, stage: Stage, seeded: SeededPayment) -> None:
        """A card that is kept is not charged."""
        card_id = made(stage, seeded)
        with refused(Refusal.CARD_KEY_MISSING):
            charge(stage, another(stage, seeded), card_id, world=keyless(stage))

    def test_page_of_before(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page that is open already is paid all the same; its card waits, and is fetched once there is a key."""
        tran_ref = stage.open_page(seeded, tokenise=2)
        stage.sandbox.pay(tran_ref, PAID)
        world = keyless(stage)
        view = world.service.verify(seeded.payment_id, stage.context())
        assert (view.state, view.card is not None) == ("PAID", True)
        assert collections_with(stage.database, token_of(stage)) == set()
        (card,) = stage.world.cards.list(str(seeded.client))["cards"]
        assert card["state"] == "waiting"
        with refused(Refusal.CARD_WAITING):
            charge(stage, another(stage, seeded), card["card_id"])
        world.card_sweep.run(100, stage.context())
        assert "1 stored cards wait" in stage.open_alerts()["card_key_missing"]
        stage.world.card_sweep.run(100, stage.context())
        assert "card_key_missing" not in stage.open_alerts()
        assert charge(stage, another(stage, seeded), card["card_id"]).state == "PAID"

    def test_key_of_another_process(self, stage: Stage, seeded: SeededPayment) -> None:
        """A worker without the key leaves an accepted charge to one that has it."""
        card_id = made(stage, seeded)
        other = another(stage, seeded)
        with pytest.raises(NotYet):
            charge(stage, other, card_id, world=stage.another_world(paytabs_base_url="http://127.0.0.1:9"))
        stage.clock.advance(60)
        with pytest.raises(NotYet, match="card_key_missing"):
            keyless(stage).sender.send("op-1", stage.context())
        stage.live(HOUR)
        assert stage.state(other) == "PAID"


class TestKeys:
    """Keys that are rotated, and lost."""

    def test_rotated(self, stage: Stage, seeded: SeededPayment) -> None:
        """A new key in front encrypts, the old one still opens; encrypted anew, the old one is not needed any more."""
        tran_ref = stage.open_page(seeded, tokenise=2)
        stage.sandbox.pay(tran_ref, PAID)
        with_keys(stage, OLD_CARD_KEY).service.verify(seeded.payment_id, stage.context())
        card_id = stage.cms(seeded)["gateway"]["card"]["card_id"]
        both, new = with_keys(stage, CARD_KEY, OLD_CARD_KEY), with_keys(stage, CARD_KEY)
        assert charge(stage, another(stage, seeded), card_id, "op-1", both).state == "PAID"
        with refused(Refusal.CARD_UNREADABLE):
            charge(stage, another(stage, seeded), card_id, "op-2", new)
        assert reencrypt(both.cards.store, both.cards.vault, stage.clock.now) == Reencrypted(renewed=1, unreadable=0)
        assert charge(stage, another(stage, seeded), card_id, "op-3", new).state == "PAID"

    def test_lost(self, stage: Stage, seeded: SeededPayment) -> None:
        """Cards whose key is lost are found, and their tokens are asked for again, if that is wanted."""
        card_id = made(stage, seeded)
        new = with_keys(stage, OLD_CARD_KEY)
        found = Reencrypted(renewed=0, unreadable=1)
        assert reencrypt(new.cards.store, new.cards.vault, stage.clock.now) == found
        assert reencrypt(new.cards.store, new.cards.vault, stage.clock.now, fetch=True) == found
        new.card_sweep.run(100, stage.context())
        assert charge(stage, another(stage, seeded), card_id, "op-1", new).state == "PAID"


class Deliveries:
    """Notices as the receiver stores them, and a worker that applies them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def record(self, tran_ref: str, **changes: Any) -> bytes:
        """Store the sandbox's notice of a transaction."""
        body = str(self.stage.sandbox.notify(tran_ref, url="http://127.0.0.1:9/", **changes)["body"]).encode()
        self.again(body)
        return body

    def again(self, body: bytes) -> None:
        """Store a notice once more, as PayTabs repeats it."""
        self.stage.world.inbox.record(body, sign(body), correlation_id="c-1")

    def work(self, world: World | None = None) -> list[str]:
        """Apply whatever waits, and say what became of each."""
        by = world or self.stage.world
        waiting = [row["_id"] for row in self.stage.database["webhook_inbox"].find({"status": "received"})]
        claimed = filter(None, (by.inbox.claim(one, "worker") for one in waiting))
        return [apply(by, one, self.stage.context("webhooks.process"))["result"] for one in claimed]

    def rows(self) -> list[dict[str, Any]]:
        """List what is stored."""
        return list(self.stage.database["webhook_inbox"].find())


@pytest.fixture
def deliveries(stage: Stage) -> Deliveries:
    """An inbox by the stage's clock."""
    return Deliveries(stage)


class TestDeliveries:
    """A delivery that holds a token."""

    def test_cut(self, stage: Stage, seeded: SeededPayment, deliveries: Deliveries) -> None:
        """Once it is applied its token is gone, and nothing else; a repetition is known, and brings no token back."""
        tran_ref = stage.open_page(seeded, tokenise=2)
        stage.sandbox.pay(tran_ref, PAID)
        body = deliveries.record(tran_ref)
        token = token_of(stage)
        assert token in body.decode()
        assert deliveries.work() == ["applied"]
        deliveries.again(body)
        (row,) = deliveries.rows()
        assert row["_id"] == hashlib.sha256(body).hexdigest()
        assert (row["seen"], row["status"]) == (2, "done")
        assert bytes(row["body"]) == body.replace(token.encode(), b"")
        assert collections_with(stage.database, token) == set()
        assert stage.get(seeded).card is not None

    def test_explained(self, stage: Stage, seeded: SeededPayment, deliveries: Deliveries) -> None:
        """Whoever asks why is told that its signature was verified, and why it cannot be any more."""
        tran_ref = stage.open_page(seeded, tokenise=2)
        stage.sandbox.pay(tran_ref, PAID)
        deliveries.record(tran_ref)
        deliveries.work()
        (told,) = explain_payment(stage.settings, seeded.payment_id)[1]["deliveries"]
        assert told["signature"] == "verified when it came; a stored card's token was taken out of it since"

    def test_waits_for_a_key(self, stage: Stage, seeded: SeededPayment, deliveries: Deliveries) -> None:
        """Without a key the money counts, the token stays where it is, and is fetched and cut by the sweep later."""
        tran_ref = stage.open_page(seeded, tokenise=2)
        stage.sandbox.pay(tran_ref, PAID)
        body = deliveries.record(tran_ref)
        world = keyless(stage)
        assert deliveries.work(world) == ["applied"]
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PAID", "paid")
        world.card_sweep.run(100, stage.context())
        assert bytes(deliveries.rows()[0]["body"]) == body
        stage.database["payment_cards"].update_many({}, {"$unset": {"ask_at": ""}})  # the delivery alone has it
        stage.world.card_sweep.run(100, stage.context())
        assert collections_with(stage.database, token_of(stage)) == set()
        card_id = stage.cms(seeded)["gateway"]["card"]["card_id"]
        assert charge(stage, another(stage, seeded), card_id).state == "PAID"

    def test_of_the_version_before(self, stage: Stage, seeded: SeededPayment, deliveries: Deliveries) -> None:
        """What that has applied is gone through: its card is kept, shown to the CMS, and its token cut."""
        tran_ref = stage.open_page(seeded, tokenise=2)
        stage.sandbox.pay(tran_ref, PAID)
        seen = observe(parse_notification(deliveries.record(tran_ref)))
        stage.world.store.change(seeded.payment_id, stage.context(), lambda change: change.record(seen))
        done = {"status": "done", "result": {"result": "applied", "payment_id": seeded.payment_id}}
        stage.database["webhook_inbox"].update_one({}, {"$set": done})
        assert "card" not in stage.cms(seeded)["gateway"]
        stage.world.card_sweep.run(100, stage.context())
        assert collections_with(stage.database, token_of(stage)) == set()
        assert stage.cms(seeded)["gateway"]["card"]["last4"] == "1111"
        before = stage.facts(seeded)
        stage.world.card_sweep.run(100, stage.context())
        assert stage.facts(seeded) == before

    def test_of_nobody(self, stage: Stage, deliveries: Deliveries) -> None:
        """A token of a payment that nobody knows is dropped: no card is made of it, and it does not stay."""
        kept = stage.desk("token", card=PAID)
        deliveries.record(kept["tran_ref"])
        assert deliveries.work() == ["unknown_payment"]
        assert collections_with(stage.database, kept["token"]) == set()
        assert stage.database["payment_cards"].count_documents({}) == 0

    def test_rejected(self, stage: Stage) -> None:
        """A delivery that cannot be read does not keep one either."""
        body = b'{"token": "2C4656BF67A3E43DC6BE93FE00000001", "profile_id": 1}'
        stage.world.inbox.record_rejected(body, sign(body), reason="no", correlation_id="c-1")
        assert collections_with(stage.database, "2C4656BF67A3E43DC6BE93FE00000001") == set()

    def test_forged(self, stage: Stage, seeded: SeededPayment, deliveries: Deliveries) -> None:
        """A signed notice that no query confirms gives nobody a card."""
        stage.open_page(seeded, tokenise=2)
        tran_ref = str(stage.row(seeded).tran_ref)
        stage.sandbox.pay(tran_ref, DECLINED)
        deliveries.record(tran_ref, response_status="A", token="F" * 32)
        for _ in range(8):
            deliveries.work()
            stage.clock.advance(200)
        assert stage.database["payment_cards"].count_documents({}) == 0
        assert collections_with(stage.database, "F" * 32) == set()
