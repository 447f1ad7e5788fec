"""The gateway client: every call ends in an `Answer` within its deadline, whatever PayTabs or the network does.

Sends that create something use a fresh connection each, because a kept one that the peer has just closed would turn an
ordinary send into an unknown one. Queries share a pool and are repeated within their call. There is no requests
session: it would bring cookies, redirects, proxies and .netrc files, none of which may touch a payment.
"""

import re
import time
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from types import TracebackType
from typing import Self

import requests
import structlog
from urllib3.exceptions import HTTPError

from paytabs.errors import AnswerTooLarge, FenceExpired, InvalidRequest
from paytabs.exchange import CURRENT_EXCHANGE, Exchange
from paytabs.headers import request_headers, retry_after_seconds
from paytabs.operations import PageRequest, write_json
from paytabs.resilience import repeat_query
from paytabs.responses import Answer, Call, Outcome, Transaction, classify
from paytabs.transport import TimedAdapter, read_answer

#: What the network and a broken peer raise. Anything else, Celery's time limit included, passes through.
_WIRE_TROUBLE = (requests.RequestException, HTTPError, HTTPException, OSError, ValueError, FenceExpired, AnswerTooLarge)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class GatewayProfile:
    """Which account at PayTabs, and where it answers.

    Attributes:
        profile_id: The profile's number.
        server_key: Its server key; never shown.
        base_url: The region's address, without a path.
    """

    profile_id: int
    server_key: str = field(repr=False)
    base_url: str

    def __post_init__(self) -> None:
        """Refuse what could not be sent."""
        if not re.fullmatch(r"[!-~]+", self.server_key):
            raise InvalidRequest("server_key", "printable ASCII without spaces")
        if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+/?", self.base_url):
            raise InvalidRequest("base_url", "a scheme and a host, such as https://secure.paytabs.sa")


