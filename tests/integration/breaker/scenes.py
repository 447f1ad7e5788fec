"""What the breaker and the limiter promise, played with several processes: once small in tests, once in full."""

import time
from decimal import Decimal
from uuid import uuid4

from paytabs.breaker_rules import BreakerRules
from paytabs.client import GatewayProfile, PayTabsClient
from paytabs.operations import PageRequest, PartyDetails
from tests.integration.breaker.crowd import Crowd
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox
from tests.support.waiting import eventually

#: A breaker that stays open just long enough to be seen open, all other numbers as agreed.
BRIEFLY_OPEN = {"open_seconds": 0.3}

#: How long the limiter's opening burst is left out of the rate, in seconds.
SETTLING_SECONDS = 1.0


def trip(crowd: Crowd) -> None:
    """Open a closed breaker: one failure each, in as many processes as it takes."""
    first, *_ = living = crowd.living()
    needed = BreakerRules().failures_in_a_row
    for turn in range(needed):
        assert crowd.one(first, "look") == {"state": "closed"}
        assert crowd.one(living[turn % len(living)], "call", results=[False]) == {"passed": 1}
    assert crowd.one(first, "look") == {"state": "open"}


def until_half_open(crowd: Crowd) -> None:
    """Wait for the end of the open time."""
    first = crowd.living()[0]
    eventually(lambda: crowd.one(first, "look")["state"] == "half-open", within_seconds=60, what="half-open")


def admitted(crowd: Crowd) -> list[int]:
    """Let all members ask for a permit at the same moment; list those that got one."""
    return [member for member, answer in zip(crowd.living(), crowd.all("admit"), strict=True) if answer["admitted"]]


def recover(crowd: Crowd, sandbox: Sandbox, tran_ref: str) -> list[int]:
    """Open the breaker and let all processes try to recover it at once, until it is closed.

    Returns:
        How many queries PayTabs got each time all processes tried together.
    """
    trip(crowd)
    until_half_open(crowd)
    probes = []
    for _ in range(BreakerRules().probes_to_close):
        asked_before = _asked(sandbox, tran_ref)
        for member in admitted(crowd):
            crowd.one(member, "ask", tran_ref=tran_ref)
        probes.append(_asked(sandbox, tran_ref) - asked_before)
    assert crowd.one(crowd.living()[0], "look") == {"state": "closed"}
    return probes


def _asked(sandbox: Sandbox, tran_ref: str) -> int:
    """Count the queries about one transaction: what others ask of the same sandbox is no probe."""
    return sum(one["body"].get("tran_ref") == tran_ref for one in sandbox.requests("/payment/query"))


def lose_probe_owner(crowd: Crowd) -> float:
    """Kill the process that probes, and recover without it.

    Returns:
        The seconds from the permit of the lost probe until another process was let through.
    """
    trip(crowd)
    until_half_open(crowd)
    (owner,) = admitted(crowd)
    began = time.monotonic()
    crowd.kill(owner)
    assert admitted(crowd) == []
    (heir,) = eventually(lambda: admitted(crowd), within_seconds=60, what="another probe")
    seconds = time.monotonic() - began
    crowd.one(heir, "record", ok=True)
    for _ in range(BreakerRules().probes_to_close - 1):
        assert crowd.one(heir, "call", results=[True]) == {"passed": 1}
    assert crowd.one(heir, "look") == {"state": "closed"}
    return seconds


def declined(sandbox: Sandbox) -> str:
    """Have a payer's card declined; return the transaction's reference."""
    profile = GatewayProfile(profile_id=PROFILE_ID, server_key=SERVER_KEY, base_url=sandbox.url)
    request = PageRequest(
        cart_id=f"declined-{uuid4().hex}",
        cart_description="x",
        cart_currency="SAR",
        cart_amount=Decimal("115.00"),
        customer_details=PartyDetails(name="Test Buyer", email="buyer@example.test", country="SA"),
    )
    with PayTabsClient(profile) as client:
        page = client.request_page(request).transaction
    assert page is not None
    sandbox.pay(page.tran_ref, "declined")
    return page.tran_ref


def turns(crowd: Crowd, seconds: float) -> list[float]:
    """Let all members take turns as fast as they get them; give the moments, in order, counted from the first."""
    moments = sorted(moment for answer in crowd.all("turns", seconds=seconds) for moment in answer["moments"])
    return [moment - moments[0] for moment in moments]


def rate(moments: list[float], seconds: float) -> float:
    """Give the turns per second over so many seconds, the opening burst left out."""
    return sum(SETTLING_SECONDS <= moment < SETTLING_SECONDS + seconds for moment in moments) / seconds


def most_at_once(crowd: Crowd, seconds: float, stay_seconds: float) -> tuple[int, int]:
    """Let all members hold places again and again; give the stays in all, and the most at the same time."""
    visits = crowd.all("visits", seconds=seconds, stay_seconds=stay_seconds)
    stays = [stay for answer in visits for stay in answer["stays"]]
    changes = sorted([(began, 1) for began, _ in stays] + [(ended, -1) for _, ended in stays])
    now = most = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return len(stays), most
