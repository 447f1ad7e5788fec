import time
from typing import Any

import pytest
from bson import ObjectId

from payments.accepting import ChargeTerms
from payments.allowance import Action
from payments.cms_rows import COLLECTION
from payments.errors import InvalidArgument, Refusal
from payments.events import Context
from payments.operations import Operation
from payments.reasons import Reason
from payments.sending import Sender
from payments.settling import Decision
from tests.integration.payments.stage import DECLINED, PAID, Stage
from tests.integration.payments.test_page_ends import LIFE, MARGIN, pass_time
from tests.support.cms import SeededPayment
from tests.support.replays import replay

OPERATOR = Context(correlation_id="corr-2", source="review", requested_by="omar")

#: Values by which the CMS contradicts a payment that nobody has paid, and those by which it does not.
CONTRADICTING: list[Any] = ["paid", " Paid", "refunded", 17, "lost", {"a": 1}, ["paid"], True]
AGREEING: list[Any] = [None, "", "  ", "pending", "Pending "]

#: What no look may come near, however long the words are: of the processor's time, in seconds.
SHORT_SECONDS = 10.0


def says(stage: Stage, seeded: SeededPayment, **fields: Any) -> None:
    """Write into the CMS's document as its staff or its code would."""
    stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": fields})


def looks(stage: Stage, seeded: SeededPayment) -> None:
    """Have the document looked at because it was changed."""
    stage.world.documents.look(seeded.payment_id, stage.context("watcher"))


def declined(stage: Stage, seeded: SeededPayment) -> str:
    """Have a page made and declined."""
    tran_ref = stage.open_page(seeded)
    stage.sandbox.pay(tran_ref, DECLINED)
    stage.verify(seeded)
    return tran_ref


def settle(stage: Stage, seeded: SeededPayment, decision: Decision) -> None:
    """Settle the one case that there is."""
    (case,) = stage.world.review.cases(seeded.payment_id)
    stage.world.word.settle(seeded.payment_id, case.reason, decision, "asked the office", OPERATOR)


def codes(stage: Stage, seeded: SeededPayment) -> tuple[str, ...]:
    """Return the codes of a payment's open cases."""
    return stage.get(seeded).review_codes


