import pytest

from payments.errors import NotYet
from payments.operations import Status
from tests.integration.payments.stage import PAID, SETTLED_SECONDS, Interrupted, Stage
from tests.support.cms import SeededPayment


class TestKilledWorker:
    """A worker that dies between its commit and its booking leaves a row that others bring to an end."""

    def test_after_the_answer(self, stage: Stage, seeded: SeededPayment) -> None:
        """The row is left alone while its lease lasts, then it is in doubt, then a new page is made."""
        _die(stage, seeded)
        assert stage.row(seeded).status is Status.SENDING
        with pytest.raises(NotYet, match="in_flight"):
            stage.create(seeded)
        stage.live(29)
        stage.poll(seeded)
        assert (stage.row(seeded).status, stage.queries()) == (Status.SENDING, [])
        stage.live(2)
        assert stage.row(seeded).status is Status.UNKNOWN
        assert stage.facts(seeded)[-1] == "OutcomeUnknown"
        stage.live(SETTLED_SECONDS)
        assert len(stage.sent()) == 2
        assert stage.create(seeded).redirect_url

    def test_paid_meanwhile(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page that nobody booked and that was paid is found by its cart."""
        _die(stage, seeded)
        stage.sandbox.pay(stage.sandbox.ledger()[0]["tran_ref"], PAID)
        stage.live(31)
        assert (stage.state(seeded), stage.row(seeded).status) == ("PAID", Status.SUCCEEDED)
        assert len(stage.sent()) == 1

    def test_before_the_call(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """A row that was accepted and never sent is sent by the sweep, ten seconds later."""
        _accept_and_die(stage, seeded, monkeypatch)
        assert stage.row(seeded).status is Status.NEW
        stage.live(9)
        assert stage.sent() == []
        stage.live(1)
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_next_caller(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who asks before the sweep does need not wait for it."""
        _accept_and_die(stage, seeded, monkeypatch)
        assert stage.create(seeded).redirect_url
        assert len(stage.sent()) == 1


class TestFrozenWorker:
    """A worker that wakes up with an old answer overwrites nothing."""

    def test_cart_given_up(self, stage: Stage, seeded: SeededPayment) -> None:
        """The page that replaced the lost one stays the payment's, and the late one is only watched."""
        late = stage.another_world(lambda: stage.live(SETTLED_SECONDS + 30))
        view = stage.create(seeded, late)
        first, second = (entry["tran_ref"] for entry in stage.sandbox.ledger())
        assert view.tran_ref == second
        row = stage.row(seeded)
        assert (row.status, row.tran_ref) == (Status.PENDING, second)
        assert (stage.cms(seeded)["transR"], stage.cms(seeded)["gateway"]["redirect_url"]) == (second, row.redirect_url)
        stage.sandbox.pay(first, PAID)
        assert stage.notice(first).result == "applied"
        assert stage.state(seeded) == "PAID"

    def test_next_cart_in_doubt(self, stage: Stage, seeded: SeededPayment) -> None:
        """The late answer to a cart that was given up does not stand for the next one, whose answer is lost."""

        def sleep() -> None:
            stage.sandbox.fault("/payment/request", "cut_after_accept")
            stage.live(SETTLED_SECONDS + 31)

        with pytest.raises(NotYet, match="unknown"):
            stage.create(seeded, stage.another_world(sleep))
        row = stage.row(seeded)
        assert (row.status, row.open, row.tran_ref, row.redirect_url) == (Status.UNKNOWN, True, None, None)
        assert [bool(send.retired_at) for send in row.sends] == [True, False]
        stage.live(SETTLED_SECONDS)
        assert stage.create(seeded).tran_ref == stage.sandbox.ledger()[2]["tran_ref"]

    def test_lease_expired(self, stage: Stage, seeded: SeededPayment) -> None:
        """An answer that comes while its cart still stands is as good as a timely one."""
        late = stage.another_world(lambda: stage.live(60))
        view = stage.create(seeded, late)
        assert view.redirect_url
        stage.live(SETTLED_SECONDS)
        assert len(stage.sent()) == 1
        assert stage.facts(seeded)[:4] == ["PaymentCreated", "AttemptStarted", "OutcomeUnknown", "PageOpened"]
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_paid_before_it_wakes(self, stage: Stage, seeded: SeededPayment) -> None:
        """A page answer that comes after the payment was found paid takes nothing back."""

        def pay() -> None:
            stage.sandbox.pay(stage.sandbox.ledger()[0]["tran_ref"], PAID)
            stage.live(60)

        view = stage.create(seeded, stage.another_world(pay))
        assert (view.state, view.redirect_url) == ("PAID", None)
        assert (stage.row(seeded).status, stage.row(seeded).open) == (Status.SUCCEEDED, False)
        assert stage.cms(seeded)["status"] == "paid"


def _interrupt(*_: object) -> None:
    raise Interrupted


def _die(stage: Stage, seeded: SeededPayment) -> None:
    """Ask for a page in a worker that is killed when PayTabs has answered."""
    with pytest.raises(Interrupted):
        stage.create(seeded, stage.another_world(_interrupt))


def _accept_and_die(stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for a page in a worker that is killed when the row is committed and nothing is sent yet."""
    dying = stage.another_world()
    monkeypatch.setattr(dying.sender, "send", _interrupt)
    with pytest.raises(Interrupted):
        stage.create(seeded, dying)
