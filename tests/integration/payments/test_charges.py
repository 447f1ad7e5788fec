from typing import Any

import pytest

from payments.accepting import ChargeTerms
from payments.errors import InvalidArgument, NotYet, OperationConflict
from payments.operations import Status
from payments.views import PaymentView
from tests.integration.payments.stage import DECLINED, HELD, PAID, Stage
from tests.support.cms import SeededPayment, seed_payment

HOUR = 3600.0


def stored(stage: Stage, card: str = PAID) -> tuple[str, str]:
    """Keep a card at PayTabs: its token, and the reference that made it."""
    kept = stage.desk("token", card=card)
    return kept["token"], kept["tran_ref"]


def charge(stage: Stage, seeded: SeededPayment, token: str, operation_id: str = "op-1", **terms: Any) -> PaymentView:
    """Charge a stored card on our own initiative, unless told otherwise."""
    chosen = ChargeTerms(kind="charge_token", secret=token, **({"payer_present": False} | terms))
    return stage.world.money.charge(seeded.payment_id, chosen, operation_id, stage.context())


def form(stage: Stage, seeded: SeededPayment, card: str = PAID, operation_id: str = "op-1") -> PaymentView:
    """Charge what was typed into PayTabs' fields."""
    token = stage.desk("payment_token", card=card)["payment_token"]
    terms = ChargeTerms(kind="managed_form", secret=token)
    return stage.world.money.charge(seeded.payment_id, terms, operation_id, stage.context())


class TestStoredCard:
    """A charge of a stored card."""

    def test_without_payer(self, stage: Stage, seeded: SeededPayment) -> None:
        """It is paid at once and can be refunded, although it names the transaction that made the token."""
        token, origin = stored(stage)
        view = charge(stage, seeded, token, origin=origin)
        assert (view.state, view.captured, view.review) == ("PAID", "115.00", ())
        assert stage.cms(seeded)["status"] == "paid"
        assert stage.verify(seeded).state == "PAID"
        assert stage.follow_up(seeded, "refund").state == "REFUNDED"

    def test_same_token_twice(self, stage: Stage, seeded: SeededPayment) -> None:
        """The notice of a second payment's charge with the same card finds that payment, not the token's first."""
        token, origin = stored(stage)
        charge(stage, seeded, token, origin=origin)
        other = seed_payment(stage.database)
        charge(stage, other, token, "op-2", origin=origin)
        last = stage.sandbox.ledger()[-1]
        assert stage.notice(last["tran_ref"], previous_tran_ref=origin).payment_id == other.payment_id
        assert (stage.get(seeded).captured, stage.get(other).captured) == ("115.00", "115.00")

    def test_same_id(self, stage: Stage, seeded: SeededPayment) -> None:
        """The same id again charges nothing; with another token it is refused."""
        token, _ = stored(stage)
        assert charge(stage, seeded, token) == charge(stage, seeded, token)
        with pytest.raises(OperationConflict, match="token_digest"):
            charge(stage, seeded, "another")
        assert len(stage.sent()) == 1

    def test_declined(self, stage: Stage, seeded: SeededPayment) -> None:
        """A decline ends the operation, and a new attempt is the caller's."""
        token, _ = stored(stage, DECLINED)
        assert charge(stage, seeded, token).state == "DECLINED"
        assert (stage.row(seeded).status, stage.row(seeded).open) == (Status.REFUSED, False)
        assert stage.open_page(seeded)

    def test_held(self, stage: Stage, seeded: SeededPayment) -> None:
        """A hold is no payment; what the dashboard makes of it is found."""
        token, _ = stored(stage, HELD)
        assert charge(stage, seeded, token).state == "ON_HOLD"
        held = stage.get(seeded).tran_ref
        stage.sandbox.dashboard(str(held), "capture")
        stage.live(HOUR)
        assert stage.state(seeded) == "PAID"

    def test_with_payer(self, stage: Stage, seeded: SeededPayment) -> None:
        """With the payer at hand PayTabs may want a security code first: a page, and paid when that is done."""
        token, origin = stored(stage)
        view = charge(stage, seeded, token, payer_present=True, origin=origin)
        assert view.state == "AWAITING_PAYER"
        assert view.redirect_url
        stage.sandbox.pay(str(view.tran_ref), PAID)
        stage.live(HOUR)
        assert (stage.state(seeded), stage.row(seeded).status) == ("PAID", Status.SUCCEEDED)

    def test_open_page(self, stage: Stage, seeded: SeededPayment) -> None:
        """An open page counts as a charge in flight: nothing is charged beside it until PayTabs says it is final."""
        token, _ = stored(stage)
        page = stage.open_page(seeded)
        with pytest.raises(InvalidArgument, match=r"create_page .* is pending"):
            charge(stage, seeded, token)
        assert len(stage.sent()) == 1
        stage.sandbox.cancel(page)
        stage.live(HOUR)
        assert charge(stage, seeded, token).state == "PAID"

    def test_open_charge(self, stage: Stage, seeded: SeededPayment) -> None:
        """Nor is a page opened beside a charge whose outcome is not known."""
        token, _ = stored(stage)
        stage.sandbox.fault("/payment/request", "cut_after_accept")
        with pytest.raises(NotYet, match="unknown"):
            charge(stage, seeded, token)
        with pytest.raises(InvalidArgument, match="charge_token op-1 is unknown"):
            stage.create(seeded)
        stage.live(HOUR)
        assert (stage.state(seeded), len(stage.sent())) == ("PAID", 1)

    def test_old_page_paid(self, stage: Stage, seeded: SeededPayment) -> None:
        """A payer who pays the old page after the card was charged: a human is called, nothing is hidden."""
        token, _ = stored(stage)
        stage.sandbox.switch(page_attempts="until_paid")
        page = stage.open_page(seeded)
        stage.sandbox.pay(page, DECLINED)
        stage.verify(seeded)
        assert charge(stage, seeded, token).state == "PAID"
        stage.sandbox.pay(page, PAID)
        stage.notice(page)
        view = stage.get(seeded)
        assert (view.state, view.captured) == ("REVIEW", "230.00")
        assert "paid twice" in view.review[0]

    def test_nothing_found(self, stage: Stage, seeded: SeededPayment) -> None:
        """A charge in doubt of which nothing is ever found is not sent again: a human is called after a day."""
        token, _ = stored(stage)
        stage.sandbox.fault("/payment/request", "http_500")
        with pytest.raises(NotYet, match="unknown"):
            charge(stage, seeded, token)
        stage.live(25 * HOUR)
        assert len(stage.sent()) == 1
        assert (stage.row(seeded).status, stage.row(seeded).open) == (Status.REVIEW, True)
        assert (stage.state(seeded), "payment_review" in stage.alerts()) == ("REVIEW", True)


