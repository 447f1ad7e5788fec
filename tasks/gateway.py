"""How PayTabs is reached: the client of the profile, behind a breaker and a limiter that all processes share.

The breaker is one per profile and key, so that processes with a corrected key are not held up by what the wrong one
did; the limiter is one per profile. Both live in the cache's Redis, and in this process alone while that is away.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import redis
from pybreaker import CircuitBreaker, CircuitBreakerListener, CircuitBreakerState

from config.connections import redis_client
from config.settings import Settings
from observability.alerts import ResolveAlert
from observability.metrics import BREAKER_CHANGES
from paytabs.breaker import Breaker
from paytabs.breaker_gate import PROBE_CART_ID, Gate
from paytabs.breaker_rules import STATE_CLOSED, STATE_OPEN, BreakerRules, ScriptClient
from paytabs.callbacks import takes_callback
from paytabs.client import GatewayProfile, PayTabsClient
from paytabs.gated import GatedClient, Hears, heard, unheard
from paytabs.limiter import Limiter
from paytabs.limiter_rules import LimiterRules
from paytabs.regions import base_url
from paytabs.responses import Answer, Call

#: What a Redis raises that cannot be used.
OUTAGES = (redis.exceptions.RedisError,)

#: A Redis that takes longer than this is as good as away: a payer waits.
REDIS_SECONDS = 0.2

#: What is told to operators while PayTabs is not called.
ALERT = "gateway_not_called"

#: Why it closes.
CLOSED = "the breaker is closed"


class NoRedis:
    """Stands where no Redis is configured: this process then decides for itself."""

    def eval(self, script: str, numkeys: int, *keys_and_args: str) -> Any:  # noqa: ANN401 - whatever a script returns
        """Say that there is none."""
        del script, numkeys, keys_and_args
        raise redis.exceptions.ConnectionError("CACHE_URL is not set")


class TellOperators(CircuitBreakerListener):
    """Raises an alert when the breaker opens and closes it with the breaker.

    Whoever brought the change about may die before it tells: what tends the alerts looks at the breaker as well.
    """

    def __init__(self, raise_alert: Callable[[str, str, str], None], resolve: ResolveAlert) -> None:
        self._raise, self._resolve = raise_alert, resolve

    def state_change(
        self, cb: CircuitBreaker, old_state: CircuitBreakerState | None, new_state: CircuitBreakerState
    ) -> None:
        """Count the change, and tell of one that closes PayTabs off, or lets it be called again."""
        del old_state
        BREAKER_CHANGES.labels(state=new_state.name).inc()
        if new_state.name == STATE_OPEN:
            self._raise(ALERT, str(cb.name), told(STATE_OPEN))
        elif new_state.name == STATE_CLOSED:
            self._resolve(ALERT, str(cb.name), why=CLOSED)


def told(state: str) -> str:
    """Say to operators what a breaker that is not closed means."""
    return f"the breaker is {state}: nothing is sent until PayTabs answers"


def nobody(name: str, key: str, *, why: str = "") -> None:
    """Tell nobody that an alert is over."""
    del name, key, why


def make_gateway(settings: Settings, *, turn: Callable[[], float] = lambda: 0.0) -> PayTabsClient:
    """Return a client of the profile's PayTabs host; `turn` is the limiter's, for what is repeated within a call."""
    profile = GatewayProfile(
        profile_id=settings.paytabs_profile,
        server_key=settings.paytabs_serverk.get_secret_value(),
        base_url=gateway_url(settings),
    )
    return PayTabsClient(
        profile,
        connect_timeout_seconds=settings.connect_timeout_seconds,
        call_timeout_seconds=settings.call_timeout_seconds,
        turn=turn,
    )


def gated(
    settings: Settings,
    *,
    owner: str,
    raise_alert: Callable[[str, str, str], None],
    resolve: ResolveAlert = nobody,
    client: PayTabsClient | None = None,
    rules: BreakerRules | None = None,
    hears: Hears = unheard,
    in_haste: Callable[[], bool] = lambda: False,
) -> GatedClient:
    """Return the profile's client behind its gate.

    Args:
        settings: Those of the process.
        owner: Who calls, for operators.
        raise_alert: Told when PayTabs is not called any more: the alert's name, what it is about, and a sentence.
        resolve: Told when it is called again: the alert's name, and what it is about.
        client: Makes the calls, in place of one made from the settings.
        rules: When to stop calling, in place of the agreed ones.
        hears: Told of each answer.
        in_haste: Tells whether whoever calls has no time for probes.
    """
    calls_last = settings.send_fence_seconds + settings.call_timeout_seconds
    url = settings.cache_url
    shared: ScriptClient = redis_client(url, timeout_seconds=REDIS_SECONDS) if url else NoRedis()
    limits = LimiterRules(
        calls_per_second=settings.paytabs_calls_per_second,
        at_once=settings.paytabs_calls_at_once,
        lease_seconds=calls_last + settings.send_fence_seconds,
    )
    limiter = Limiter(shared, str(settings.paytabs_profile), outages=OUTAGES, rules=limits)
    caller = client or make_gateway(settings, turn=limiter.reserve)
    agreed = BreakerRules(open_seconds=settings.breaker_open_seconds, probe_seconds=calls_last)
    listeners = [TellOperators(raise_alert, resolve)]
    breaker = Breaker(shared, breaker_name(settings), outages=OUTAGES, rules=rules or agreed, listeners=listeners)

    def probe() -> Answer:
        answer = caller.query_cart(PROBE_CART_ID)
        heard(hears, Call.QUERY_CART, answer)
        return answer

    return GatedClient(caller, Gate(breaker, limiter, probe=probe, owner=owner, in_haste=in_haste), hears)


def gateway_url(settings: Settings) -> str:
    """Return where the profile's PayTabs answers."""
    return settings.paytabs_base_url or base_url(settings.paytabs_region)


def callback_url(settings: Settings) -> str | None:
    """Return where PayTabs is asked to tell of payments; None where it would not take the address that is set."""
    url = settings.paytabs_callback_url
    return url if url and takes_callback(url, gateway_url(settings)) else None


def breaker_name(settings: Settings) -> str:
    """Name the breaker of a profile and its key, without giving the key away."""
    key = hashlib.sha256(settings.paytabs_serverk.get_secret_value().encode()).hexdigest()
    return f"{settings.paytabs_profile}-{key[:8]}"
