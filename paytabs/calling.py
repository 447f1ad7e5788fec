"""How one call is made: a send on a connection of its own behind the fence, or an ask that may be repeated.

Sends use a fresh connection each, because a kept one that the peer has just closed would turn an ordinary send into an
unknown one. What may be repeated shares a pool. There is no requests session: it would bring cookies, redirects,
proxies and .netrc files, none of which may touch a payment.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

import requests
import structlog
from urllib3.exceptions import HTTPError

from paytabs.breaker_errors import Parked
from paytabs.errors import AnswerTooLarge, FenceExpired, InvalidRequest
from paytabs.exchange import CURRENT_EXCHANGE, Exchange
from paytabs.headers import request_headers, retry_after_seconds
from paytabs.resilience import repeat_query
from paytabs.responses import Answer, Call, Outcome, classify
from paytabs.transport import TimedAdapter, read_answer
from paytabs.unlisted import note_answer
from paytabs.writing import write_json

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


@dataclass(frozen=True)
class CallTimes:
    """How long calls may take.

    Attributes:
        connect_seconds: For name, connection and TLS handshake together.
        call_seconds: For a whole call, repetitions included.
    """

    connect_seconds: float
    call_seconds: float


def at_once() -> float:
    """Make nobody wait for a turn."""
    return 0.0


class Caller:
    """Makes calls for one profile; every one ends in an `Answer` in time.

    Args:
        profile: The account.
        times: How long calls may take.
        ca_bundle: Certificates to trust instead of the public ones.
        turn: How many seconds to wait before a call is repeated within itself; raises `Parked` where it may not be.
    """

    def __init__(
        self, profile: GatewayProfile, times: CallTimes, ca_bundle: str | None, turn: Callable[[], float] = at_once
    ) -> None:
        self._profile, self._turn = profile, turn
        self._base_url = profile.base_url.rstrip("/")
        self._times = times
        self._verify: bool | str = ca_bundle or True
        self._pooled = TimedAdapter()

    def send(
        self, path: str, body: bytes, call: Call, not_after: float | None = None, correlation_id: str | None = None
    ) -> Answer:
        """Send once, on a fresh connection.

        Args:
            path: Below the base URL.
            body: The whole JSON body.
            call: Which answer is expected.
            not_after: The `time.monotonic()` value from which on nothing may be written any more.
            correlation_id: Ours, sent along in a header.
        """
        exchange = self._new_exchange(time.monotonic() + self._times.call_seconds, not_after)
        adapter = TimedAdapter()
        try:
            return self._call(path, body, call, exchange=exchange, adapter=adapter, correlation_id=correlation_id)
        finally:
            adapter.close()

    def ask(
        self, path: str, members: Mapping[str, Any], call: Call, correlation_id: str | None = None
    ) -> tuple[Answer, bool]:
        """Send what does no harm when it arrives twice, repeating it within the call's time.

        Returns:
            The last answer, and whether an earlier copy may have been carried out.
        """
        body = write_json({"profile_id": self._profile.profile_id, **members})
        deadline = time.monotonic() + self._times.call_seconds
        answers: list[Answer] = []

        def once() -> Answer:
            if answers:
                try:
                    time.sleep(self._turn())
                except Parked:
                    return answers[-1]
            exchange = self._new_exchange(deadline, None)
            answer = self._call(
                path, body, call, exchange=exchange, adapter=self._pooled, correlation_id=correlation_id
            )
            answers.append(answer)
            return answer

        last = repeat_query(once, budget_seconds=self._times.call_seconds)
        return last, any(answer.outcome is Outcome.UNKNOWN for answer in answers[:-1])

    def close(self) -> None:
        """Close the pooled connections."""
        self._pooled.close()

    def _new_exchange(self, deadline: float, not_after: float | None) -> Exchange:
        connect_deadline = min(time.monotonic() + self._times.connect_seconds, deadline)
        return Exchange(connect_deadline=connect_deadline, deadline=deadline, not_after=not_after)

    def _call(
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
        note_answer(answer)
        return answer

    def _exchange(
        self, request: requests.PreparedRequest, call: Call, exchange: Exchange, adapter: TimedAdapter
    ) -> Answer:
        http_status: int | None = None
        timeout = (self._times.connect_seconds, self._times.call_seconds)
        try:
            response = adapter.send(request, stream=True, timeout=timeout, verify=self._verify)
            http_status = response.status_code
            try:
                body = read_answer(response.raw)
            finally:
                response.close()
        except _WIRE_TROUBLE as error:
            return _failed(error, exchange, http_status)
        retry_after = retry_after_seconds(response.headers.get("Retry-After"), response.headers.get("Date"))
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
