"""What an error envelope proves: one closed table over its code, the HTTP status it came with, and the call.

An unmade page costs nothing, so whatever refuses one ends it. For money only a listed code under a status that the
gateway refuses with is proof that nothing was executed; anything else stays unknown and is found out by query.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from paytabs.answers import Call
from paytabs.errors import LISTED_CODES, REFUSING_STATUSES


class CallKind(StrEnum):
    """What a call costs if it is taken for something else than it was."""

    PAGE = "page"
    MONEY = "money"
    FREEING = "freeing"
    LOOK_UP = "look-up"
    INVOICE_ACT = "invoice act"


class Standing(StrEnum):
    """What the HTTP status says of an envelope's sender."""

    REFUSING = "200, 400, 401, 404"
    OTHER = "any other below 500, 429 excepted"
    DOUBTFUL = "429, 5xx"


class Refusal(StrEnum):
    """What an envelope proves of the call.

    ENDED: it was not executed, and would be refused again. KEY_IN_DOUBT: it was not executed, and a question tells a
    bad key from a bad request. KEY_REFUSED: a look-up, which has nothing to be refused for, was refused for the key.
    NOT_FOUND: there is no such thing. UNKNOWN: nothing.
    """

    ENDED = "ended: not executed"
    KEY_IN_DOUBT = "waits: one question tells a bad key from a bad request"
    KEY_REFUSED = "the key is refused: alert, nothing is called"
    NOT_FOUND = "not found"
    UNKNOWN = "unknown: found out by query"


#: Which kind each call is of. A new invoice is a page; deleting a token does no harm when it is done twice.
KIND_OF_CALL: Mapping[Call, CallKind] = MappingProxyType(
    {
        Call.REQUEST: CallKind.PAGE,
        Call.CREATE_INVOICE: CallKind.PAGE,
        Call.CHARGE: CallKind.MONEY,
        Call.FOLLOW_UP: CallKind.MONEY,
        Call.FREEING: CallKind.FREEING,
        Call.QUERY_TRAN: CallKind.LOOK_UP,
        Call.QUERY_CART: CallKind.LOOK_UP,
        Call.QUERY_TOKEN: CallKind.LOOK_UP,
        Call.DELETE_TOKEN: CallKind.LOOK_UP,
        Call.INVOICE_STATUS: CallKind.INVOICE_ACT,
        Call.CANCEL_INVOICE: CallKind.INVOICE_ACT,
        Call.SEND_INVOICE_SMS: CallKind.INVOICE_ACT,
        Call.MARK_INVOICE_PAID: CallKind.INVOICE_ACT,
    }
)

_E, _K, _R, _N, _U = (
    Refusal.ENDED,
    Refusal.KEY_IN_DOUBT,
    Refusal.KEY_REFUSED,
    Refusal.NOT_FOUND,
    Refusal.UNKNOWN,
)

#: Stands for every code that is not listed.
UNLISTED = 0

#: By code: what it proves under a refusing status, and under another one; in the order of the call kinds.
#: Code 113 is known from a query only, so of money it proves nothing.
_CELLS: Mapping[int, tuple[tuple[Refusal, ...], tuple[Refusal, ...]]] = {
    #          page money free look-up act   page money free look-up act
    1: ((_K, _K, _K, _R, _E), (_K, _U, _U, _U, _U)),
    2: ((_E, _E, _E, _N, _E), (_E, _U, _U, _U, _U)),
    4: ((_U, _U, _U, _U, _U), (_U, _U, _U, _U, _U)),
    101: ((_E, _E, _E, _E, _E), (_E, _U, _U, _U, _U)),
    113: ((_E, _U, _U, _N, _U), (_E, _U, _U, _U, _U)),
    206: ((_E, _E, _E, _E, _E), (_E, _U, _U, _U, _U)),
    UNLISTED: ((_E, _U, _U, _U, _U), (_E, _U, _U, _U, _U)),
}

#: What every envelope proves, by code (`UNLISTED` for the rest), standing and call kind.
REFUSALS: Mapping[tuple[int, Standing, CallKind], Refusal] = MappingProxyType(
    {
        (code, standing, kind): refusal
        for code, (refusing, other) in _CELLS.items()
        for standing, cells in ((Standing.REFUSING, refusing), (Standing.OTHER, other), (Standing.DOUBTFUL, (_U,) * 5))
        for kind, refusal in zip(CallKind, cells, strict=True)
    }
)

#: An answer with one of these statuses may come from in front of the gateway, or from a gateway that broke half-way.
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


def standing(http_status: int) -> Standing:
    """Say what an HTTP status makes of an envelope."""
    if http_status == _TOO_MANY_REQUESTS or http_status >= _SERVER_ERROR:
        return Standing.DOUBTFUL
    return Standing.REFUSING if http_status in REFUSING_STATUSES else Standing.OTHER


def refusal(code: int, http_status: int, call: Call) -> Refusal:
    """Say what an error envelope proves.

    Args:
        code: The envelope's `code`, greater than zero.
        http_status: The status it arrived with.
        call: What was asked.
    """
    known = code if code in LISTED_CODES else UNLISTED
    return REFUSALS[known, standing(http_status), KIND_OF_CALL[call]]
