"""What can go wrong at the gateway: our own errors, and what PayTabs' codes mean, as two closed tables.

An error code replaces an answer; what one proves of which call stands in `refusals`. A response code explains a status
within an answer; the status decides, so one outside its table only has no explanation. Each table grows by one row
together with one test that holds the captured answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


class PayTabsError(Exception):
    """Root of everything this package raises."""


class InvalidRequest(PayTabsError):
    """Raised when a value cannot be sent to PayTabs as it is; repeating the call cannot help.

    Attributes:
        field: The member at fault, nested members joined by dots.
        expected: What would have been accepted.
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(field, expected)
        self.field = field
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}"


class MalformedBody(PayTabsError):
    """Raised when an answer or a notification does not have the shape of the gateway's contract.

    Attributes:
        field: The member that is missing or wrong; "body" when the whole cannot be read.
        expected: What should have stood there.
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(field, expected)
        self.field = field
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}"


class FenceExpired(PayTabsError):
    """Raised when the moment after which nothing may be written had passed just before the socket write."""


class DeadlineExceeded(PayTabsError, TimeoutError):
    """Raised when the whole call has used up its time, however lively the connection still is."""


class AnswerTooLarge(PayTabsError):
    """Raised when an answer is longer than anything PayTabs sends."""


@dataclass(frozen=True)
class ErrorCode:
    """One `code` of the gateway's error envelope.

    Attributes:
        code: The number in the envelope.
        meaning: What PayTabs says with it.
        executed: Whether something may have been executed all the same.
        configuration_fault: Whether, unless the request itself is at fault, every further call will fail until a human
            changes a setting.
        evidence: Where the row comes from.
    """

    code: int
    meaning: str
    executed: bool
    configuration_fault: bool
    evidence: str


_ROWS = (
    ErrorCode(
        code=1,
        meaning="authentication failed: wrong key, wrong profile or wrong region's host",
        executed=False,
        configuration_fault=True,
        evidence="captured answer in the official PHP SDK's tests; HTTP 401 in its 3.2 comments",
    ),
    ErrorCode(
        code=2,
        meaning="invalid request, one code with many messages; a query's 'not found' among them",
        executed=False,
        configuration_fault=False,
        evidence="captured answers in the official PHP SDK's tests; HTTP 400 inferred",
    ),
    ErrorCode(
        code=4,
        meaning="duplicate request: an earlier copy arrived",
        executed=True,
        configuration_fault=False,
        evidence="captured answer in the official PHP SDK's tests; HTTP 409 in its 3.2 comments",
    ),
    ErrorCode(
        code=101,
        meaning="cart_id not valid, for example sent as an integer",
        executed=False,
        configuration_fault=False,
        evidence="PayTabs support article; HTTP 400 inferred",
    ),
    ErrorCode(
        code=113,
        meaning="transaction not found, to a look-up",
        executed=False,
        configuration_fault=False,
        evidence="one capture, of PayTabs' white label ClickPay (HTTP 400 or 404)",
    ),
    ErrorCode(
        code=206,
        meaning="invalid currency code, or a follow-up in another currency than its original",
        executed=False,
        configuration_fault=False,
        evidence="official PHP SDK 3.2 comments (HTTP 400); the follow-up reading is third-party",
    ),
)

#: Every code whose meaning is known; anything else is unlisted.
LISTED_CODES: Mapping[int, ErrorCode] = MappingProxyType({row.code: row for row in _ROWS})

#: The statuses under which an error envelope was seen or is expected; under any other one a proxy may have spoken.
REFUSING_STATUSES = frozenset({200, 400, 401, 404})


@dataclass(frozen=True)
class ResponseCode:
    """One `response_code` of a payment result.

    Attributes:
        status: The status letter it comes with; the same code under another letter is another row, or none.
        code: The code as PayTabs writes it.
        meaning: For operators; never shown to payers.
        evidence: Where the row comes from.
        is_doubtful: Whether the acquirer may have moved money in spite of the status, so that the bank has to be asked.
        payer_may_retry: Whether another try by the payer, perhaps with another card, may end better.
        same_card_may_do: Whether another try with the same card may.
        is_listed: Whether the row is in the table, rather than made up for a code that is not.
    """

    status: str
    code: str
    meaning: str
    evidence: str
    is_doubtful: bool = False
    payer_may_retry: bool = False
    same_card_may_do: bool = False
    is_listed: bool = True


_CAPTURED = "captured answer in the official PHP SDK's tests"
_ARTICLE = "PayTabs support article"
_THIRD_PARTY = "third-party description of the API"
_DOUBTFUL = {"is_doubtful": True}
_RETRY = {"payer_may_retry": True, "same_card_may_do": True}
_OTHER_CARD = {"payer_may_retry": True}

_RESPONSE_ROWS = (
    ResponseCode("E", "120", "the transaction acted upon is on hold", _CAPTURED),
    ResponseCode("E", "200", "invalid card number", _THIRD_PARTY, **_RETRY),
    ResponseCode("D", "300", "not authorised, without a reason", f"{_ARTICLE}; {_THIRD_PARTY}", **_DOUBTFUL),
    ResponseCode("D", "310", "3-D Secure rejected", _THIRD_PARTY, **_RETRY),
    ResponseCode("D", "316", "insufficient funds", _THIRD_PARTY, **_OTHER_CARD),
    ResponseCode("C", "321", "cancelled by the payer", _CAPTURED, **_RETRY),
    ResponseCode("E", "325", "the merchant's limit per transaction exceeded", _ARTICLE),
    ResponseCode("D", "342", "the merchant's balance is too low for the refund", f"{_ARTICLE}; status inferred"),
    ResponseCode("D", "345", "3-D Secure not completed", _THIRD_PARTY, **_RETRY),
    ResponseCode("D", "354", "the merchant does not take this card", _CAPTURED, **_OTHER_CARD),
    ResponseCode("X", "355", "the transaction expired", _CAPTURED, **_RETRY),
    ResponseCode("E", "400", "internal error of PayTabs", _THIRD_PARTY, **_DOUBTFUL),
    ResponseCode("E", "401", "no response from the processor", _CAPTURED, **_DOUBTFUL),
    ResponseCode("D", "501", "the issuer reports fraud", _THIRD_PARTY),
    ResponseCode("P", "600", "awaiting finalisation", _THIRD_PARTY),
)

#: Every response code whose meaning is known, by status and code. With A and H the code is the bank's reference.
RESPONSE_CODES: Mapping[tuple[str, str], ResponseCode] = MappingProxyType(
    {(row.status, row.code): row for row in _RESPONSE_ROWS}
)


def response_code(status: str | None, code: str | None) -> ResponseCode:
    """Look up what a status and its code mean together.

    Args:
        status: The status letter, in either case.
        code: The code; about sixty more exist than are listed, and references of banks stand in the same member.

    Returns:
        The table's row, or one that says that nothing is known: not doubtful, and no reason for the payer to try again.
    """
    key = ((status or "").upper(), code or "")
    return RESPONSE_CODES.get(key) or ResponseCode(*key, meaning="", evidence="", is_listed=False)
