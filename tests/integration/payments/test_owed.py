"""A document of the CMS that is away for a moment loses nothing: it is owed what stands, until it is there again."""

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from bson import ObjectId

from payments.cms_rows import gateway_mark, mark
from payments.document_marks import DocumentMarks
from payments.errors import InvalidArgument
from payments.owed import LADDER_SECONDS, Kind
from tasks.alert_tending import tend
from tests.integration.payments.stage import PAID, Stage
from tests.integration.payments.test_reactions import contract, react
from tests.support.cms import SeededPayment, seed_payment

Json = dict[str, Any]
Return = Callable[[], object]

#: Seconds after which the next try is due, whichever step of the ladder it is.
NEXT_TRY = LADDER_SECONDS[-1]


def renamed(stage: Stage, collection: str) -> Return:
    """Take a whole collection away; what is returned brings it back."""
    stage.database[collection].rename("away")
    return lambda: stage.database["away"].rename(collection)


def deleted(stage: Stage, seeded: SeededPayment) -> Return:
    """Delete a payment; what is returned restores it as it was."""
    kept = stage.cms(seeded)
    stage.database["payments"].delete_one({"_id": seeded.payment})
    return lambda: stage.database["payments"].insert_one(kept)


def restored_older(stage: Stage, seeded: SeededPayment, *leave_out: str) -> Return:
    """Delete a payment; what is returned restores it from a copy that is older than its page."""
    kept = {name: value for name, value in stage.cms(seeded).items() if name not in ("gateway", "transR", *leave_out)}
    stage.database["payments"].delete_one({"_id": seeded.payment})
    return lambda: stage.database["payments"].insert_one(kept)


AWAY: dict[str, Callable[[Stage, SeededPayment], Return]] = {
    "the collection is renamed": lambda stage, _: renamed(stage, "payments"),
    "deleted and restored": deleted,
    "restored from before its page": restored_older,
    "restored without a status": lambda stage, seeded: restored_older(stage, seeded, "status"),
}


def by_sweep(stage: Stage, seeded: SeededPayment) -> None:
    """Let the sweep look when it is due."""
    del seeded
    stage.clock.advance(NEXT_TRY)
    stage.world.owed.step(stage.context("sweep"))


def by_verify(stage: Stage, seeded: SeededPayment) -> None:
    """Ask about the payment."""
    assert stage.verify(seeded).state == "PAID"


def by_watcher(stage: Stage, seeded: SeededPayment) -> None:
    """Note that the document was inserted, as the watcher does, and look at what was noted."""
    DocumentMarks(stage.database).note([seeded.payment], [], stage.clock.now)
    stage.world.documents.step(stage.context("watcher"))


def by_event(stage: Stage, seeded: SeededPayment) -> None:
    """Have something else happen to the payment."""
    stage.follow_up(seeded, "refund", "15.00", operation_id=f"refund-{seeded.payment_id}")


WRITERS: dict[str, tuple[Callable[[Stage, SeededPayment], None], str]] = {
    "the sweep": (by_sweep, "PAID"),
    "verify": (by_verify, "PAID"),
    "the watcher": (by_watcher, "PAID"),
    "the next event": (by_event, "PART_REFUNDED"),
}


