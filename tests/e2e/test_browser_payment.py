import bson
import pytest

from tests.e2e.cms_side import Cms, Document
from tests.e2e.payer import Payer
from tests.e2e.shop import Shop, Visit
from tests.support.cms import seed_payment
from tests.support.sandbox import Sandbox

pytestmark = pytest.mark.browser

#: The sandbox's cards by what they give.
AUTHORISED, DECLINED, THREE_DS = "4111 1111 1111 1111", "4000 0000 0000 9995", "4000 0000 0000 0002"

#: The fields of a CMS payment that are ours to write.
OURS = frozenset({"status", "transR", "gateway", "updatedAt"})


def theirs(document: Document) -> bytes:
    """Write everything of a document that is not ours as the bytes that MongoDB keeps, order included."""
    return bson.encode({name: value for name, value in document.items() if name not in OURS})


class TestPaid:
    """A payer pays with a card."""

    def test_from_page_to_paid(self, cms: Cms, payer: Payer, shop: Shop, running_sandbox: Sandbox) -> None:
        """The payer lands in the shop; the CMS reads paid with the reference, every other field as it was."""
        seeded = seed_payment(cms.database, notes={"deep": [1, 2.5, None]}, priority=bson.Int64(7))
        before = cms.payment(seeded.payment)
        payer.pay(cms.page_for(seeded.payment), AUTHORISED, shop.thanks_url)
        after = cms.settled(seeded.payment, "paid", "PAID")
        assert theirs(after) == theirs(before)
        assert set(after) - set(before) <= OURS
        (charge,) = running_sandbox.movements(tran_ref=after["transR"])
        assert (charge["kind"], charge["amount"], charge["currency"]) == ("charge", "115.00", "SAR")
        assert after["gateway"]["captured"] == "115.00"
        assert after["updatedAt"] > before["updatedAt"]

    def test_way_back(self, cms: Cms, payer: Payer, shop: Shop, running_sandbox: Sandbox) -> None:
        """The receiver sends the payer on with 303, the payment and two references, and keeps the rest to itself."""
        seeded = seed_payment(cms.database)
        payer.pay(cms.page_for(seeded.payment), AUTHORISED, shop.thanks_url)
        answers = [status for status, url in payer.responses if url == cms.settings.paytabs_return_url]
        assert answers == [303]
        (sale,) = running_sandbox.ledger(tran_ref=cms.payment(seeded.payment)["transR"])
        references = {"payment_id": seeded.payment_id, "tran_ref": sale["tran_ref"], "cart_id": sale["cart_id"]}
        assert shop.visits[-1] == Visit("GET", "/thanks", references, None)

    def test_without_scripts(self, cms: Cms, plain_payer: Payer, shop: Shop) -> None:
        """A browser that runs no scripts takes one press more and comes to the same end."""
        seeded = seed_payment(cms.database)
        plain_payer.open(cms.page_for(seeded.payment))
        plain_payer.type_card(AUTHORISED)
        plain_payer.press("pay")
        plain_payer.press("return")
        plain_payer.land(shop.thanks_url)
        cms.settled(seeded.payment, "paid", "PAID")


class TestNotPaid:
    """A payer does not pay, or not at once."""

    def test_second_attempt(self, cms: Cms, payer: Payer, shop: Shop, running_sandbox: Sandbox) -> None:
        """After a declined card the same payment gets a new page, and is paid there, once."""
        seeded = seed_payment(cms.database)
        first = cms.page_for(seeded.payment)
        payer.pay(first, DECLINED, shop.thanks_url)
        declined = cms.settled(seeded.payment, "failed", "DECLINED")
        assert running_sandbox.movements(tran_ref=declined["transR"]) == []
        second = cms.page_for(seeded.payment)
        assert second != first
        payer.pay(second, AUTHORISED, shop.thanks_url)
        paid = cms.settled(seeded.payment, "paid", "PAID")
        assert paid["transR"] != declined["transR"]
        assert len(running_sandbox.movements(tran_ref=paid["transR"])) == 1
        assert paid["gateway"]["captured"] == "115.00"

    def test_cancelled(self, cms: Cms, payer: Payer, shop: Shop, running_sandbox: Sandbox) -> None:
        """A payer who cancels, with a card half typed, comes back without having paid."""
        seeded = seed_payment(cms.database)
        before = cms.payment(seeded.payment)
        payer.open(cms.page_for(seeded.payment))
        payer.page.get_by_label("Card number").fill("4111 1111")
        payer.press("cancel")
        payer.land(shop.thanks_url)
        after = cms.settled(seeded.payment, "failed", "CANCELLED")
        assert running_sandbox.movements(tran_ref=after["transR"]) == []
        assert theirs(after) == theirs(before)


class TestThreeDSecure:
    """The payer's bank asks before it pays."""

    @pytest.mark.parametrize(
        ("button", "status", "state", "charges"),
        [("three-ds-approve", "paid", "PAID", 1), ("three-ds-fail", "failed", "DECLINED", 0)],
    )
    def test_decision(
        self,
        cms: Cms,
        payer: Payer,
        shop: Shop,
        *,
        running_sandbox: Sandbox,
        button: str,
        status: str,
        state: str,
        charges: int,
    ) -> None:
        """Nothing is charged before the bank's question; then its answer decides."""
        seeded = seed_payment(cms.database)
        payer.open(cms.page_for(seeded.payment))
        payer.type_card(THREE_DS)
        payer.press("pay")
        payer.page.locator(f"#{button}").wait_for()
        tran_ref = cms.payment(seeded.payment)["transR"]
        assert running_sandbox.movements(tran_ref=tran_ref) == []
        payer.press(button)
        payer.land(shop.thanks_url)
        cms.settled(seeded.payment, status, state)
        assert len(running_sandbox.movements(tran_ref=tran_ref)) == charges
