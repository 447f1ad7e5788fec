import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from payments.errors import InvalidArgument, NotYet, OperationConflict
from payments.operations import Status
from payments.views import PaymentView
from tasks.wiring import World
from tests.integration.payments.stage import DECLINED, ERROR, EXPIRED, HELD, PAID, Stage
from tests.support.cms import SeededPayment, seed_payment


class TestRequest:
    """What is asked of PayTabs comes from the CMS's documents and the settings."""

    def test_content(self, stage: Stage, seeded: SeededPayment) -> None:
        """Amount, currency, title, client and the contract's employee are sent, and where to call back."""
        view = stage.create(seeded)
        body = stage.sent()[0]
        client = stage.database["users"].find_one({"_id": seeded.client})
        assert client is not None
        assert body["cart_id"] == stage.row(seeded).cart_id
        assert (body["cart_amount"], body["cart_currency"]) == (115.0, "SAR")
        assert body["cart_description"] == "Second instalment"
        assert (body["tran_type"], body["tran_class"], body["paypage_lang"]) == ("sale", "ecom", "ar")
        assert (body["callback"], body["return"]) == (
            stage.settings.paytabs_callback_url,
            stage.settings.paytabs_return_url,
        )
        assert body["customer_details"] == {
            "name": "Huda Payer",
            "email": client["email"],
            "phone": client["phone"],
            "street1": "12 King Fahd Road",
            "city": "Riyadh",
            "state": "Riyadh",
            "country": "SA",
        }
        assert body["shipping_details"]["name"] == "Omar Engineer"
        assert (view.state, view.amount, view.currency) == ("AWAITING_PAYER", "115.00", "SAR")

    def test_choices(self, stage: Stage, seeded: SeededPayment) -> None:
        """What the caller chooses replaces the system's own; the payer is led to its address by the receiver."""
        stage.create(
            seeded,
            transaction="auth",
            callback_url="http://127.0.0.1:1/c",
            return_url="http://127.0.0.1:1/r",
            language="en",
            methods=("card", "-tabby"),
            tokenise=2,
        )
        body = stage.sent()[0]
        assert (body["tran_type"], body["paypage_lang"], body["tokenise"]) == ("auth", "en", 2)
        assert (body["callback"], body["return"]) == ("http://127.0.0.1:1/c", stage.settings.paytabs_return_url)
        assert stage.row(seeded).params["asked"]["return_url"] == "http://127.0.0.1:1/r"
        assert body["payment_methods"] == ["card", "-tabby"]

    def test_bad_choice(self, stage: Stage, seeded: SeededPayment) -> None:
        """A choice that PayTabs would refuse is refused at once under the caller's name for it; nothing is accepted."""
        with pytest.raises(InvalidArgument, match="callback_url"):
            stage.create(seeded, callback_url="ftp://example.com/")
        with pytest.raises(InvalidArgument, match="return_url"):
            stage.create(seeded, return_url="javascript:alert(1)")
        assert stage.rows(seeded) == []
        assert stage.facts(seeded) == []

    def test_correlation(self, stage: Stage, seeded: SeededPayment) -> None:
        """The correlation id reaches PayTabs and stands in every event, with who asked."""
        stage.create(seeded)
        assert stage.sandbox.requests("/payment/request")[0]["headers"]["X-Correlation-Id"] == "corr-1"
        events = stage.world.service.history(seeded.payment_id)
        assert {(event["correlation_id"], event["requested_by"]) for event in events} == {("corr-1", "tests")}

    def test_cms_fields(self, stage: Stage, seeded: SeededPayment) -> None:
        """In the CMS's document only status, transR, gateway and updatedAt change."""
        before = stage.cms(seeded)
        stage.clock.advance(60)
        view = stage.create(seeded)
        after = stage.cms(seeded)
        changed = {name for name in after if after[name] != before.get(name)}
        assert changed == {"transR", "gateway", "updatedAt"}
        assert set(before) <= set(after)
        assert (after["status"], after["transR"]) == ("pending", view.tran_ref)
        assert after["updatedAt"] == stage.clock.now
        assert after["gateway"]["redirect_url"] == view.redirect_url
        assert after["gateway"]["state"] == "AWAITING_PAYER"

    def test_no_personal_data(self, stage: Stage, seeded: SeededPayment) -> None:
        """Events hold ids, amounts and codes: nothing of the client or the payer."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        stage.verify(seeded)
        text = repr(list(stage.database["payment_events"].find()))
        client = stage.database["users"].find_one({"_id": seeded.client})
        assert client is not None
        for secret in ("Huda", client["email"], client["phone"], "King Fahd", "4111"):
            assert secret not in text


class TestSamePage:
    """A second call while a page is open gives the same page."""

    def test_same(self, stage: Stage, seeded: SeededPayment) -> None:
        """Two calls make one request and answer alike."""
        assert stage.create(seeded) == stage.create(seeded)
        assert len(stage.sent()) == 1

    def test_operation_id(self, stage: Stage, seeded: SeededPayment) -> None:
        """The caller's own id names the operation, and asking again with it gives the same page."""
        view = stage.create(seeded, operation_id="order-7")
        assert view.operation_id == "order-7"
        assert stage.create(seeded, operation_id="order-7") == view
        assert stage.create(seeded) == view

    def test_other_transaction(self, stage: Stage, seeded: SeededPayment) -> None:
        """Who asks for a reservation is not given a page that sells."""
        stage.create(seeded)
        with pytest.raises(InvalidArgument, match="transaction: expected 'sale'"):
            stage.create(seeded, transaction="auth")
        assert len(stage.sent()) == 1

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"language": "en"}, "language"),
            ({"methods": ("card",)}, "methods"),
            ({"transaction": "auth"}, "transaction"),
            ({"tokenise": 2}, "tokenise"),
            ({"return_url": "http://127.0.0.1:1/r"}, "return_url"),
        ],
    )
    def test_conflict(self, stage: Stage, seeded: SeededPayment, changes: dict[str, Any], name: str) -> None:
        """The same id with another choice is refused, naming the difference."""
        stage.create(seeded, operation_id="order-7")
        with pytest.raises(OperationConflict) as caught:
            stage.create(seeded, operation_id="order-7", **changes)
        assert caught.value.field == name
        assert "order-7" in str(caught.value)

    def test_conflict_payment(self, stage: Stage, seeded: SeededPayment) -> None:
        """An id that stands for another payment's operation is refused."""
        stage.create(seeded, operation_id="order-7")
        other = seed_payment(stage.database)
        with pytest.raises(OperationConflict) as caught:
            stage.create(other, operation_id="order-7")
        assert caught.value.field == "payment_id"
        assert stage.facts(other) == []

    def test_settings_changed(self, stage: Stage, seeded: SeededPayment) -> None:
        """An id is for what the caller chose: moving our own receiver in between is no other request."""
        stage.create(seeded, operation_id="order-7")
        moved = stage.another_world(paytabs_callback_url="http://127.0.0.1:1/moved")
        assert stage.create(seeded, moved, operation_id="order-7").operation_id == "order-7"

    def test_id_that_looks_like_ours(self, stage: Stage, seeded: SeededPayment) -> None:
        """A caller's id may look like one of ours; the next operation finds a free one."""
        stage.sandbox.pay(stage.open_page(seeded, operation_id=f"page-{seeded.payment_id}-2"), DECLINED)
        stage.verify(seeded)
        assert stage.create(seeded).operation_id == f"page-{seeded.payment_id}-3"