class TestForeignStatus:
    """A status that is not ours: left as it is and a case beside the state, or written over."""

    @pytest.mark.parametrize("theirs", CONTRADICTING, ids=str)
    @pytest.mark.parametrize("noticed", [True, False])
    def test_open_page(self, stage: Stage, seeded: SeededPayment, theirs: Any, *, noticed: bool) -> None:
        """Staff says that an open page's payment is settled, the payer declines: their word stays until a person looks.

        It does so whether the change is noticed at once or only when something else happens.
        """
        tran_ref = stage.open_page(seeded)
        says(stage, seeded, status=theirs)
        if noticed:
            looks(stage, seeded)
            assert (stage.state(seeded), codes(stage, seeded)) == ("AWAITING_PAYER", ("cms_status_changed",))
            assert {"payment_review", "page_left_open"} <= stage.open_alerts().keys()
        stage.sandbox.pay(tran_ref, DECLINED)
        stage.verify(seeded)
        cms = stage.cms(seeded)
        assert (cms["status"], cms["gateway"]["state"]) == (theirs, "DECLINED")
        assert cms["gateway"]["review_codes"] == ["cms_status_changed"]
        assert "page_left_open" not in stage.open_alerts()

    def test_very_long(self, stage: Stage, seeded: SeededPayment) -> None:
        """A status of a hundred thousand letters is told by its beginning, and takes no time to be told."""
        declined(stage, seeded)
        says(stage, seeded, status="x" * 100_000)
        started = time.process_time()
        looks(stage, seeded)
        assert time.process_time() - started < SHORT_SECONDS
        assert stage.get(seeded).review == (f"the CMS has set status to {'x' * 40 + '…'!r} itself",)

    @pytest.mark.parametrize("theirs", AGREEING, ids=repr)
    def test_says_nothing(self, stage: Stage, seeded: SeededPayment, theirs: Any) -> None:
        """Nothing, or `pending`, over our `pending` or `failed` is no case, and is written over."""
        tran_ref = stage.open_page(seeded)
        for ours in ("pending", "failed"):
            says(stage, seeded, status=theirs)
            looks(stage, seeded)
            assert (stage.cms(seeded)["status"], codes(stage, seeded)) == (ours, ())
            if ours == "pending":
                stage.sandbox.pay(tran_ref, DECLINED)
                stage.verify(seeded)
        assert stage.open_alerts() == {}

    @pytest.mark.parametrize("theirs", ["pending", None, "", "failed", "refunded", 4])
    def test_over_paid(self, stage: Stage, seeded: SeededPayment, theirs: Any) -> None:
        """Anything but the same over a paid payment is a case; the payment stays paid."""
        stage.paid(seeded)
        says(stage, seeded, status=theirs)
        looks(stage, seeded)
        assert (stage.state(seeded), codes(stage, seeded)) == ("PAID", ("cms_status_changed",))
        assert (stage.cms(seeded)["status"], stage.cms(seeded)["gateway"]["state"]) == (theirs, "PAID")
        assert stage.follow_up(seeded, "refund", "15.00").status == "succeeded"
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PART_REFUNDED", theirs)
        assert {row.status for row in stage.rows(seeded)} == {"succeeded"}

    @pytest.mark.parametrize("theirs", ["paid", " PAID "])
    def test_same(self, stage: Stage, seeded: SeededPayment, theirs: str) -> None:
        """The same as ours is no case, however it is written."""
        stage.paid(seeded)
        says(stage, seeded, status=theirs)
        looks(stage, seeded)
        assert (stage.cms(seeded)["status"], codes(stage, seeded)) == ("paid", ())

    def test_cash_and_card(self, stage: Stage, seeded: SeededPayment) -> None:
        """`paid` that stood before PayTabs' own stays a case when the money comes, noticed before or not."""
        tran_ref = stage.open_page(seeded)
        says(stage, seeded, status="paid")
        stage.sandbox.pay(tran_ref, PAID)
        stage.verify(seeded)
        for _ in range(3):
            assert (stage.state(seeded), codes(stage, seeded)) == ("PAID", ("cms_status_changed",))
            looks(stage, seeded)
            stage.verify(seeded)
        assert stage.row(seeded).status == "succeeded"
        settle(stage, seeded, "ours")
        assert (codes(stage, seeded), stage.cms(seeded)["status"]) == ((), "paid")

    def test_agreement_without_money(self, stage: Stage, seeded: SeededPayment) -> None:
        """`failed` that we come to say as well is no case any more: no money is meant."""
        tran_ref = stage.open_page(seeded)
        says(stage, seeded, status="failed")
        looks(stage, seeded)
        assert codes(stage, seeded) == ("cms_status_changed",)
        stage.sandbox.pay(tran_ref, DECLINED)
        stage.verify(seeded)
        assert (codes(stage, seeded), stage.cms(seeded)["status"]) == ((), "failed")

    def test_taken_back(self, stage: Stage, seeded: SeededPayment) -> None:
        """What the CMS takes back is no case any more; said once more, it is one again."""
        stage.open_page(seeded)
        for _ in range(2):
            says(stage, seeded, status="paid")
            looks(stage, seeded)
            assert codes(stage, seeded) == ("cms_status_changed",)
            stage.clock.advance(1)
            says(stage, seeded, status="pending")
            looks(stage, seeded)
            assert codes(stage, seeded) == ()
        assert "payment_review" not in stage.open_alerts()

    @pytest.mark.parametrize("noticed", [True, False])
    def test_refused(self, stage: Stage, seeded: SeededPayment, *, noticed: bool) -> None:
        """No page and no charge: the refusal names the payment and the case, and the case is on record."""
        declined(stage, seeded)
        says(stage, seeded, status="paid")
        if noticed:
            looks(stage, seeded)
        stage.clock.advance(1)
        token = ChargeTerms(kind="charge_token", secret="t-1")
        refusals = "the CMS has set status to paid"
        with pytest.raises(InvalidArgument, match=refusals) as page:
            stage.create(seeded)
        with pytest.raises(InvalidArgument, match=refusals) as charge:
            stage.world.money.charge(seeded.payment_id, token, "op-1", stage.context())
        for caught in (page, charge):
            assert (caught.value.field, caught.value.code) == ("payment_id", Refusal.CMS_WORD_OPEN)
        assert (len(stage.sent()), codes(stage, seeded)) == (1, ("cms_status_changed",))

    @pytest.mark.parametrize("decision", [None, "theirs", "outside"])
    def test_same_page_again(self, stage: Stage, seeded: SeededPayment, decision: Decision | None) -> None:
        """Who asks once more for the page that is open, by its name or without, is not led there beside cash."""
        stage.create(seeded, operation_id="page-1")
        assert stage.create(seeded, operation_id="page-1").redirect_url
        says(stage, seeded, status="paid")
        if decision:
            looks(stage, seeded)
            settle(stage, seeded, decision)
        for operation_id in ("page-1", None):
            with pytest.raises(InvalidArgument) as caught:
                stage.create(seeded, operation_id=operation_id)
            assert caught.value.code == (Refusal.SETTLED_OUTSIDE if decision else Refusal.CMS_WORD_OPEN)
        says(stage, seeded, status="pending")
        looks(stage, seeded)
        if not decision:
            assert stage.create(seeded, operation_id="page-1").redirect_url

    def test_before_it_is_sent(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is said between accepting and sending stops the sending as well."""
        declined(stage, seeded)
        stage.clock.advance(1)
        send = Sender.send

        def say_and_send(self: Sender, operation_id: str, context: Context) -> Operation:
            says(stage, seeded, status="paid")
            return send(self, operation_id, context)

        monkeypatch.setattr(Sender, "send", say_and_send)
        stage.create(seeded)
        assert len(stage.sent()) == 1
        assert (stage.row(seeded).status, stage.cms(seeded)["status"]) == ("refused", "paid")
        assert codes(stage, seeded) == ("cms_status_changed",)


class TestForeignReference:
    """A `transR` that is not ours."""

    @pytest.mark.parametrize(
        "theirs", ["TST9999999999999", 17, {"a": 1}, ObjectId("65f0c0ffee65f0c0ffee65f0"), "not a reference"], ids=str
    )
    def test_left(self, stage: Stage, seeded: SeededPayment, theirs: Any) -> None:
        """It is left as it is, whatever it is; the payment goes on, and nothing new is charged."""
        tran_ref = stage.open_page(seeded)
        says(stage, seeded, transR=theirs)
        stage.sandbox.pay(tran_ref, DECLINED)
        stage.verify(seeded)
        cms = stage.cms(seeded)
        assert (cms["transR"], cms["gateway"]["tran_ref"], cms["status"]) == (theirs, tran_ref, "failed")
        assert codes(stage, seeded) == ("cms_reference_changed",)
        with pytest.raises(InvalidArgument) as caught:
            stage.create(seeded)
        assert caught.value.code == Refusal.CMS_WORD_OPEN
        settle(stage, seeded, "ours")
        assert (stage.cms(seeded)["transR"], codes(stage, seeded)) == (tran_ref, ())

    def test_same_text(self, stage: Stage, seeded: SeededPayment) -> None:
        """Ours with spaces around it is ours, and is not rewritten as other text of the same."""
        tran_ref = stage.open_page(seeded)
        says(stage, seeded, transR=f" {tran_ref} ")
        looks(stage, seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.verify(seeded)
        assert (stage.cms(seeded)["transR"], codes(stage, seeded)) == (f" {tran_ref} ", ())
        assert "mended" not in replay(stage.world.replayer)["counts"]
        assert stage.cms(seeded)["transR"] == f" {tran_ref} "

    @pytest.mark.parametrize("theirs", [None, "", "  "], ids=repr)
    def test_taken_away(self, stage: Stage, seeded: SeededPayment, theirs: str | None) -> None:
        """Where none stands any more, ours is written again, at once and once."""
        tran_ref = stage.paid(seeded)
        says(stage, seeded, transR=theirs)
        looks(stage, seeded)
        assert (stage.cms(seeded)["transR"], codes(stage, seeded)) == (tran_ref, ())
        written = stage.cms(seeded)["updatedAt"]
        stage.clock.advance(1)
        looks(stage, seeded)
        assert stage.cms(seeded)["updatedAt"] == written

    def test_kept(self, stage: Stage, seeded: SeededPayment) -> None:
        """Theirs is kept, until a new attempt has a reference of its own."""
        declined(stage, seeded)
        says(stage, seeded, transR="TST9999999999999")
        looks(stage, seeded)
        settle(stage, seeded, "theirs")
        looks(stage, seeded)
        stage.verify(seeded)
        assert (stage.cms(seeded)["transR"], codes(stage, seeded)) == ("TST9999999999999", ())
        stage.clock.advance(1)
        second = stage.open_page(seeded)
        assert (stage.cms(seeded)["transR"], codes(stage, seeded)) == (second, ())


class TestForeignGateway:
    """`gateway` is ours."""

    @pytest.mark.parametrize("theirs", ["gone", None, 7, {}, {"state": "PAID"}, []], ids=repr)
    def test_written_over(self, stage: Stage, seeded: SeededPayment, theirs: Any) -> None:
        """It is written over, and operators are told of it, once."""
        stage.open_page(seeded)
        ours = stage.cms(seeded)["gateway"]
        says(stage, seeded, gateway=theirs)
        looks(stage, seeded)
        assert (stage.cms(seeded)["gateway"], codes(stage, seeded)) == (ours, ())
        assert "cms_changed_gateway" in stage.open_alerts()
        for _ in range(2):
            looks(stage, seeded)
        (alert,) = stage.database["alerts"].find({"name": "cms_changed_gateway"})
        assert (alert["key"], alert["count"]) == ("payments", 1)

    def test_a_member(self, stage: Stage, seeded: SeededPayment) -> None:
        """One member is as much ours as all of them; their order is nobody's."""
        stage.paid(seeded)
        gateway = stage.cms(seeded)["gateway"]
        says(stage, seeded, gateway=dict(reversed(gateway.items())))
        looks(stage, seeded)
        assert stage.open_alerts() == {}
        says(stage, seeded, **{"gateway.captured": "1.00"})
        looks(stage, seeded)
        assert stage.cms(seeded)["gateway"] == gateway
        assert stage.open_alerts().keys() == {"cms_changed_gateway"}

    @pytest.mark.parametrize("version", [0, 2, 1_000], ids=str)
    def test_of_another_version(self, stage: Stage, seeded: SeededPayment, version: int) -> None:
        """A document that the CMS has loaded before and saves now, and one that names what never was, are written over.

        A version that is too high would keep everything out that happens later.
        """
        tran_ref = stage.open_page(seeded)
        earlier = stage.cms(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.verify(seeded)
        paid = stage.cms(seeded)
        says(stage, seeded, gateway={**earlier["gateway"], "version": version}, status=earlier["status"])
        if version < earlier["gateway"]["version"]:
            says(stage, seeded, status="paid")
        looks(stage, seeded)
        assert stage.cms(seeded)["gateway"] | {"review": [], "review_codes": [], "version": 0} == (
            paid["gateway"] | {"version": 0}
        )
        assert "cms_changed_gateway" in stage.open_alerts()
        stage.follow_up(seeded, "refund", "15.00")
        assert stage.cms(seeded)["gateway"]["state"] == "PART_REFUNDED"
        assert "projection_missing" not in stage.open_alerts()


class TestSettling:
    """A person says whose word stands."""

    def test_ours(self, stage: Stage, seeded: SeededPayment) -> None:
        """Ours is written over theirs, and a new page can be made; theirs said again is a case again."""
        declined(stage, seeded)
        for _ in range(2):
            says(stage, seeded, status="paid")
            looks(stage, seeded)
            settle(stage, seeded, "ours")
            assert (stage.cms(seeded)["status"], codes(stage, seeded)) == ("failed", ())
            stage.clock.advance(1)
        assert stage.create(seeded).redirect_url
        assert "payment_review" not in stage.open_alerts()

    def test_theirs(self, stage: Stage, seeded: SeededPayment) -> None:
        """Theirs is kept and shown as the status; what means money is not charged for again."""
        tran_ref = declined(stage, seeded)
        says(stage, seeded, status="paid")
        looks(stage, seeded)
        settle(stage, seeded, "theirs")
        looks(stage, seeded)
        view = stage.verify(seeded)
        assert (view.state, view.status, view.review) == ("DECLINED", "paid", ())
        assert (stage.cms(seeded)["status"], stage.cms(seeded)["gateway"]["state"]) == ("paid", "DECLINED")
        assert "mended" not in replay(stage.world.replayer)["counts"]
        with pytest.raises(InvalidArgument) as caught:
            stage.create(seeded)
        assert caught.value.code == Refusal.SETTLED_OUTSIDE
        last = stage.world.service.history(seeded.payment_id)[-1]
        assert (last["data"]["by"], last["data"]["note"], last["data"]["decision"]) == (
            "omar", "asked the office", "theirs",
        )  # fmt: skip
        assert tran_ref == stage.cms(seeded)["transR"]

    @pytest.mark.parametrize("ending", ["declined", "ended"])
    @pytest.mark.parametrize("theirs", ["paid", "refunded"])
    def test_theirs_and_a_page(self, stage: Stage, seeded: SeededPayment, theirs: str, ending: str) -> None:
        """Cash, kept while a page is open, stays so whatever ends the page unpaid."""
        stage.sandbox.switch(query_dead_page="expired")
        tran_ref = stage.open_page(seeded)
        says(stage, seeded, status=theirs)
        looks(stage, seeded)
        settle(stage, seeded, "theirs")
        if ending == "declined":
            stage.sandbox.pay(tran_ref, DECLINED)
        else:
            pass_time(stage, LIFE + MARGIN)
        view = stage.verify(seeded)
        assert view.state == ("DECLINED" if ending == "declined" else "EXPIRED")
        assert (view.status, view.review) == (theirs, ())
        assert stage.cms(seeded)["status"] == theirs
        assert "mended" not in replay(stage.world.replayer)["counts"]

    def test_theirs_and_a_refund(self, stage: Stage, seeded: SeededPayment) -> None:
        """Cash, kept, and then the card too: once that is given back, it is still paid in cash."""
        tran_ref = stage.open_page(seeded)
        says(stage, seeded, status="paid")
        looks(stage, seeded)
        settle(stage, seeded, "theirs")
        stage.sandbox.pay(tran_ref, PAID)
        stage.verify(seeded)
        stage.follow_up(seeded, "refund")
        assert (stage.get(seeded).refunded, stage.cms(seeded)["status"], codes(stage, seeded)) == ("115.00", "paid", ())

    def test_theirs_unpaid(self, stage: Stage, seeded: SeededPayment) -> None:
        """A kept word that means no money gives way to the next attempt's."""
        declined(stage, seeded)
        says(stage, seeded, status="pending")
        looks(stage, seeded)
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"status": "refunded"}})
        looks(stage, seeded)
        says(stage, seeded, status="failed")
        looks(stage, seeded)
        assert codes(stage, seeded) == ()
        stage.clock.advance(1)
        stage.paid(seeded)
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("PAID", "paid")

    def test_theirs_unreadable(self, stage: Stage, seeded: SeededPayment) -> None:
        """What cannot be read cannot be kept: the refusal tells the value."""
        declined(stage, seeded)
        says(stage, seeded, status=17)
        looks(stage, seeded)
        with pytest.raises(InvalidArgument, match="it is 17"):
            settle(stage, seeded, "theirs")
        assert (codes(stage, seeded), stage.cms(seeded)["status"]) == (("cms_status_changed",), 17)

    @pytest.mark.parametrize(("theirs", "word"), [("paid", "paid"), ("refunded", "refunded"), ("lost", "paid")])
    def test_outside(self, stage: Stage, seeded: SeededPayment, theirs: str, word: str) -> None:
        """Declined by card, then paid in cash: settled outside, for good."""
        declined(stage, seeded)
        says(stage, seeded, status=theirs)
        looks(stage, seeded)
        settle(stage, seeded, "outside")
        view = stage.verify(seeded)
        assert (view.state, view.status, view.review) == ("SETTLED_OUTSIDE", word, ())
        assert (stage.cms(seeded)["status"], stage.cms(seeded)["gateway"]["state"]) == (word, "SETTLED_OUTSIDE")
        with pytest.raises(InvalidArgument) as caught:
            stage.create(seeded)
        assert caught.value.code == Refusal.SETTLED_OUTSIDE

    @pytest.mark.parametrize("decision", ["outside", "theirs"])
    def test_then_paid_by_card(self, stage: Stage, seeded: SeededPayment, decision: Decision) -> None:
        """Money that PayTabs takes after that is counted, and a case: the payer has paid twice."""
        tran_ref = stage.open_page(seeded)
        says(stage, seeded, status="paid")
        looks(stage, seeded)
        settle(stage, seeded, decision)
        assert "page_left_open" in stage.open_alerts()
        stage.sandbox.pay(tran_ref, PAID)
        view = stage.verify(seeded)
        assert (view.state, view.captured, view.review_codes) == ("PAID", "115.00", ("paid_outside_too",))
        assert stage.cms(seeded)["status"] == "paid"
        assert "page_left_open" not in stage.open_alerts()
        assert stage.follow_up(seeded, "refund").state in ("REFUNDED", "SETTLED_OUTSIDE")

    def test_cash_refund(self, stage: Stage, seeded: SeededPayment) -> None:
        """Paid by card and given back in cash: nothing can be given back once more through PayTabs."""
        stage.paid(seeded)
        says(stage, seeded, status="refunded")
        looks(stage, seeded)
        settle(stage, seeded, "outside")
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("SETTLED_OUTSIDE", "refunded")
        with pytest.raises(InvalidArgument) as caught:
            stage.follow_up(seeded, "refund")
        assert caught.value.code == Refusal.SETTLED_OUTSIDE

    def test_outside_and_card(self, stage: Stage, seeded: SeededPayment) -> None:
        """Cash and card, settled outside: what the card has paid too can be given back through PayTabs."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        says(stage, seeded, status="paid")
        stage.verify(seeded)
        settle(stage, seeded, "outside")
        assert stage.follow_up(seeded, "refund").status == "succeeded"
        view = stage.get(seeded)
        assert (view.state, view.status, view.refunded) == ("SETTLED_OUTSIDE", "paid", "115.00")

    @pytest.mark.parametrize("action", ["void", "release"])
    @pytest.mark.parametrize("theirs", ["paid", "refunded"])
    def test_outside_and_held(self, stage: Stage, seeded: SeededPayment, theirs: str, action: Action) -> None:
        """What PayTabs holds beside cash can be freed, and never be captured."""
        stage.paid(seeded, "auth")
        says(stage, seeded, status=theirs)
        looks(stage, seeded)
        settle(stage, seeded, "outside")
        with pytest.raises(InvalidArgument) as caught:
            stage.follow_up(seeded, "capture")
        assert caught.value.code == Refusal.SETTLED_OUTSIDE
        assert stage.follow_up(seeded, action).status == "succeeded"
        assert (stage.state(seeded), stage.cms(seeded)["status"]) == ("SETTLED_OUTSIDE", theirs)

    def test_other_cases(self, stage: Stage, seeded: SeededPayment) -> None:
        """A case about anything else has no three ways."""
        stage.paid(seeded)
        reason = Reason("cms_status_changed", "status", ("paid",))
        with pytest.raises(InvalidArgument):
            stage.world.word.settle(seeded.payment_id, reason, "ours", "why", OPERATOR)


class TestRows:
    """What stood in the document is kept outside of it, in the same transaction."""

    def test_with_the_document(self, stage: Stage, seeded: SeededPayment) -> None:
        """One row per payment, of the document's version, without anything of people."""
        stage.paid(seeded)
        (row,) = stage.database[COLLECTION].find()
        assert (row["_id"], row["version"]) == (seeded.payment, stage.cms(seeded)["gateway"]["version"])
        assert (row["status"], row["reference"]) == ("=paid", f"={stage.cms(seeded)['transR']}")

    @pytest.mark.parametrize("member", ["gateway.captured", "gateway.flags"])
    def test_earlier_versions(self, stage: Stage, seeded: SeededPayment, member: str) -> None:
        """A document of an earlier version, which has no row, is compared with its facts by status and transR only."""
        stage.paid(seeded)
        stage.database[COLLECTION].delete_many({})
        says(stage, seeded, **{member: "1.00"})
        looks(stage, seeded)
        assert (stage.open_alerts(), codes(stage, seeded)) == ({}, ())
        says(stage, seeded, status="refunded", transR="TST1")
        looks(stage, seeded)
        assert codes(stage, seeded) == ("cms_reference_changed", "cms_status_changed")

    def test_older_worker_beside(self, stage: Stage, seeded: SeededPayment) -> None:
        """What a program without rows has written since is ours, by the version that it names."""
        tran_ref = stage.open_page(seeded)
        (row,) = stage.database[COLLECTION].find()
        stage.sandbox.pay(tran_ref, PAID)
        stage.verify(seeded)
        stage.database[COLLECTION].replace_one({"_id": seeded.payment}, row)
        looks(stage, seeded)
        assert (codes(stage, seeded), stage.open_alerts()) == ((), {})

    def test_restored_document(self, stage: Stage, seeded: SeededPayment) -> None:
        """A document of a backup says what we once wrote: no case, and ours is written again."""
        tran_ref = stage.open_page(seeded)
        old = stage.cms(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.verify(seeded)
        stage.database["payments"].replace_one({"_id": seeded.payment}, old)
        looks(stage, seeded)
        assert codes(stage, seeded) == ()
        assert replay(stage.world.replayer)["counts"].get("mended", 0) <= 1
        assert stage.cms(seeded)["status"] == "paid"


class TestReplay:
    """Replay's mending leaves what a person has to settle."""

    @pytest.mark.parametrize("theirs", ["paid", "refunded"])
    def test_without_gateway(self, stage: Stage, seeded: SeededPayment, theirs: Any) -> None:
        """Also where the document was saved as the CMS's schema has it, without `gateway`."""
        declined(stage, seeded)
        whole = {name: value for name, value in stage.cms(seeded).items() if name != "gateway"}
        stage.database["payments"].replace_one({"_id": seeded.payment}, whole | {"status": theirs})
        replay(stage.world.replayer)
        assert stage.cms(seeded)["status"] == theirs
        assert stage.cms(seeded)["gateway"]["state"] == "DECLINED"

    @pytest.mark.parametrize("noticed", [True, False])
    def test_left(self, stage: Stage, seeded: SeededPayment, *, noticed: bool) -> None:
        """Whether somebody has noticed it already or not."""
        stage.paid(seeded)
        says(stage, seeded, status="refunded", transR="TST9999999999999")
        if noticed:
            looks(stage, seeded)
        replay(stage.world.replayer)
        assert (stage.cms(seeded)["status"], stage.cms(seeded)["transR"]) == ("refunded", "TST9999999999999")
        looks(stage, seeded)
        assert set(codes(stage, seeded)) == {"cms_status_changed", "cms_reference_changed"}
