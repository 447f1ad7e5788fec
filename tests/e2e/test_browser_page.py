import pytest
from playwright.sync_api import expect

from tests.e2e.cms_side import Cms
from tests.e2e.payer import CVV, EXPIRY, Payer
from tests.e2e.shop import Shop
from tests.support.cms import seed_payment
from tests.support.sandbox import Sandbox

pytestmark = pytest.mark.browser

AUTHORISED = "4111 1111 1111 1111"


class TestCardForm:
    """A form that is filled in wrongly, or sent in haste."""

    def test_invalid_number(self, cms: Cms, payer: Payer, shop: Shop, running_sandbox: Sandbox) -> None:
        """A mistyped number is said to be wrong at its field and charges nothing; put right, it pays."""
        seeded = seed_payment(cms.database)
        payer.open(cms.page_for(seeded.payment))
        payer.type_card("4111 1111 1111 1112")
        payer.press("pay")
        number = payer.page.get_by_label("Card number")
        expect(number).to_have_accessible_description("This is not a valid card number. Please check its digits.")
        expect(number).to_have_attribute("aria-invalid", "true")
        expect(number).to_be_focused()
        assert number.input_value() == "4111 1111 1111 1112"
        assert payer.page.get_by_label("Security code").input_value() == ""
        assert running_sandbox.movements(tran_ref=cms.payment(seeded.payment)["transR"]) == []
        # Chromium reports the answer's status, 422, and nothing else.
        assert [text for text in payer.complaints if "422" not in text] == []
        payer.complaints.clear()
        payer.type_card(AUTHORISED)
        payer.press("pay")
        payer.land(shop.thanks_url)
        cms.settled(seeded.payment, "paid", "PAID")

    @pytest.mark.parametrize("hands", ["payer", "plain_payer"])
    def test_double_click(
        self, cms: Cms, shop: Shop, running_sandbox: Sandbox, request: pytest.FixtureRequest, hands: str
    ) -> None:
        """A double click on Pay charges once, with scripts and without."""
        payer: Payer = request.getfixturevalue(hands)
        seeded = seed_payment(cms.database)
        payer.open(cms.page_for(seeded.payment))
        payer.type_card(AUTHORISED)
        payer.page.locator("#pay").dblclick()
        if hands == "plain_payer":
            payer.press("return")
        payer.land(shop.thanks_url)
        paid = cms.settled(seeded.payment, "paid", "PAID")
        assert len(running_sandbox.movements(tran_ref=paid["transR"])) == 1


class TestFinalPage:
    """A page whose payment is over."""

    def test_opened_again(self, cms: Cms, payer: Payer, shop: Shop) -> None:
        """Opened again it says so, offers no second payment, and still leads back to the shop."""
        seeded = seed_payment(cms.database)
        redirect_url = cms.page_for(seeded.payment)
        payer.pay(redirect_url, AUTHORISED, shop.thanks_url)
        cms.settled(seeded.payment, "paid", "PAID")
        payer.open(redirect_url)
        expect(payer.page.get_by_role("heading", name="This payment is already completed")).to_be_visible()
        expect(payer.page.locator("#result")).to_have_text("Paid")
        expect(payer.page.locator("#pay")).to_have_count(0)
        payer.press("return")
        payer.land(shop.thanks_url)

    def test_second_tab(self, cms: Cms, payer: Payer, shop: Shop, running_sandbox: Sandbox) -> None:
        """Pay in a tab that was left open, after another has paid, charges nothing and says so."""
        seeded = seed_payment(cms.database)
        redirect_url = cms.page_for(seeded.payment)
        payer.open(redirect_url)
        left_open, payer.page = payer.page, payer.page.context.new_page()
        payer.pay(redirect_url, AUTHORISED, shop.thanks_url)
        payer.page = left_open
        payer.type_card(AUTHORISED)
        payer.press("pay")
        expect(payer.page.locator("#result")).to_have_attribute("data-status", "A")
        paid = cms.settled(seeded.payment, "paid", "PAID")
        assert len(running_sandbox.movements(tran_ref=paid["transR"])) == 1


