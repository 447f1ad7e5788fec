"""Which answers count against PayTabs: one closed table, for the breaker alone.

A decline, a refusal and our own fault prove that PayTabs works. What never reached PayTabs, or says nothing about its
health, counts neither way; so does a detail that is not listed, because stopping all calls needs a reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from paytabs.errors import LISTED_CODES, REFUSING_STATUSES
from paytabs.responses import Answer, Outcome


@dataclass(frozen=True)
class Verdict:
    """What one kind of answer says of the gateway's health.

    Attributes:
        failure: True against it, False for it, None neither.
        reason: Why.
    """

    failure: bool | None
    reason: str


#: What a detail says when the outcome alone (`did_not_happen`, `unknown`) does not.
VERDICT_OF_DETAIL: Mapping[str, Verdict] = MappingProxyType(
    {
        "dns": Verdict(failure=True, reason="PayTabs could not be reached"),
        "not_connected": Verdict(failure=True, reason="PayTabs could not be reached"),
        "connect_refused": Verdict(failure=True, reason="PayTabs could not be reached"),
        "connect_timeout": Verdict(failure=True, reason="PayTabs could not be reached"),
        "connect_failed": Verdict(failure=True, reason="PayTabs could not be reached"),
        "tls": Verdict(failure=True, reason="PayTabs could not be reached"),
        "timeout": Verdict(failure=True, reason="no whole answer within the call's deadline"),
        "connection_lost": Verdict(failure=True, reason="no answer"),
        "broken_body": Verdict(failure=True, reason="the answer was cut short"),
        "too_large": Verdict(failure=True, reason="no answer of PayTabs is that long"),
        "not_json": Verdict(failure=True, reason="something in front of PayTabs answered"),
        "malformed": Verdict(failure=True, reason="the answer breaks the contract"),
        "unexpected_shape": Verdict(failure=True, reason="the answer breaks the contract"),
        "other_cart_id": Verdict(failure=True, reason="the answer is about something else"),
        "other_tran_ref": Verdict(failure=True, reason="the answer is about something else"),
        "other_cart_amount": Verdict(failure=False, reason="a whole answer, on other terms than were asked for"),
        "other_cart_currency": Verdict(failure=False, reason="a whole answer, on other terms than were asked for"),
        "other_profile_id": Verdict(failure=False, reason="a whole answer, on other terms than were asked for"),
        "http_5xx": Verdict(failure=True, reason="PayTabs says that it failed"),
        "http_429": Verdict(failure=True, reason="PayTabs asks us to stop for a while, which is what a breaker does"),
        "empty": Verdict(failure=True, reason="an empty body; a query's empty list has the outcome succeeded"),
        "unknown_status": Verdict(failure=False, reason="a whole answer with a status that is new to us"),
        "not_found": Verdict(failure=False, reason="an answer to a query"),
        "code_4": Verdict(failure=False, reason="PayTabs recognised a copy of an earlier request"),
        "fence_expired": Verdict(failure=None, reason="we were too slow; PayTabs was not asked"),
        "unlisted_code": Verdict(failure=None, reason="nobody knows whose fault it names"),
    }
)

#: Our key or profile is wrong, or a proxy wants one: it passes when a human acts, and says nothing of PayTabs' health.
_UNAUTHORISED = 401


def names_wrong_settings(answer: Answer) -> bool:
    """Tell whether an answer says that every further call will be refused too, until a human changes a setting.

    Where PayTabs names a code, the code says so and not the status: "No response" comes under 401 as well.
    Of a look-up that is certain. A send may be refused so for what stands in it: a look-up then has to tell.
    """
    if answer.error_code is None:
        return answer.http_status == _UNAUTHORISED
    listed = LISTED_CODES.get(answer.error_code)
    return listed is not None and listed.configuration_fault


def counts_as_failure(answer: Answer) -> bool | None:
    """Tell what an answer says of PayTabs' health.

    Args:
        answer: What became of a call.

    Returns:
        True when PayTabs failed, False when it worked, None when the answer proves neither.
    """
    if names_wrong_settings(answer):
        return None
    listed = LISTED_CODES.get(answer.error_code or 0)
    if answer.outcome in (Outcome.SUCCEEDED, Outcome.PENDING, Outcome.REFUSED):
        return False
    named = VERDICT_OF_DETAIL.get(answer.detail)
    if named is not None:
        return named.failure
    # Under another status a proxy may have spoken.
    refused = answer.outcome is Outcome.DID_NOT_HAPPEN and listed and answer.http_status in REFUSING_STATUSES
    return False if refused else None