class TestPayments:
    """Whatever the way a payment's document was away, whoever comes first once it is there writes it."""

    def test_comes_back(self, stage: Stage) -> None:
        """A capture that is booked meanwhile is shown, no case arises, and the alert closes."""
        failed = []
        for (way, away), (who, (writes, state)) in product(AWAY.items(), WRITERS.items()):
            seeded = seed_payment(stage.database)
            tran_ref = stage.open_page(seeded)
            back = away(stage, seeded)
            stage.sandbox.pay(tran_ref, PAID)
            stage.notice(tran_ref)
            alert = stage.open_alerts().get("projection_missing", "")
            back()
            writes(stage, seeded)
            tend(stage.world)
            document, view = stage.cms(seeded), stage.get(seeded)
            gateway = document.get("gateway") or {}
            seen = (
                document.get("status"), gateway.get("state"), gateway.get("version"), document.get("transR"),
                view.review, f"document-gone {seeded.payment_id}" in alert, "projection_missing" in stage.open_alerts(),
            )  # fmt: skip
            if seen != ("paid", state, len(stage.facts(seeded)), tran_ref, (), True, False):
                failed.append(f"{way}, written by {who}: {seen}")
        assert failed == []

    def test_ladder(self, stage: Stage, seeded: SeededPayment) -> None:
        """It is looked for on a ladder that ends at an hour, and told of once."""
        tran_ref = stage.open_page(seeded)
        deleted(stage, seeded)
        stage.sandbox.pay(tran_ref, PAID)
        stage.notice(tran_ref)
        waits = []
        for _ in range(len(LADDER_SECONDS) + 1):
            owed = stage.world.owed.rows.find(Kind.PAYMENTS, seeded.payment)
            assert owed is not None
            assert owed.due_at is not None
            waits.append((owed.due_at - stage.clock.now).total_seconds())
            stage.clock.advance(waits[-1] - 0.001)
            assert stage.world.owed.rows.due(9) == []
            stage.clock.advance(0.001)
            assert stage.world.owed.step(stage.context("sweep")) == 0
        assert waits == [*LADDER_SECONDS, LADDER_SECONDS[-1]]
        row = stage.database["alerts"].find_one({"name": "projection_missing"}) or {}
        assert (row["count"], row["closed_at"]) == (1, None)

    def test_link(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page whose time is over while the document is away leads nobody anywhere once it is there."""
        stage.open_page(seeded)
        stage.clock.advance(60)
        stage.poll(seeded)
        back = deleted(stage, seeded)
        stage.clock.advance(20 * 60 + 1)
        stage.poll(seeded)
        back()
        assert stage.cms(seeded)["gateway"]["redirect_url"] is not None
        by_sweep(stage, seeded)
        assert stage.cms(seeded)["gateway"]["redirect_url"] is None

    def test_of_before(self, stage: Stage) -> None:
        """What the version before has lost, and only told of, is written: by the look at its alert, and by verify."""
        for writes in (lambda _: tend(stage.world), stage.verify):
            one = seed_payment(stage.database)
            earlier = stage.cms(one) if stage.open_page(one) else {}
            stage.sandbox.pay(earlier["transR"], PAID)
            stage.notice(earlier["transR"])
            written = stage.database["cms_written"].find_one({"_id": one.payment}) or {}
            stage.database["payments"].replace_one({"_id": one.payment}, earlier)
            version = {"version": earlier["gateway"]["version"]}
            stage.database["cms_written"].replace_one({"_id": one.payment}, self._as_of(written | version, earlier))
            told = "the CMS's document is gone or newer; the events stand"
            stage.world.alerts.raise_alert("projection_missing", "payments", told, subject=one.payment_id)
            writes(one)
            assert (stage.cms(one)["status"], stage.get(one).review) == ("paid", ())
        tend(stage.world)
        assert "projection_missing" not in stage.open_alerts()

    def test_still_missing(self, stage: Stage, seeded: SeededPayment) -> None:
        """A document that the version before told of and that is still away is owed from then on."""
        stage.paid(seeded)
        deleted(stage, seeded)
        stage.world.alerts.raise_alert("projection_missing", "payments", "gone", subject=seeded.payment_id)
        tend(stage.world)
        assert stage.world.owed.rows.oldest(Kind.PAYMENTS) is not None
        assert "projection_missing" in stage.open_alerts()

    @staticmethod
    def _as_of(row: Json, document: Json) -> Json:
        return row | {
            "status": mark(document.get("status")), "reference": mark(document.get("transR")),
            "gateway": gateway_mark(document.get("gateway")),
        }  # fmt: skip


class TestGone:
    """A person may say that a document is gone for good."""

    def test_ends_it(self, stage: Stage, seeded: SeededPayment) -> None:
        """It is not looked for any more, nobody is told again, and one that comes back all the same is written."""
        tran_ref = stage.paid(seeded)
        back = deleted(stage, seeded)
        stage.follow_up(seeded, "refund", "15.00")
        assert stage.world.owed.gone(seeded.payment_id, by="omar", why="a duplicate") is Kind.PAYMENTS
        tend(stage.world)
        assert "projection_missing" not in stage.open_alerts()
        stage.clock.advance(NEXT_TRY)
        stage.follow_up(seeded, "refund", "15.00")
        assert (stage.world.owed.rows.due(9), stage.open_alerts()) == ([], {})
        back()
        stage.verify(seeded)
        document = stage.cms(seeded)
        assert (document["transR"], document["gateway"]["refunded"]) == (tran_ref, "30.00")
        assert stage.world.owed.rows.find(Kind.PAYMENTS, seeded.payment) is None

    def test_refused(self, stage: Stage, seeded: SeededPayment) -> None:
        """Not of a document that is there, nor of one that nobody looks for."""
        stage.paid(seeded)
        back = deleted(stage, seeded)
        stage.verify(seeded)
        back()
        for one, words in ((seeded.payment_id, "is in payments"), (str(ObjectId()), "is looked for")):
            with pytest.raises(InvalidArgument, match=words):
                stage.world.owed.gone(one, by="omar", why="none")


class TestContracts:
    """A contract that is away when its payments change is counted once it is there."""

    def test_comes_back(self, stage: Stage, seeded: SeededPayment) -> None:
        """Its alert says what to type, and closes once it was counted; a payment that comes back has it counted too."""
        back = renamed(stage, "contracts")
        stage.paid(seeded)
        react(stage)
        by_sweep(stage, seeded)
        assert f"document-gone {seeded.contract_id}" in stage.open_alerts()["projection_missing"]
        back()
        by_sweep(stage, seeded)
        tend(stage.world)
        assert (contract(stage, seeded), "projection_missing" in stage.open_alerts()) == ("paid", False)

    def test_payment_comes_back(self, stage: Stage, seeded: SeededPayment) -> None:
        """A contract that was counted without the payment that was away is counted with it."""
        tran_ref = stage.open_page(seeded)
        back = renamed(stage, "payments")
        stage.sandbox.pay(tran_ref, PAID)
        stage.notice(tran_ref)
        react(stage)
        assert contract(stage, seeded) != "paid"
        back()
        by_sweep(stage, seeded)
        stage.world.documents.step(stage.context("sweep"))
        assert contract(stage, seeded) == "paid"

    def test_gone(self, stage: Stage, seeded: SeededPayment) -> None:
        """A contract that was deleted is a person's word as well."""
        stage.database["contracts"].delete_one({"_id": seeded.contract})
        stage.paid(seeded)
        react(stage)
        assert stage.world.owed.gone(seeded.contract_id, by="omar", why="deleted") is Kind.CONTRACTS
        by_sweep(stage, seeded)
        assert "projection_missing" not in stage.open_alerts()
