from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from paytabs.calling import Caller
from paytabs.client import GatewayProfile, PayTabsClient
from paytabs.errors import LISTED_CODES
from paytabs.operations import FollowUpRequest, PageRequest, TokenChargeRequest
from paytabs.responses import Answer, Call, Outcome
from paytabs.writing import write_json

Make = Callable[..., PageRequest]

#: A reference in the right form that no profile has.
UNKNOWN_REFERENCE = "TST0000000000000"


def told(answer: Answer) -> str:
    """Show what PayTabs really said, for whoever has to compare it with the contract."""
    return f"{answer.outcome} {answer.detail}, HTTP {answer.http_status}, code {answer.error_code}: {answer.message}"


class TestPage:
    """Making a hosted page."""

    @pytest.mark.parametrize("tran_type", ["sale", "auth"])
    def test_made(self, client: PayTabsClient, page: Make, tran_type: str) -> None:
        """The page exists, nothing is charged, and the amount came back as the very decimal sent."""
        request = page(tran_type=tran_type)
        answer = client.request_page(request, correlation_id="contract")
        assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "redirect"), told(answer)
        made = answer.transaction
        assert made is not None
        assert (made.cart_id, made.cart_amount) == (request.cart_id, request.cart_amount)
        assert (made.cart_currency, made.tran_type) == (request.cart_currency, tran_type)
        assert made.is_page
        assert answer.trace is not None

    def test_duplicate(self, client: PayTabsClient, page: Make) -> None:
        """The same request at once again is refused as a duplicate: evidence that the first one arrived."""
        request = page()
        assert client.request_page(request).outcome is Outcome.SUCCEEDED
        again = client.request_page(request)
        assert (again.outcome, again.error_code) == (Outcome.UNKNOWN, 4), told(again)


class TestQuery:
    """Asking what became of something."""

    def test_unpaid(self, client: PayTabsClient, page: Make) -> None:
        """A page that nobody has paid is pending or not found by reference, and listed as pending or not at all."""
        request = page()
        made = client.request_page(request).transaction
        assert made is not None
        answer = client.query_tran(made.tran_ref)
        assert answer.outcome is Outcome.PENDING or answer.detail == "not_found", told(answer)
        listed = client.query_cart(request.cart_id)
        assert listed.detail in {"empty", "found", "not_found"}, told(listed)
        assert {entry.response_status for entry in listed.transactions} <= {"P", None}

    def test_unknown_reference(self, client: PayTabsClient) -> None:
        """A reference nobody has is not found."""
        answer = client.query_tran(UNKNOWN_REFERENCE)
        assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, "not_found"), told(answer)

    def test_unknown_cart(self, client: PayTabsClient) -> None:
        """A cart nobody has is an empty list or not found."""
        answer = client.query_cart(f"contract-{uuid4()}")
        assert answer.detail in {"empty", "not_found"}, told(answer)

    def test_unknown_token(self, client: PayTabsClient) -> None:
        """A token nobody has is not found, and deleting it is refused."""
        token = uuid4().hex.upper()
        for answer in (client.query_token(token), client.delete_token(token)):
            assert answer.outcome is Outcome.DID_NOT_HAPPEN, told(answer)

    def test_unknown_invoice(self, client: PayTabsClient) -> None:
        """An invoice nobody has is refused."""
        for answer in (client.invoice_status(1), client.cancel_invoice(1)):
            assert answer.outcome is Outcome.DID_NOT_HAPPEN, told(answer)


class TestNothingMoves:
    """Acts upon what does not exist."""

    @pytest.mark.parametrize("tran_type", ["capture", "void", "release", "refund"])
    def test_follow_up(self, client: PayTabsClient, page: Make, tran_type: str) -> None:
        """A follow-up of an unknown transaction is refused, as an answer or as an envelope."""
        members = page().model_dump(include={"cart_id", "cart_description", "cart_currency", "cart_amount"})
        request = FollowUpRequest(**members, tran_type=tran_type, tran_ref=UNKNOWN_REFERENCE)
        answer = client.follow_up(request)
        assert answer.outcome in {Outcome.REFUSED, Outcome.DID_NOT_HAPPEN}, told(answer)

    def test_token(self, client: PayTabsClient, page: Make) -> None:
        """A charge of an unknown token is refused, as an answer or as an envelope."""
        members = page().model_dump(include={"cart_id", "cart_description", "cart_currency", "cart_amount"})
        request = TokenChargeRequest(**members, tran_class="recurring", token=uuid4().hex.upper())
        answer = client.charge(request)
        assert answer.outcome in {Outcome.REFUSED, Outcome.DID_NOT_HAPPEN}, told(answer)


class TestErrorEnvelope:
    """What PayTabs refuses, and with which code."""

    def test_wrong_key(self, client: PayTabsClient, profile: GatewayProfile, page: Make) -> None:
        """Another key is code 1 with 401."""
        del client
        with PayTabsClient(replace(profile, server_key="SAAAAAAAAA-AAAAAAAAAA-AAAAAAAAAA")) as stranger:
            answer = stranger.request_page(page())
        assert (answer.outcome, answer.error_code, answer.http_status) == (Outcome.DID_NOT_HAPPEN, 1, 401), told(answer)

    @pytest.mark.parametrize(
        ("members", "codes"),
        [
            ({"cart_currency": "ZZZ"}, {206, 2}),
            ({"cart_id": 5}, {101, 2}),
            ({"tran_type": "gift"}, {2}),
            ({"cart_amount": "much"}, {2}),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_invalid(
        self, caller: Caller, profile: GatewayProfile, page: Make, members: dict[str, Any], codes: set[int]
    ) -> None:
        """What cannot be meant is refused with a listed code, under a status that the table relies on."""
        body = write_json({"profile_id": profile.profile_id, **page().to_members(), **members})
        answer = caller.send("/payment/request", body, Call.REQUEST)
        assert answer.outcome is Outcome.DID_NOT_HAPPEN, told(answer)
        assert answer.error_code in codes & set(LISTED_CODES), told(answer)

    @pytest.mark.parametrize("members", [{}, {"tran_ref": UNKNOWN_REFERENCE, "cart_id": "c"}], ids=["neither", "both"])
    def test_query(self, caller: Caller, members: dict[str, str]) -> None:
        """A query has to be for a reference or for a cart."""
        answer, _ = caller.ask("/payment/query", members, Call.QUERY_TRAN)
        assert answer.outcome is Outcome.DID_NOT_HAPPEN, told(answer)