class PayTabsClient:
    """Calls PayTabs for one profile. Thread-safe; a forked process needs one of its own."""

    def __init__(
        self,
        profile: GatewayProfile,
        *,
        connect_timeout_seconds: float = 3.0,
        call_timeout_seconds: float = 10.0,
        ca_bundle: str | None = None,
    ) -> None:
        """Prepare the client; nothing is sent.

        Args:
            profile: The account.
            connect_timeout_seconds: For name, connection and TLS handshake together.
            call_timeout_seconds: For a whole call, a query's repetitions included.
            ca_bundle: Certificates to trust instead of the public ones.
        """
        self._profile = profile
        self._base_url = profile.base_url.rstrip("/")
        self._connect_timeout_seconds = connect_timeout_seconds
        self._call_timeout_seconds = call_timeout_seconds
        self._verify: bool | str = ca_bundle or True
        self._pooled = TimedAdapter()

    def request_page(
        self, request: PageRequest, *, not_after: float | None = None, correlation_id: str | None = None
    ) -> Answer:
        """Ask for a hosted page, once.

        Args:
            request: What to ask for.
            not_after: The `time.monotonic()` value from which on nothing may be written any more.
            correlation_id: Ours, sent along in a header.

        Returns:
            SUCCEEDED with a transaction that carries `redirect_url`; DID_NOT_HAPPEN when that is certain; else UNKNOWN
            or what a completed answer said. Never raises for trouble with the gateway.
        """
        body = request.to_body(self._profile.profile_id)
        exchange = self._new_exchange(time.monotonic() + self._call_timeout_seconds, not_after)
        adapter = TimedAdapter()
        try:
            answer = self._send(
                "/payment/request",
                body,
                Call.REQUEST,
                exchange=exchange,
                adapter=adapter,
                correlation_id=correlation_id,
            )
        finally:
            adapter.close()
        return _only_about(answer, "cart_id", request.cart_id)

    def query_tran(self, tran_ref: str, *, correlation_id: str | None = None) -> Answer:
        """Ask for one transaction.

        Args:
            tran_ref: PayTabs' reference.
            correlation_id: Ours, sent along in a header.

        Returns:
            The transaction, and the outcome its status stands for; DID_NOT_HAPPEN with the detail "not_found" when
            PayTabs does not know the reference.
        """
        return self._query("tran_ref", tran_ref, Call.QUERY_TRAN, correlation_id)

    def query_cart(self, cart_id: str, *, correlation_id: str | None = None) -> Answer:
        """Ask for the transactions of a cart.

        Args:
            cart_id: The reference our request carried.
            correlation_id: Ours, sent along in a header.

        Returns:
            SUCCEEDED with the transactions, newest first, and the detail "found" or "empty"; PayTabs may answer
            "not_found" (DID_NOT_HAPPEN) instead of an empty list.
        """
        return self._query("cart_id", cart_id, Call.QUERY_CART, correlation_id)

    def close(self) -> None:
        """Close the pooled connections."""
        self._pooled.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _query(self, member: str, value: str, call: Call, correlation_id: str | None) -> Answer:
        if not isinstance(value, str) or not value:
            raise InvalidRequest(member, "a reference")
        body = write_json({"profile_id": self._profile.profile_id, member: value})
        deadline = time.monotonic() + self._call_timeout_seconds

        def ask() -> Answer:
            exchange = self._new_exchange(deadline, None)
            return self._send(
                "/payment/query", body, call, exchange=exchange, adapter=self._pooled, correlation_id=correlation_id
            )

        answer = repeat_query(ask, budget_seconds=self._call_timeout_seconds)
        return _only_about(answer, member, value)

    def _new_exchange(self, deadline: float, not_after: float | None) -> Exchange:
        connect_deadline = min(time.monotonic() + self._connect_timeout_seconds, deadline)
        return Exchange(connect_deadline=connect_deadline, deadline=deadline, not_after=not_after)

    def _send(
        self,
        path: str,
        body: bytes,
        call: Call,
        *,
        exchange: Exchange,
        adapter: TimedAdapter,
        correlation_id: str | None,
    ) -> Answer:
        began = time.monotonic()
        headers = request_headers(self._profile.server_key, correlation_id, keep_alive=adapter is self._pooled)
        request = requests.Request("POST", self._base_url + path, headers=headers, data=body).prepare()
        occupied = CURRENT_EXCHANGE.set(exchange)
        try:
            answer = self._exchange(request, call, exchange, adapter)
        finally:
            CURRENT_EXCHANGE.reset(occupied)
        _log.info(
            "gateway_answered",
            call=call.value,
            outcome=answer.outcome.value,
            detail=answer.detail,
            http_status=answer.http_status,
            error_code=answer.error_code,
            trace=answer.trace,
            elapsed_ms=round((time.monotonic() - began) * 1000),
        )
        return answer

    def _exchange(
        self, request: requests.PreparedRequest, call: Call, exchange: Exchange, adapter: TimedAdapter
    ) -> Answer:
        http_status: int | None = None
        timeout = (self._connect_timeout_seconds, self._call_timeout_seconds)
        try:
            response = adapter.send(request, stream=True, timeout=timeout, verify=self._verify)
            http_status = response.status_code
            try:
                body = read_answer(response.raw)
            finally:
                response.close()
        except _WIRE_TROUBLE as error:
            return _failed(error, exchange, http_status)
        retry_after = retry_after_seconds(response.headers.get("Retry-After"))
        return classify(http_status, body, call=call, retry_after_seconds=retry_after)


def _failed(error: Exception, exchange: Exchange, http_status: int | None) -> Answer:
    if not exchange.request_written:
        return Answer(Outcome.DID_NOT_HAPPEN, exchange.stage)
    if isinstance(error, AnswerTooLarge):
        detail = "too_large"
    elif time.monotonic() >= exchange.deadline:
        detail = "timeout"
    else:
        detail = "connection_lost" if http_status is None else "broken_body"
    return Answer(Outcome.UNKNOWN, detail, http_status=http_status)


def _only_about(answer: Answer, member: str, value: str) -> Answer:
    """Turn an answer about something else than was asked into an unknown one."""
    found: tuple[Transaction | None, ...] = (answer.transaction, *answer.transactions)
    named = {getattr(transaction, member) for transaction in found if transaction is not None}
    if named <= {value, None}:
        return answer
    return replace(answer, outcome=Outcome.UNKNOWN, detail=f"other_{member}", transaction=None, transactions=())