class TestArabic:
    """A payer who reads Arabic."""

    def test_right_to_left(self, cms: Cms, payer: Payer, shop: Shop) -> None:
        """The page runs from the right, its amount and numbers still from the left, and it pays like the other."""
        seeded = seed_payment(cms.database)
        payer.open(cms.page_for(seeded.payment, language="ar"))
        page = payer.page
        assert page.evaluate("[document.dir, document.documentElement.lang]") == ["rtl", "ar"]
        assert page.evaluate("getComputedStyle(document.querySelector('#card-form')).direction") == "rtl"
        pay, cancel = (page.locator(f"#{button}").bounding_box() for button in ("pay", "cancel"))
        assert pay
        assert cancel
        assert pay["x"] > cancel["x"]
        number = page.get_by_label("رقم البطاقة", exact=True)
        number.fill(AUTHORISED)
        assert number.evaluate("element => getComputedStyle(element).direction") == "ltr"
        page.get_by_label("تاريخ الانتهاء").fill(EXPIRY)
        page.get_by_label("رمز الأمان").fill(CVV)
        page.get_by_role("button", name="ادفع").click()
        payer.land(shop.thanks_url)
        cms.settled(seeded.payment, "paid", "PAID")


class TestKeyboard:
    """A payer without a mouse."""

    def test_focus_order(self, cms: Cms, payer: Payer) -> None:
        """Tab goes through fields and buttons in reading order, each with its label and a visible mark."""
        payer.open(cms.page_for(seed_payment(cms.database).payment))
        order = []
        for _ in range(5):
            payer.page.keyboard.press("Tab")
            order.append(payer.focused())
            mark = "getComputedStyle(document.activeElement).outlineStyle"
            assert payer.page.evaluate(mark) == "solid"
        assert order == ["card-number", "expiry", "cvv", "pay", "cancel"]
        for label, field in (("Card number", "card-number"), ("Expiry date", "expiry"), ("Security code", "cvv")):
            expect(payer.page.get_by_label(label, exact=True)).to_have_id(field)

    def test_pays(self, cms: Cms, payer: Payer, shop: Shop) -> None:
        """Typing and Tab fill the form, Enter in its last field pays."""
        seeded = seed_payment(cms.database)
        payer.open(cms.page_for(seeded.payment))
        for text in (AUTHORISED, EXPIRY, CVV):
            payer.page.keyboard.press("Tab")
            payer.page.keyboard.type(text)
        payer.page.keyboard.press("Enter")
        payer.land(shop.thanks_url)
        cms.settled(seeded.payment, "paid", "PAID")

    def test_listed_card(self, cms: Cms, payer: Payer, shop: Shop) -> None:
        """A listed test card is taken with Enter, which leaves the keyboard on Pay."""
        seeded = seed_payment(cms.database)
        payer.open(cms.page_for(seeded.payment))
        payer.page.get_by_role("button", name=f"Use {AUTHORISED}").press("Enter")
        assert payer.focused() == "pay"
        payer.page.keyboard.press("Enter")
        payer.land(shop.thanks_url)
        cms.settled(seeded.payment, "paid", "PAID")


class TestWatchfulness:
    """What every test here looks out for is really seen."""

    def test_noticed(self, payer: Payer) -> None:
        """An error on the console, an exception and a request to elsewhere are each noted."""
        payer.page.set_content(
            "<script>console.error('spoken'); setTimeout(() => { throw new Error('thrown') })</script>"
            "<img src='http://elsewhere.invalid/pixel.png'>"
        )
        payer.page.wait_for_timeout(200)
        noted = " ".join(payer.complaints)
        assert "spoken" in noted
        assert "thrown" in noted
        assert payer.requests_outside() == ["http://elsewhere.invalid/pixel.png"]
        payer.complaints.clear()
        payer.requests.clear()
