from collections.abc import Callable
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId

from payments.accepting import ChargeTerms, InvoiceTerms
from payments.cms import CmsReader
from payments.errors import InvalidArgument, Refusal
from payments.events import Context
from payments.store import PaymentStore
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment, seed_payment

OPERATOR = Context(correlation_id="corr-2", source="review", requested_by="omar")

#: Everything that would move money of a payment nobody has begun here.
ACTS: dict[str, Callable[[Stage, SeededPayment], object]] = {
    "create_page": lambda stage, one: stage.create(one),
    "register": lambda stage, one: stage.create(one, transaction="register"),
    "charge_token": lambda stage, one: charge(stage, one, ChargeTerms(kind="charge_token", secret="t-1")),
    "managed_form": lambda stage, one: charge(stage, one, ChargeTerms(kind="managed_form", secret="p-1")),
    "invoice": lambda stage, one: charge(stage, one, InvoiceTerms({"line_items": []})),
    "refund": lambda stage, one: stage.follow_up(one, "refund"),
    "capture": lambda stage, one: stage.follow_up(one, "capture"),
}

#: What no status is, and what may be told of it.
STRANGE: list[tuple[Any, str]] = [
    (17, "17"), (1.5, "1.5"), (True, "True"), (Int64(4), "4"), (Decimal128("1"), "Decimal128"),
    ({"paid": True}, "an object"), (["paid"], "an array"), (ObjectId("65f0c0ffee65f0c0ffee65f0"), "ObjectId 65f0"),
    ("paid!", "paid!"), ("payed", "payed"), ("paid\0", "paid?"), ("lost", "lost"), ("pa id", "pa id"),
    ("x" * 500, "xxx…"), ("4111 1111 1111 1111", "[redacted]"), ("huda@example.com", "[redacted]"), (b"paid", "paid"),
]  # fmt: skip


def charge(stage: Stage, seeded: SeededPayment, terms: ChargeTerms | InvoiceTerms) -> object:
    """Charge without a page."""
    return stage.world.money.charge(seeded.payment_id, terms, "op-1", stage.context())


def refused(stage: Stage, seeded: SeededPayment, act: str) -> InvalidArgument:
    """Return how an act is refused; nothing is sent for it, nothing kept of it."""
    before = stage.cms(seeded)
    with pytest.raises(InvalidArgument) as caught:
        ACTS[act](stage, seeded)
    assert (stage.sent(), stage.queries(), stage.cms(seeded)) == ([], [], before)
    assert (stage.facts(seeded), stage.rows(seeded)) == ([], [])
    return caught.value


class TestSettledOutside:
    """What the CMS calls settled, and no transaction of PayTabs stands behind, is never charged."""

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("status", ["paid", "refunded", "Paid", " PAID\n", "\tRefunded "])
    def test_refused(self, stage: Stage, act: str, status: str) -> None:
        """Nothing of it is charged or followed up: the refusal names the payment and has a code."""
        seeded = seed_payment(stage.database, status=status)
        error = refused(stage, seeded, act)
        assert (error.field, error.code) == ("payment_id", Refusal.SETTLED_OUTSIDE)
        assert seeded.payment_id in str(error)

    @pytest.mark.parametrize("reference", [None, "", "  "])
    def test_empty_reference(self, stage: Stage, reference: str | None) -> None:
        """A `transR` in which nothing stands is none."""
        seeded = seed_payment(stage.database, status="paid", transR=reference)
        assert refused(stage, seeded, "create_page").code == Refusal.SETTLED_OUTSIDE

    @pytest.mark.parametrize(("status", "word"), [("paid", "paid"), (" Refunded ", "refunded")])
    def test_shown(self, stage: Stage, status: str, word: str) -> None:
        """Whoever looks is told so, with the status as the CMS has it; nothing is asked or written."""
        seeded = seed_payment(stage.database, status=status)
        before = stage.cms(seeded)
        for view in (stage.get(seeded), stage.verify(seeded)):
            assert (view.state, view.status, view.amount, view.version) == ("SETTLED_OUTSIDE", word, "115.00", 0)
        assert (stage.cms(seeded), stage.queries(), stage.facts(seeded)) == (before, [], [])

    @pytest.mark.parametrize("status", [None, "", "  ", "pending", "PENDING ", "failed", "Failed"])
    def test_unpaid(self, stage: Stage, status: str | None) -> None:
        """What nobody has paid gets its page, and ours is written over."""
        seeded = seed_payment(stage.database, status=status)
        assert stage.create(seeded).redirect_url
        assert stage.cms(seeded)["status"] == "pending"
        assert stage.get(seeded).review == ()

    def test_paid_meanwhile(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """Staff that books the cash just after the payment was read is heeded: the document is read where it counts."""
        read = CmsReader.payment

        def read_and_pay(self: Any, payment_id: str) -> Any:
            found = read(self, payment_id)
            stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"status": "paid"}})
            return found

        monkeypatch.setattr(CmsReader, "payment", read_and_pay)
        with pytest.raises(InvalidArgument) as caught:
            stage.create(seeded)
        assert caught.value.code == Refusal.SETTLED_OUTSIDE
        assert (stage.sent(), stage.facts(seeded), stage.cms(seeded)["status"]) == ([], [], "paid")


