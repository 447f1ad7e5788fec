"""What can go wrong at the gateway, and the closed table of error codes that prove a call did nothing.

A code outside the table proves nothing: the call's outcome is then unknown and a query has to settle it. The table
grows by one row together with one test that holds the captured answer.
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
        super().__init__(f"{field}: expected {expected}")
        self.field = field
        self.expected = expected


class MalformedBody(PayTabsError):
    """Raised when an answer or a notification does not have the shape of the gateway's contract.

    Attributes:
        field: The member that is missing or wrong; "body" when the whole cannot be read.
        expected: What should have stood there.
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: expected {expected}")
        self.field = field
        self.expected = expected


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
        configuration_fault: Whether every further call will fail until a human changes a setting.
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
        code=206,
        meaning="invalid currency code, or a follow-up in another currency than its original",
        executed=False,
        configuration_fault=False,
        evidence="official PHP SDK 3.2 comments (HTTP 400); the follow-up reading is third-party",
    ),
)

#: Every code whose meaning is known; anything else is unlisted and proves nothing.
LISTED_CODES: Mapping[int, ErrorCode] = MappingProxyType({row.code: row for row in _ROWS})

#: The statuses under which an error envelope was seen or is expected; under any other one a proxy may have spoken.
REFUSING_STATUSES = frozenset({200, 400, 401, 404})


def proves_nothing_happened(code: int, http_status: int) -> bool:
    """Tell whether an error envelope is proof that the call was not executed.

    Args:
        code: The envelope's `code`, greater than zero.
        http_status: The status the envelope arrived with.

    Returns:
        True only for a listed code that excludes execution, under a status the gateway refuses with.
    """
    row = LISTED_CODES.get(code)
    return row is not None and not row.executed and http_status in REFUSING_STATUSES