class TestNewAttempt:
    """After a failed attempt there may be a new one, under a cart of its own."""

    @pytest.mark.parametrize(
        ("card", "state"),
        [(DECLINED, "DECLINED"), (None, "CANCELLED"), (ERROR, "ERROR"), (EXPIRED, "EXPIRED")],
    )
    def test_after_failure(self, stage: Stage, seeded: SeededPayment, card: str | None, state: str) -> None:
        """Declined, cancelled, errored, expired: failed in the CMS, then pending again, then paid."""
        first = stage.open_page(seeded)
        stage.sandbox.pay(first, card) if card else stage.sandbox.cancel(first)
        assert stage.verify(seeded).state == state
        assert stage.cms(seeded)["status"] == "failed"
        assert stage.row(seeded).status is Status.REFUSED
        stage.clock.advance(1)
        second = stage.open_page(seeded)
        assert second != first
        assert stage.cms(seeded)["status"] == "pending"
        carts = [body["cart_id"] for body in stage.sent()]
        assert len(set(carts)) == 2
        stage.sandbox.pay(second, PAID)
        assert stage.verify(seeded).state == "PAID"
        after = stage.cms(seeded)
        assert (after["status"], after["transR"]) == ("paid", second)
        assert after["gateway"]["captured"] == "115.00"

    def test_after_paid(self, stage: Stage, seeded: SeededPayment) -> None:
        """A paid payment cannot be paid again; the error names the argument."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        stage.verify(seeded)
        with pytest.raises(InvalidArgument, match=r"^payment_id: .*PAID"):
            stage.create(seeded)
        assert len(stage.sent()) == 1

    @pytest.mark.parametrize(("card", "state"), [(HELD, "ON_HOLD"), ("pending", "PENDING_OFFLINE")])
    def test_while_undecided(self, stage: Stage, seeded: SeededPayment, card: str, state: str) -> None:
        """A held or deferred payment is not paid, and no second page is made for it."""
        stage.sandbox.pay(stage.open_page(seeded), card)
        assert stage.verify(seeded).state == state
        assert stage.cms(seeded)["status"] == "pending"
        view = stage.create(seeded)
        assert (view.state, view.redirect_url) == (state, None)
        assert len(stage.sent()) == 1

    def test_late_success(self, stage: Stage, seeded: SeededPayment) -> None:
        """An accepted attempt is not sent when the one before it turns out to be paid after all."""
        stage.sandbox.switch(page_attempts="until_paid")
        first = stage.open_page(seeded)
        stage.sandbox.pay(first, DECLINED)
        stage.verify(seeded)
        nobody = stage.another_world(paytabs_base_url="http://127.0.0.1:9")
        with pytest.raises(NotYet):
            stage.create(seeded, nobody)
        stage.sandbox.pay(first, PAID)
        stage.notice(first)
        stage.live(3600)
        view = stage.get(seeded)
        assert (view.state, view.flags) == ("PAID", ("late_success",))
        assert len(stage.sent()) == 1
        assert not stage.row(seeded).open

    def test_registered(self, stage: Stage, seeded: SeededPayment) -> None:
        """A card that was only registered has moved no money, and nothing has failed."""
        stage.sandbox.pay(stage.open_page(seeded, transaction="register", tokenise=2), PAID)
        view = stage.verify(seeded)
        assert (view.state, view.status, view.captured) == ("REGISTERED", "pending", "0")

    def test_rounded(self, stage: Stage, database: Database[dict[str, Any]]) -> None:
        """An amount that PayTabs tells with too few decimals is for a human, and no payer is sent to pay it."""
        stage.sandbox.switch(decimals="two")
        seeded = seed_payment(database, amount="1.234", currency="KWD")
        view = stage.create(seeded)
        assert (view.state, view.redirect_url) == ("REVIEW", None)
        assert stage.cms(seeded)["status"] == "pending"
        even = seed_payment(database, amount="1.230", currency="KWD")
        stage.sandbox.pay(stage.open_page(even), PAID)
        assert stage.verify(even).state == "PAID"

    def test_authorised(self, stage: Stage, seeded: SeededPayment) -> None:
        """A reservation that is authorised is not paid: its capture is still to come."""
        stage.sandbox.pay(stage.open_page(seeded, transaction="auth"), PAID)
        view = stage.verify(seeded)
        assert (view.state, view.authorised, view.captured) == ("AUTHORISED", "115.00", "0")
        assert stage.cms(seeded)["status"] == "pending"


class TestConcurrency:
    """However many ask at once, one request is made."""

    def test_twenty(self, stage: Stage, seeded: SeededPayment) -> None:
        """Twenty callers in four workers make one request, and all are given its page."""
        worlds = [stage.world, *(stage.another_world() for _ in range(3))]

        def ask(number: int) -> PaymentView:
            return _patiently(stage, seeded, worlds[number % len(worlds)])

        with ThreadPoolExecutor(20) as threads:
            views = list(threads.map(ask, range(20)))
        assert {view.redirect_url for view in views} == {views[0].redirect_url}
        assert views[0].redirect_url
        assert len(stage.sent()) == 1
        assert len(stage.sandbox.ledger()) == 1
        assert stage.facts(seeded) == ["PaymentCreated", "AttemptStarted", "PageOpened"]

    def test_same_operation_id(self, stage: Stage, seeded: SeededPayment) -> None:
        """Eight deliveries of one message with an operation id make one request."""
        with ThreadPoolExecutor(8) as threads:
            views = list(threads.map(lambda _: _patiently(stage, seeded, stage.world, operation_id="o-1"), range(8)))
        assert {view.operation_id for view in views} == {"o-1"}
        assert len(stage.sent()) == 1


def _patiently(stage: Stage, seeded: SeededPayment, world: World, **asked: Any) -> PaymentView:
    """Ask until there is a page, as the task's retries do."""
    for _ in range(200):
        try:
            return stage.create(seeded, world, **asked)
        except NotYet:
            time.sleep(0.05)
    raise AssertionError("no page came")