class TestUnreadableStatus:
    """A status that is none of the words is refused with its value, and never written over."""

    @pytest.mark.parametrize(("status", "told"), STRANGE, ids=[str(told) for _, told in STRANGE])
    def test_refused(self, stage: Stage, status: object, told: str) -> None:
        """By whatever would charge and by whoever looks; the value is cut short and without secrets."""
        seeded = seed_payment(stage.database, status=status)  # type: ignore[arg-type] # the CMS enforces nothing
        error = refused(stage, seeded, "create_page")
        assert (error.field, error.code) == ("payments.status", Refusal.STATUS_UNREADABLE)
        assert told.removesuffix("…") in str(error)
        assert len(str(error)) < 200
        assert "4111 1111" not in str(error)
        with pytest.raises(InvalidArgument):
            stage.get(seeded)


class TestImport:
    """An operator takes a payment over that was settled outside, with a word about why."""

    @pytest.mark.parametrize("status", ["paid", " Refunded"])
    def test_history(self, stage: Stage, status: str) -> None:
        """It has a history that says so, who and why; its document keeps the CMS's word; nothing can be charged."""
        seeded = seed_payment(stage.database, status=status)
        stage.world.word.import_settled(seeded.payment_id, "cash, receipt 17", OPERATOR)
        word = status.strip().lower()
        assert stage.facts(seeded) == ["PaymentCreated", "PaymentSettledOutside"]
        last = stage.world.service.history(seeded.payment_id)[-1]
        assert last["data"] == {"status": word, "by": "omar", "note": "cash, receipt 17", "known": []}
        for view in (stage.get(seeded), stage.verify(seeded)):
            assert (view.state, view.status, view.review) == ("SETTLED_OUTSIDE", word, ())
        assert (stage.cms(seeded)["status"], stage.cms(seeded)["gateway"]["state"]) == (word, "SETTLED_OUTSIDE")
        for act, asked in ACTS.items():
            with pytest.raises(InvalidArgument) as caught:
                asked(stage, seeded)
            assert caught.value.code == Refusal.SETTLED_OUTSIDE, act
        assert stage.sent() == []

    def test_changed_meanwhile(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the CMS takes back while an operator imports it is not written over with what it said before."""
        one = seed_payment(stage.database, status="paid")
        change = PaymentStore.change

        def meanwhile(*args: Any) -> Any:
            stage.database["payments"].update_one({"_id": one.payment}, {"$set": {"status": "pending"}})
            return change(*args)

        monkeypatch.setattr(PaymentStore, "change", meanwhile)
        with pytest.raises(InvalidArgument) as caught:
            stage.world.word.import_settled(one.payment_id, "paid in cash", OPERATOR)
        assert caught.value.code == Refusal.NOT_SETTLED_OUTSIDE
        assert (stage.cms(one)["status"], stage.facts(one)) == ("pending", [])

    @pytest.mark.parametrize("status", [None, "pending", "failed"])
    def test_not_settled(self, stage: Stage, status: str | None) -> None:
        """What the CMS does not call settled is not imported, and neither is what was begun here."""
        seeded = seed_payment(stage.database, status=status)
        for _ in range(2):
            with pytest.raises(InvalidArgument) as caught:
                stage.world.word.import_settled(seeded.payment_id, "cash", OPERATOR)
            assert caught.value.code == Refusal.NOT_SETTLED_OUTSIDE
            stage.create(seeded)

    def test_nobody_says(self, stage: Stage) -> None:
        """Without a name or a word about why nothing happens."""
        seeded = seed_payment(stage.database, status="paid")
        for note, who in (("  ", OPERATOR), ("cash", Context(correlation_id="c", source="s"))):
            with pytest.raises(InvalidArgument):
                stage.world.word.import_settled(seeded.payment_id, note, who)
        assert stage.facts(seeded) == []


def test_text_references(stage: Stage) -> None:
    """References that are ids as text are read like ObjectIds: client, contract, and the contract's employee."""
    seeded = seed_payment(stage.database)
    as_text = {"client": str(seeded.client), "contractId": f" {str(seeded.contract).upper()}"}
    stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": as_text})
    stage.database["contracts"].update_one({"_id": seeded.contract}, {"$set": {"employee": str(seeded.employee)}})
    stage.create(seeded)
    (body,) = stage.sent()
    assert (body["customer_details"]["name"], body["shipping_details"]["name"]) == ("Huda Payer", "Omar Engineer")
    created = stage.world.service.history(seeded.payment_id)[0]["data"]
    assert (created["client_id"], created["contract_id"]) == (str(seeded.client), seeded.contract_id)
