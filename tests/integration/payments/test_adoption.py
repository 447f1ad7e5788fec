import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from payments.errors import InvalidArgument, NotYet, Refusal
from tasks import wiring
from tasks.payments import verify
from tests.integration.payments.stage import DECLINED, HELD, PAID, Stage
from tests.support.cms import SeededPayment, seed_payment


class TestAdoption:
    """A payment begun by the CMS's old code (a `transR`, no events) is taken over once, its state from a query."""

    def test_paid(self, stage: Stage) -> None:
        """A paid one is paid after the first look, in one step: it never looks unpaid in between."""
        seeded, tran_ref = old_payment(stage, PAID, status="paid")
        assert stage.verify(seeded).state == "PAID"
        assert stage.facts(seeded) == ["PaymentAdopted", "TransactionObserved", "PaymentCompleted"]
        recorded = {event["recorded_at"] for event in stage.world.service.history(seeded.payment_id)}
        assert len(recorded) == 1
        cms = stage.cms(seeded)
        assert (cms["status"], cms["transR"], cms["gateway"]["captured"]) == ("paid", tran_ref, "115.00")
        assert [row.open for row in stage.rows(seeded)] == [False]

    @pytest.mark.parametrize("status", [None, "", " Pending", "failed", "FAILED "])
    def test_declined(self, stage: Stage, status: str | None) -> None:
        """PayTabs' word goes over a status that says nothing of money, and a new page can be made."""
        seeded, tran_ref = old_payment(stage, DECLINED, status=status)
        assert stage.verify(seeded).state == "DECLINED"
        assert stage.cms(seeded)["status"] == "failed"
        stage.clock.advance(1)
        assert stage.open_page(seeded) != tran_ref

    @pytest.mark.parametrize("status", ["paid", " Paid ", "refunded"])
    @pytest.mark.parametrize("card", [DECLINED, HELD, None])
    def test_not_confirmed(self, stage: Stage, card: str | None, status: str) -> None:
        """What the CMS calls settled and PayTabs does not confirm is left as it is, and a person has to look."""
        seeded, _ = old_payment(stage, card, status=status)
        view = stage.verify(seeded)
        assert view.state in ("DECLINED", "ON_HOLD", "AWAITING_PAYER")
        assert view.review_codes == ("cms_settled_not_confirmed",)
        assert (stage.cms(seeded)["status"], stage.cms(seeded)["gateway"]["state"]) == (status, view.state)
        for _ in range(2):
            with pytest.raises(InvalidArgument) as caught:
                stage.create(seeded)
            assert (caught.value.field, caught.value.code) == ("payment_id", Refusal.CMS_WORD_OPEN)
        assert len(stage.sent()) == 1

    def test_refunded_in_cash(self, stage: Stage) -> None:
        """Paid at PayTabs and given back by staff: the payment is paid, and whose word stands a person says."""
        seeded, tran_ref = old_payment(stage, PAID, status="refunded")
        view = stage.verify(seeded)
        assert (view.state, view.captured, view.review_codes) == ("PAID", "115.00", ("cms_settled_not_confirmed",))
        assert (stage.cms(seeded)["status"], stage.cms(seeded)["transR"]) == ("refunded", tran_ref)

    def test_open_page(self, stage: Stage) -> None:
        """While its old page is open no second one is made, until PayTabs says that it has expired."""
        seeded, tran_ref = old_payment(stage, None)
        view = stage.create(seeded)
        assert (view.state, view.tran_ref, view.redirect_url) == ("AWAITING_PAYER", tran_ref, None)
        assert len(stage.sent()) == 1
        stage.sandbox.dashboard(tran_ref, "expire")
        stage.live(3600)
        assert stage.state(seeded) == "EXPIRED"
        assert stage.create(seeded).redirect_url

    def test_polled(self, stage: Stage) -> None:
        """An open one is polled like any other."""
        seeded, tran_ref = old_payment(stage, None)
        stage.verify(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.live(60)
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PAID", "paid")

    def test_by_tran_ref(self, stage: Stage) -> None:
        """It is found by its reference alone, as the payer's browser brings it."""
        seeded, tran_ref = old_payment(stage, PAID)
        assert stage.world.service.payment_of(tran_ref, stage.context()) == seeded.payment_id
        assert stage.state(seeded) == "PAID"

    def test_concurrently(self, stage: Stage) -> None:
        """Ten callers at once take it over once."""
        seeded, _ = old_payment(stage, PAID)
        worlds = [stage.world, stage.another_world()]

        def verify(number: int) -> str:
            return str(worlds[number % 2].service.verify(seeded.payment_id, stage.context()).state)

        with ThreadPoolExecutor(10) as threads:
            assert set(threads.map(verify, range(10))) == {"PAID"}
        assert stage.facts(seeded).count("PaymentAdopted") == 1
        assert len(stage.rows(seeded)) == 1

    @pytest.mark.parametrize("kind", ["http_500", "html_200"])
    def test_gateway_silent(self, stage: Stage, kind: str) -> None:
        """Without an answer nothing is taken over and the CMS's document stays as it is."""
        seeded, _ = old_payment(stage, PAID, status="paid")
        before = stage.cms(seeded)
        stage.sandbox.fault("/payment/query", kind, times=0)
        with pytest.raises(NotYet):
            stage.verify(seeded)
        with pytest.raises(NotYet):
            stage.create(seeded)
        assert stage.cms(seeded) == before
        assert stage.facts(seeded) == []

    def test_unknown_reference(self, stage: Stage) -> None:
        """One that the CMS calls paid and PayTabs does not know is for a human."""
        seeded = seed_payment(stage.database, status="paid", tran_ref="TST0000000000001")
        assert stage.verify(seeded).state == "REVIEW"
        assert "PayTabs does not know" in stage.alerts()["payment_review"]
        assert (stage.cms(seeded)["status"], stage.cms(seeded)["transR"]) == ("paid", "TST0000000000001")

    @pytest.mark.parametrize("status", ["refunded", " Paid"])
    def test_unknown_and_settled(self, stage: Stage, status: str) -> None:
        """Unknown to PayTabs and settled by the CMS's word: left as it is, nothing is charged, a person settles it."""
        seeded = seed_payment(stage.database, status=status, tran_ref="TST0000000000001")
        with pytest.raises(InvalidArgument) as caught:
            stage.create(seeded)
        assert caught.value.code == Refusal.CMS_WORD_OPEN
        stage.live(3 * 86_400)
        assert stage.get(seeded).review_codes == ("cms_settled_reference_unknown",)
        assert (stage.cms(seeded)["status"], stage.cms(seeded)["transR"]) == (status, "TST0000000000001")
        assert stage.sent() == []

    @pytest.mark.parametrize("status", [None, "", "pending", "failed"])
    def test_unknown_and_unpaid(self, stage: Stage, status: str | None) -> None:
        """Unknown to PayTabs and nobody says that it is paid: the old page has ended when it is asked about again."""
        seeded = seed_payment(stage.database, status=status, tran_ref="TST0000000000001")
        view = stage.create(seeded)
        assert (view.redirect_url, view.page_state, view.new_page_at) == (None, "over", view.new_page_at)
        assert view.new_page_at is not None
        stage.live(129)
        assert stage.create(seeded).redirect_url is None
        stage.world = stage.another_world()
        stage.clock.advance(2)
        made = stage.create(seeded)
        assert made.redirect_url is not None
        assert [body["tran_ref"] for body in stage.queries()].count("TST0000000000001") >= 2
        assert (stage.cms(seeded)["transR"], stage.cms(seeded)["status"]) == (made.tran_ref, "pending")
        assert stage.get(seeded).review == ()

    def test_unknown_by_itself(self, stage: Stage) -> None:
        """The sweep finds it out as well, and the old reference is watched for a day, and no longer."""
        seeded = seed_payment(stage.database, tran_ref="TST0000000000001")
        stage.verify(seeded)
        stage.live(200)
        assert stage.row(seeded).has_ended
        stage.live(86_400)
        asked = len(stage.queries())
        assert asked > len(("adopted", "asked again"))
        stage.live(10 * 86_400)
        assert stage.row(seeded).due_at is None
        assert len(stage.queries()) <= asked + 1

    def test_heard_of_after_all(self, stage: Stage) -> None:
        """A page that PayTabs knows the second time is an open page like any other."""
        seeded, tran_ref = old_payment(stage, None)
        stage.sandbox.switch(query_unpaid_page="error")
        stage.verify(seeded)
        stage.sandbox.switch(query_unpaid_page="pending")
        stage.live(400)
        assert (stage.state(seeded), stage.get(seeded).tran_ref) == ("AWAITING_PAYER", tran_ref)
        assert stage.row(seeded).open
        assert len(stage.sent()) == 1

    @pytest.mark.parametrize("status", [None, "pending", "failed", "paid", "refunded"])
    @pytest.mark.parametrize(
        "reference",
        [ObjectId("65f0c0ffee65f0c0ffee65f0"), 17, 1.5, True, {"ref": "TST1"}, ["TST1"], "TST 1", "TST1\0"],
        ids=str,
    )
    def test_no_reference(self, stage: Stage, reference: Any, status: str | None) -> None:
        """A `transR` that is no reference is a case, left as it is; nothing is asked, nothing is charged."""
        seeded = seed_payment(stage.database, status=status, transR=reference)
        for _ in range(2):
            with pytest.raises(InvalidArgument) as caught:
                stage.create(seeded)
            assert (caught.value.field, caught.value.code) == ("payment_id", Refusal.CMS_WORD_OPEN)
        assert stage.get(seeded).review_codes == ("cms_reference_unreadable",)
        assert (stage.cms(seeded)["transR"], stage.cms(seeded).get("status")) == (reference, status)
        assert (stage.queries(), stage.sent()) == ([], [])

    def test_no_reference_settled_as_ours(self, stage: Stage) -> None:
        """Once a person has said that it is nothing, a page can be made, and its reference takes that place."""
        seeded = seed_payment(stage.database, transR=17)
        stage.verify(seeded)
        (case,) = stage.world.review.cases(seeded.payment_id)
        stage.world.word.settle(seeded.payment_id, case.reason, "ours", "an import", stage.context())
        assert stage.cms(seeded)["transR"] == 17
        tran_ref = stage.open_page(seeded)
        assert (stage.cms(seeded)["transR"], stage.get(seeded).review) == (tran_ref, ())

    def test_other_amount(self, stage: Stage) -> None:
        """One that was charged another amount than the CMS names is for a human."""
        seeded, _ = old_payment(stage, PAID)
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"amount": "9.00"}})
        assert stage.verify(seeded).state == "REVIEW"
        assert stage.cms(seeded)["status"] == "pending"