class TestBadDocuments:
    """What the CMS holds may be wrong: a clear error names the field, or the request works without it."""

    @pytest.mark.parametrize("amount", [115.5, "12.345", "-1", "0", "1e3", "1,000.00", "", None, True, "abc", ["1"]])
    def test_amount(self, stage: Stage, amount: object) -> None:
        """An amount that cannot be moved exactly is refused by its field's name; nothing is accepted."""
        seeded = seed_payment(stage.database, amount=None)
        if amount is not None:
            stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"amount": amount}})
        with pytest.raises(InvalidArgument) as caught:
            stage.create(seeded)
        assert caught.value.field == "payments.amount"
        assert stage.rows(seeded) == []

    @pytest.mark.parametrize("currency", ["XXX", "", None, "riyal", "SA"])
    def test_currency(self, stage: Stage, currency: str | None) -> None:
        """A currency nobody knows is refused by its field's name."""
        seeded = seed_payment(stage.database, currency=currency)
        with pytest.raises(InvalidArgument) as caught:
            stage.create(seeded)
        assert caught.value.field == "payments.currency"

    @pytest.mark.parametrize(
        ("amount", "currency", "sent"),
        [("115", "sar", "115.00"), (" 7.5 ", "Usd", "7.50"), ("1.234", "KWD", "1.234"), ("115.5000", "SAR", "115.50")],
    )
    def test_odd_but_good(
        self, stage: Stage, database: Database[dict[str, Any]], amount: str, currency: str, sent: str
    ) -> None:
        """Lower case, spaces and trailing zeros are no mistakes; the exact digits go out."""
        seeded = seed_payment(database, amount=amount, currency=currency)
        view = stage.create(seeded)
        assert (view.amount, view.currency) == (sent, currency.upper())
        raw = stage.sandbox.requests("/payment/request")[0]["raw_body"]
        assert f'"cart_amount":{sent}' in raw

    @pytest.mark.parametrize("country", ["Saudi Arabia", "S4", "سع", "", " sa ", "sau", None, 966, "ßß"])
    def test_country(self, stage: Stage, seeded: SeededPayment, country: object) -> None:
        """A country is sent as its code of two letters; one that means none is left for the page to ask."""
        stage.database["users"].update_many({}, {"$set": {"address.country": country}})
        stage.create(seeded)
        expected = "SA" if country in (" sa ", "sau", "Saudi Arabia") else None
        assert stage.sent()[0]["customer_details"].get("country") == expected

    def test_missing_people(self, stage: Stage) -> None:
        """A payment without client and contract is asked for without them."""
        seeded = seed_payment(stage.database, with_contract=False)
        stage.database["users"].delete_many({})
        assert stage.create(seeded).redirect_url
        assert not {"customer_details", "shipping_details"} & set(stage.sent()[0])

    @pytest.mark.parametrize(
        "broken",
        [{"employee": "not an id"}, {"employee": None}, {"employee": 7}],
    )
    def test_broken_references(self, stage: Stage, seeded: SeededPayment, broken: dict[str, Any]) -> None:
        """A reference that is none leads nowhere, and the page is made."""
        stage.database["contracts"].update_one({"_id": seeded.contract}, {"$set": broken})
        stage.database["users"].update_one({"_id": seeded.client}, {"$set": {"address": "a text", "email": None}})
        assert stage.create(seeded).redirect_url
        assert "shipping_details" not in stage.sent()[0]

    def test_title(self, stage: Stage) -> None:
        """A long title is cut to what PayTabs takes; a blank one is replaced."""
        long, blank = seed_payment(stage.database, title="ب" * 300), seed_payment(stage.database, title="   ")
        stage.create(long)
        stage.create(blank)
        first, second = (body["cart_description"] for body in stage.sent())
        assert first == "ب" * 128
        assert second == f"Payment {blank.payment_id}"

    def test_unknown_payment(self, stage: Stage, seeded: SeededPayment) -> None:
        """A payment that the CMS does not have is refused by the argument's name."""
        stage.database["payments"].delete_one({"_id": seeded.payment})
        with pytest.raises(InvalidArgument) as caught:
            stage.create(seeded)
        assert caught.value.field == "payment_id"
