"""Answers whose own terms cannot be taken: nothing of them is stored or shown, and a human is called."""

import json
from collections.abc import Callable
from typing import Any

import bson
import pytest

from payments.errors import NotYet
from payments.operations import Status
from payments.reasons import ReasonCode
from paytabs import calling
from paytabs.responses import classify
from tests.integration.payments.stage import PAID, Stage
from tests.support.cms import SeededPayment

Body = dict[str, Any]
Alter = Callable[[Body], None]

#: Terms and addresses of a page that are not taken, by the member that is named.
PAGES: list[tuple[str, Body]] = [
    ("cart_amount", {"cart_amount": "1150.00"}),
    ("cart_amount", {"cart_amount": "115.01"}),
    ("cart_amount", {"cart_amount": "a lot"}),
    ("cart_currency", {"cart_currency": "USD"}),
    ("profile_id", {"profileId": 111111}),
    ("profile_id", {"profile_id": 111111}),
    ("cart_id", {"cart_id": "somebody-else"}),
    ("cart_id", {"cart_id": "x" * 100_000}),
    ("redirect_url", {"redirect_url": "javascript:alert(1)"}),
    ("redirect_url", {"redirect_url": "https://secure.paytabs.sa/" + "x" * 2_048}),
    ("redirect_url", {"redirect_url": "https://secure.paytabs.sa/\x00"}),
    ("redirect_url", {"redirect_url": "https://secure.paytabs.sa/x y"}),
    ("tran_ref", {"tran_ref": "T" * 100_000}),
    ("tran_ref", {"tran_ref": "TST\x00"}),
    ("tran_ref", {"tran_ref": "TST 1"}),
    ("tran_ref", {"tran_ref": ""}),
    ("tran_ref", {"tran_ref": None}),
    ("token", {"token": "t\ud800"}),
]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Body], None]:
    """Have the sandbox's answers arrive altered, those to calls of one kind."""

    def alter(kind: str, members: Body) -> None:
        def altered(http_status: int, body: bytes, **more: Any) -> Any:
            if more["call"].value == kind and body.startswith(b"{"):
                body = json.dumps({**json.loads(body), **members}).encode()
            return classify(http_status, body, **more)  # the real one

        monkeypatch.setattr(calling, "classify", altered)

    return alter


def kept(stage: Stage) -> str:
    """Return everything that is in the database, as text."""
    return "".join(str(row) for name in stage.database.list_collection_names() for row in stage.database[name].find())


class TestPage:
    """A page on other terms, or behind what is no address, is shown to nobody."""

    @pytest.mark.parametrize(("member", "members"), PAGES)
    def test_not_taken(
        self, stage: Stage, seeded: SeededPayment, answers: Callable[[str, Body], None], member: str, members: Body
    ) -> None:
        """No link, no reference; a case that names the member; no second page until somebody has settled it."""
        answers("request", members)
        view = stage.create(seeded)
        assert (view.state, view.redirect_url, view.tran_ref) == ("REVIEW", None, None)
        gateway = stage.cms(seeded)["gateway"]
        assert (gateway["redirect_url"], gateway["tran_ref"]) == (None, None)
        assert gateway["review_codes"] == [ReasonCode.ANSWER_NOT_TAKEN]
        assert member in gateway["review"][0]
        assert member in str(view.error)
        row = stage.row(seeded)
        assert (row.status, row.open, row.retired_carts) == (Status.FAILED, False, (row.cart_id,))
        stage.live(3600)
        assert len(stage.sent()) == 1
        value = str(next(iter(members.values())))
        if len(value) > 6:
            assert value not in kept(stage)

    def test_settled(self, stage: Stage, seeded: SeededPayment, answers: Callable[[str, Body], None]) -> None:
        """Settled by a person, the payment can be paid; the page that was not taken is watched, and its money seen."""
        answers("request", {"cart_amount": "1.00"})
        stage.create(seeded)
        answers("request", {})
        (case,) = stage.world.review.cases(seeded.payment_id)
        stage.world.review.settle(seeded.payment_id, case.reason, "a mistake of PayTabs", stage.context())
        assert stage.state(seeded) == "NEW"
        assert stage.open_page(seeded)
        stage.sandbox.pay(stage.sandbox.ledger()[0]["tran_ref"], PAID)
        stage.live(3600)
        assert stage.get(seeded).captured == "115.00"

    @pytest.mark.parametrize(
        "members", [{"cart_amount": "115"}, {"cart_amount": 115}, {"cart_currency": "sar"}, {"profileId": None}]
    )
    def test_the_same(
        self, stage: Stage, seeded: SeededPayment, answers: Callable[[str, Body], None], members: Body
    ) -> None:
        """The same terms written otherwise, or left out, are no other terms."""
        answers("request", members)
        assert stage.create(seeded).redirect_url


class TestMoney:
    """An answer about money that cannot be taken leaves the outcome unknown, and calls a human besides."""

    @pytest.mark.parametrize("members", [{"tran_ref": "T\x00"}, {"tran_ref": "T" * 100_000}, {"token": "x y"}])
    def test_refund(
        self, stage: Stage, seeded: SeededPayment, answers: Callable[[str, Body], None], members: Body
    ) -> None:
        """A refund is found by query, and never sent again; nothing of the answer is stored."""
        stage.paid(seeded)
        answers("follow_up", members)
        with pytest.raises(NotYet, match="malformed"):
            stage.follow_up(seeded, "refund", "15.00")
        assert stage.cms(seeded)["gateway"]["review_codes"] == [ReasonCode.ANSWER_NOT_TAKEN]
        sent = len(stage.sent())
        stage.live(60)
        assert stage.row(seeded).status is Status.SUCCEEDED
        assert (stage.get(seeded).refunded, len(stage.sent())) == ("15.00", sent)
        bson.encode({"all": kept(stage)})

    @pytest.mark.parametrize(
        "members",
        [
            {"tran_ref": "T\x00"},
            {"cart_id": "c\x00"},
            {"cart_id": "c" * 100_000},
            {"previous_tran_ref": "p q"},
            {"tran_type": "t" * 100_000},
            {"tran_currency": "\ud800"},
            {"token": "t" * 100_000},
            {"payment_result": {"response_status": "A", "response_code": "c\x00"}},
            {"payment_result": {"response_status": "A" * 1000}},
        ],
        ids=lambda members: next(iter(members)),
    )
    def test_query(
        self, stage: Stage, seeded: SeededPayment, answers: Callable[[str, Body], None], members: Body
    ) -> None:
        """A query's answer that holds what no database does says nothing; the next whole one is applied."""
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        answers("query_tran", members)
        with pytest.raises(NotYet, match="gateway_"):
            stage.verify(seeded)
        assert stage.state(seeded) == "AWAITING_PAYER"
        answers("query_tran", {})
        assert stage.verify(seeded).state == "PAID"