class TestReading:
    """`verify`, `get` and `history` for payments of every age."""

    def test_untouched(self, stage: Stage, seeded: SeededPayment) -> None:
        """A payment nobody asked us for is shown as the CMS has it, and left alone."""
        before = stage.cms(seeded)
        for view in (stage.get(seeded), stage.verify(seeded)):
            assert (view.state, view.status, view.amount, view.version) == ("NEW", "pending", "115.00", 0)
        assert stage.world.service.history(seeded.payment_id) == []
        assert stage.cms(seeded) == before
        assert stage.queries() == []

    def test_unknown(self, stage: Stage) -> None:
        """An id the CMS does not have is an error that names the argument."""
        missing = seed_payment(stage.database)
        stage.database["payments"].delete_many({})
        service = stage.world.service
        for ask in (service.get, service.history, lambda one: service.verify(one, stage.context())):
            with pytest.raises(InvalidArgument) as caught:
                ask(missing.payment_id)
            assert caught.value.field == "payment_id"

    def test_unknown_reference(self, stage: Stage) -> None:
        """A reference of nothing is an error that names the argument."""
        with pytest.raises(InvalidArgument) as caught:
            stage.world.service.payment_of("TST0000000000001", stage.context())
        assert caught.value.field == "tran_ref"

    def test_history(self, stage: Stage, seeded: SeededPayment) -> None:
        """The events are plain JSON in order, each naming the hash of the one before."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        stage.verify(seeded)
        events = stage.world.service.history(seeded.payment_id)
        names = ["PaymentCreated", "AttemptStarted", "PageOpened", "TransactionObserved", "PaymentCompleted"]
        assert [event["type"] for event in events] == names
        assert [event["version"] for event in events] == [1, 2, 3, 4, 5]
        assert [event["prev_hash"] for event in events[1:]] == [event["hash"] for event in events[:-1]]
        assert events[0]["data"] == {
            "amount": "115.00",
            "currency": "SAR",
            "profile_id": 987654,
            "client_id": str(seeded.client),
            "contract_id": seeded.contract_id,
        }

    def test_verify_again(self, stage: Stage, seeded: SeededPayment) -> None:
        """Asking twice adds nothing the second time."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        assert stage.verify(seeded) == stage.verify(seeded)

    def test_verify_silent(self, stage: Stage, seeded: SeededPayment) -> None:
        """A PayTabs that does not answer is reported as such, and nothing changes."""
        stage.open_page(seeded)
        stage.sandbox.fault("/payment/query", "http_500", times=0)
        with pytest.raises(NotYet, match="gateway_http_5xx"):
            stage.verify(seeded)
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_unpaid_page_is_error(self, stage: Stage, seeded: SeededPayment) -> None:
        """Where PayTabs answers an unpaid page with its error of code 2, the page stays open."""
        stage.sandbox.switch(query_unpaid_page="error")
        tran_ref = stage.open_page(seeded)
        assert stage.verify(seeded).state == "AWAITING_PAYER"
        stage.sandbox.pay(tran_ref, PAID)
        assert stage.verify(seeded).state == "PAID"

    def test_older_attempt(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """Asked by the reference of an earlier attempt, that one is looked at too."""
        stage.sandbox.switch(page_attempts="until_paid")
        first = stage.open_page(seeded)
        stage.sandbox.pay(first, DECLINED)
        stage.verify(seeded)
        stage.clock.advance(1)
        stage.open_page(seeded)
        stage.sandbox.pay(first, PAID)
        assert stage.verify(seeded).state == "AWAITING_PAYER"
        monkeypatch.setitem(wiring._worlds, os.getpid(), stage.world)
        view: Any = verify.apply(kwargs={"tran_ref": first, "payer_returned": True}, throw=True).result
        assert (view["state"], view["tran_ref"], view["flags"]) == ("PAID", first, ["late_success"])


def old_payment(stage: Stage, card: str | None, *, status: str | None = "pending") -> tuple[SeededPayment, str]:
    """Leave a payment as the CMS's old code does: a page at PayTabs, its reference in `transR`, nothing of ours."""
    seeded = seed_payment(stage.database)
    tran_ref = stage.open_page(seeded)
    if card:
        stage.sandbox.pay(tran_ref, card)
    for name in ("payment_events", "payment_operations"):
        stage.database[name].delete_many({"payment_id": seeded.payment})
    stage.database["event_deliveries"].delete_many({"payment_id": seeded.payment_id})
    gone = {"gateway": ""} | ({"status": ""} if status is None else {})
    left = {"$set": {"transR": tran_ref} | ({} if status is None else {"status": status}), "$unset": gone}
    stage.database["payments"].update_one({"_id": seeded.payment}, left)
    return seeded, tran_ref
