from collections.abc import Iterator

import pytest
import redis

from paytabs.breaker import Breaker
from paytabs.breaker_errors import BreakerOpen, LimitExceeded
from paytabs.breaker_gate import PROBE_CART_ID, Gate, this_process
from paytabs.breaker_rules import BreakerRules, Kind
from paytabs.client import GatewayProfile, PayTabsClient
from paytabs.limiter import Limiter
from paytabs.limiter_rules import LimiterRules
from tests.integration.breaker.conftest import OUTAGES
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox
from tests.support.waiting import eventually

QUERY = "/payment/query"


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[PayTabsClient]:
    """The gateway client, in front of the sandbox."""
    with PayTabsClient(GatewayProfile(PROFILE_ID, SERVER_KEY, sandbox.url)) as client:
        yield client


@pytest.fixture
def gate(shared: redis.Redis, name: str, client: PayTabsClient) -> Gate:
    """The door to the sandbox, with a breaker that stays open briefly."""
    return Gate(
        Breaker(shared, name, outages=OUTAGES, rules=BreakerRules(open_seconds=0.2)),
        Limiter(shared, name, outages=OUTAGES, rules=LimiterRules(longest_wait_seconds=0.1)),
        probe=lambda: client.query_cart(PROBE_CART_ID),
        owner=this_process(),
    )


def trip(gate: Gate) -> None:
    """Open the breaker."""
    for _ in range(5):
        with gate.passage("send") as permit:
            permit.record(ok=False)
    assert gate.breaker.state() == "open"


def until_half_open(gate: Gate) -> None:
    """Wait for the end of the open time."""
    eventually(lambda: gate.breaker.state() == "half-open", what="half-open")


class TestPassage:
    """A call passes the breaker and the limiter, and tells what it proved."""

    def test_query(self, gate: Gate, client: PayTabsClient, sandbox: Sandbox) -> None:
        """A query through it is asked, answered and counted."""
        assert gate.ask(lambda: client.query_tran("TST0")).detail == "not_found"
        assert len(sandbox.requests(QUERY)) == 1
        assert gate.breaker.snapshot().calls == 1

    def test_broken_gateway(self, gate: Gate, client: PayTabsClient, sandbox: Sandbox) -> None:
        """When PayTabs breaks, five queries in a row are the last that it gets."""
        sandbox.fault(QUERY, "http_500", times=0)
        for _ in range(5):
            gate.ask(lambda: client.query_tran("TST0"))
        asked = len(sandbox.requests(QUERY))
        with pytest.raises(BreakerOpen):
            gate.ask(lambda: client.query_tran("TST0"))
        assert len(sandbox.requests(QUERY)) == asked

    def test_unsettled(self, gate: Gate) -> None:
        """A passage that ends by an error counts neither way, and leaves its place."""
        for _ in range(8):
            with pytest.raises(ZeroDivisionError), gate.passage("send"):
                raise ZeroDivisionError
        assert gate.breaker.snapshot().calls == 0

    def test_limited(self, gate: Gate, shared: redis.Redis, name: str) -> None:
        """Whoever is turned away by the limiter leaves the breaker as it was, a probe's token included."""
        trip(gate)
        until_half_open(gate)
        slow = LimiterRules(calls_per_second=0.01, at_once=1, longest_wait_seconds=0.1)
        gate.limiter = Limiter(shared, name, outages=OUTAGES, rules=slow)
        gate.limiter.reserve()
        with pytest.raises(LimitExceeded), gate.passage("query"):
            pass
        assert gate.breaker.snapshot().probe_owner is None


class TestRecovery:
    """Recovery does not depend on anybody having to ask something."""

    def test_send_probes(self, gate: Gate, sandbox: Sandbox) -> None:
        """The first send after the open time makes the three probes itself, and goes through."""
        trip(gate)
        until_half_open(gate)
        with gate.passage("send") as permit:
            permit.record(ok=True)
        assert len(sandbox.requests(QUERY)) == 3
        assert gate.breaker.state() == "closed"

    def test_still_broken(self, gate: Gate, sandbox: Sandbox) -> None:
        """While PayTabs is broken its probe fails, and the send is parked without being made."""
        trip(gate)
        sandbox.fault(QUERY, "http_500", times=0)
        until_half_open(gate)
        with pytest.raises(BreakerOpen), gate.passage("send"):
            pytest.fail("let through")
        assert gate.breaker.snapshot().reason == "a probe failed"

    def test_other_probes(self, gate: Gate, sandbox: Sandbox) -> None:
        """While another process probes, the send waits for its turn outside."""
        trip(gate)
        until_half_open(gate)
        probe = gate.breaker.admit("query", "other")
        with pytest.raises(BreakerOpen), gate.passage("send"):
            pytest.fail("let through")
        assert not sandbox.requests(QUERY)
        probe.record(ok=True)
        with gate.passage("send"):
            pass
        assert len(sandbox.requests(QUERY)) == 2


class TestHaste:
    """Who has a caller waiting leaves the probes to others."""

    @pytest.fixture
    def hasty(self, gate: Gate, client: PayTabsClient) -> Gate:
        """The same door for somebody in haste."""
        return Gate(
            gate.breaker, gate.limiter, probe=lambda: client.query_cart(PROBE_CART_ID), owner=this_process(),
            in_haste=lambda: True,
        )  # fmt: skip

    @pytest.mark.parametrize("kind", ["query", "send"])
    def test_turned_away(self, gate: Gate, hasty: Gate, sandbox: Sandbox, kind: Kind) -> None:
        """Half-open, nothing is asked for them, however long PayTabs would take; closed, they pass as all others."""
        trip(gate)
        until_half_open(gate)
        with pytest.raises(BreakerOpen), hasty.passage(kind):
            pytest.fail("let through")
        assert not sandbox.requests(QUERY)
        gate.recover()
        assert len(sandbox.requests(QUERY)) == 3
        assert gate.breaker.state() == "closed"
        with hasty.passage(kind):
            pass

    def test_a_refused_key(self, hasty: Gate, client: PayTabsClient, sandbox: Sandbox) -> None:
        """A question in haste that is refused for the key stops everybody all the same."""
        sandbox.fault(QUERY, "auth_failed")
        hasty.ask(lambda: client.query_tran("TST0"))
        assert hasty.breaker.state() == "open"

    def test_neglected(self, gate: Gate, hasty: Gate, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
        """What nobody has probed for long is probed by them as well."""
        monkeypatch.setattr("paytabs.breaker_gate.NEGLECTED_SECONDS", -1.0)
        trip(gate)
        until_half_open(gate)
        with hasty.passage("send"):
            pass
        assert len(sandbox.requests(QUERY)) == 3
        assert gate.breaker.state() == "closed"

    def test_recover(self, gate: Gate, sandbox: Sandbox) -> None:
        """Recovering asks nothing while the breaker is closed or open, and leaves a broken PayTabs parked."""
        gate.recover()
        trip(gate)
        gate.recover()
        assert not sandbox.requests(QUERY)
        sandbox.fault(QUERY, "http_500", times=0)
        until_half_open(gate)
        gate.recover()
        assert gate.breaker.snapshot().reason == "a probe failed"
