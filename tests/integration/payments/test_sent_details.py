"""What is sent of people and addresses: what PayTabs takes, whatever the CMS's documents hold."""

from typing import Any

import pytest

from payments.errors import InvalidArgument, Refusal
from tasks.wiring import CALLBACK_ALERT, tell_of_callback
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment

#: A gateway that PayTabs' own would be: never called here.
REAL = "https://secure.paytabs.sa"


def edit(stage: Stage, seeded: SeededPayment, **members: Any) -> None:
    """Change the client's document as the CMS might."""
    stage.database["users"].update_one({"_id": seeded.client}, {"$set": members})


class TestPeople:
    """A page is not refused over a detail that it asks for itself."""

    @pytest.mark.parametrize(
        ("country", "sent"),
        [("KSA", "SA"), ("UAE", "AE"), ("UK", "GB"), ("السعودية", "SA"), ("sau", "SA"), ("XX", None), (5, None)],
    )
    def test_country(self, stage: Stage, seeded: SeededPayment, country: object, sent: str | None) -> None:
        """A country by whatever name is sent as its code; what means none is left out."""
        edit(stage, seeded, **{"address.country": country})
        stage.open_page(seeded)
        (body,) = stage.sent()
        assert body["customer_details"].get("country") == sent

    def test_hostile(self, stage: Stage, seeded: SeededPayment) -> None:
        """Of a document full of nonsense the rest is sent, cut and cleaned."""
        edit(
            stage, seeded, fullName="هدى " * 100, email="not an address", phone={"number": 1},
            address={"street": "King\x00 Fahd\nRoad", "city": ["Riyadh"], "state": "\x00", "country": "Atlantis"},
        )  # fmt: skip
        stage.database["payments"].update_one(
            {"_id": seeded.payment}, {"$set": {"title": "Second\x00 instalment " + "👨\u200d👩\u200d👧" * 60}}
        )
        stage.open_page(seeded)
        (body,) = stage.sent()
        assert body["customer_details"] == {"name": ("هدى " * 25).strip(), "street1": "King Fahd Road"}
        description = body["cart_description"]
        assert description.startswith("Second instalment 👨\u200d👩\u200d👧")
        assert len(description) <= 128
        assert description.endswith("👧")

    def test_no_title(self, stage: Stage, seeded: SeededPayment) -> None:
        """A title of which nothing is left is no reason to refuse the payment."""
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"title": "\x00 \x1f"}})
        stage.open_page(seeded)
        assert stage.sent()[0]["cart_description"] == f"Payment {seeded.payment_id}"


class TestCallback:
    """PayTabs refuses a page over a callback that it cannot reach."""

    @pytest.mark.parametrize("url", ["http://pay.example.com/x", "https://pay.example.com:8443/x", "https://10.0.0.1/"])
    def test_callers(self, stage: Stage, seeded: SeededPayment, url: str) -> None:
        """A caller is told so, by name and code, before anything is accepted."""
        world = stage.another_world(paytabs_base_url=REAL)
        with pytest.raises(InvalidArgument, match="callback_url") as caught:
            stage.create(seeded, world, callback_url=url)
        assert caught.value.code == Refusal.CALLBACK_NOT_PUBLIC
        assert stage.rows(seeded) == []
        assert stage.create(seeded, callback_url=url).redirect_url

    def test_ours(self, stage: Stage) -> None:
        """Our own is left out and operators are told, until it is one that PayTabs takes."""
        wrong = stage.another_world(paytabs_base_url=REAL, paytabs_callback_url="http://pay.example.com/x")
        assert wrong.service._parts.callback_url is None
        tell_of_callback(wrong)
        assert "PAYTABS_CALLBACK_URL" in stage.open_alerts()[CALLBACK_ALERT]
        right = stage.another_world(paytabs_base_url=REAL, paytabs_callback_url="https://pay.example.com/x")
        assert right.service._parts.callback_url == "https://pay.example.com/x"
        tell_of_callback(right)
        assert CALLBACK_ALERT not in stage.open_alerts()