class TestManagedForm:
    """A charge of what the payer typed into PayTabs' fields on our page."""

    def test_paid(self, stage: Stage, seeded: SeededPayment) -> None:
        """It is paid at once."""
        assert form(stage, seeded).state == "PAID"

    def test_declined(self, stage: Stage, seeded: SeededPayment) -> None:
        """A decline says so, and the payer may fill the form again."""
        assert form(stage, seeded, DECLINED).state == "DECLINED"
        assert form(stage, seeded, operation_id="op-2").state == "PAID"


class TestSecrets:
    """A token is money: it stays nowhere longer than it is needed."""

    def test_nowhere(self, stage: Stage, seeded: SeededPayment, capsys: pytest.CaptureFixture[str]) -> None:
        """Sent, it is in no row, no event, no document of the CMS and no log line."""
        token, _ = stored(stage)
        charge(stage, seeded, token)
        assert "secret" not in stage.row(seeded).params
        assert token not in everything(stage) + capsys.readouterr().out

    def test_while_unsent(self, stage: Stage, seeded: SeededPayment) -> None:
        """What did not happen is sent again with it, and then it is gone."""
        token, _ = stored(stage)
        world, stage.world = stage.world, stage.another_world(paytabs_base_url="http://127.0.0.1:9")
        with pytest.raises(NotYet, match="connect_refused"):
            charge(stage, seeded, token)
        assert stage.row(seeded).params["secret"] == token
        stage.world = world
        stage.live(20)
        assert stage.state(seeded) == "PAID"
        assert token not in everything(stage)

    @pytest.mark.parametrize("kind", ["charge_token", "managed_form"])
    def test_card_number(self, stage: Stage, seeded: SeededPayment, kind: Any) -> None:
        """A card number in its place is refused, saying why, and never repeated."""
        terms = ChargeTerms(kind=kind, secret="4111111111111111")
        with pytest.raises(InvalidArgument, match="PCI") as caught:
            stage.world.money.charge(seeded.payment_id, terms, "op-1", stage.context())
        assert "4111" not in str(caught.value)
        assert stage.rows(seeded) == []


def everything(stage: Stage) -> str:
    """Return all that the database holds, as text."""
    names = stage.database.list_collection_names()
    return "".join(str(document) for name in names for document in stage.database[name].find())
