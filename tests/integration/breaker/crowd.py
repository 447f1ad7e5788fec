"""Several processes that share one breaker and one limiter, moved from outside one command at a time.

`python -m tests.integration.breaker.crowd SETUP` is one member: it reads a JSON command per line and answers with one.
Commands that carry `at` are carried out at that moment of the wall clock, by all members within a fraction of a
millisecond.
"""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.connections import redis_client
from paytabs.breaker import Breaker, Permit
from paytabs.breaker_errors import BreakerOpen, LimitExceeded
from paytabs.breaker_rules import BreakerRules
from paytabs.client import GatewayProfile, PayTabsClient
from paytabs.limiter import Limiter
from paytabs.limiter_rules import LimiterRules

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]

#: How long before a common moment its commands are sent, in seconds.
LEAD_SECONDS = 0.05


def quick_client(url: str, timeout_seconds: float = 5.0) -> redis.Redis:
    """Return a client that opens a closed connection again at once, and leaves every other trouble to the fallback."""
    client = redis_client(url, timeout_seconds=timeout_seconds)
    client.set_retry(Retry(NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,)))
    return client


class Crowd:
    """So many processes, which share one Redis.

    Args:
        size: How many.
        redis_url: The Redis they share.
        gateway: Where PayTabs answers: base_url, profile_id and server_key.
    """

    def __init__(self, size: int, redis_url: str, *, gateway: Json | None = None) -> None:
        setup = json.dumps({"redis_url": redis_url, "gateway": gateway})
        command = [sys.executable, "-m", "tests.integration.breaker.crowd", setup]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._members = [
            subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(size)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self._members:
            member.kill()
            member.communicate()

    def join(self, name: str, *, breaker: Json | None = None, limiter: Json | None = None) -> Self:
        """Gather all members before a breaker and a limiter of that name.

        Args:
            name: One that nobody else uses.
            breaker: Numbers of the breaker that differ from the agreed ones.
            limiter: Numbers of the limiter that differ from the agreed ones.
        """
        self.all("join", name=name, breaker=breaker or {}, limiter=limiter or {})
        return self

    def one(self, member: int, do: str, **options: Any) -> Json:
        """Have one member do something."""
        self._send(member, do, options)
        return self._answer(member)

    def all(self, do: str, **options: Any) -> list[Json]:
        """Have every member that lives do something at the same moment."""
        at = time.time() + LEAD_SECONDS
        living = self.living()
        for member in living:
            self._send(member, do, {"at": at, **options})
        return [self._answer(member) for member in living]

    def living(self) -> list[int]:
        """List the members that have not been killed."""
        return [number for number, member in enumerate(self._members) if member.poll() is None]

    def kill(self, member: int) -> None:
        """End a member with SIGKILL."""
        self._members[member].send_signal(signal.SIGKILL)
        self._members[member].wait()

    def _send(self, member: int, do: str, options: Json) -> None:
        pipe = self._members[member].stdin
        assert pipe is not None
        pipe.write(json.dumps({"do": do, **options}) + "\n")
        pipe.flush()

    def _answer(self, member: int) -> Json:
        pipe = self._members[member].stdout
        assert pipe is not None
        line = pipe.readline()
        assert line, f"member {member} has ended"
        return dict(json.loads(line))


class Member:
    """One process of a crowd."""

    def __init__(self, setup: Json) -> None:
        self._redis_url = setup["redis_url"]
        self._gateway = PayTabsClient(GatewayProfile(**setup["gateway"])) if setup["gateway"] else None
        self._places = contextlib.ExitStack()

    def join(self, name: str, breaker: Json, limiter: Json) -> Json:
        """Stand before a breaker and a limiter, connected."""
        # A member that a busy machine kept from its answer would decide for itself, which is not what is looked at.
        client = quick_client(self._redis_url, timeout_seconds=60.0)
        outages = (redis.exceptions.RedisError,)
        self._permit: Permit | None = None
        self._breaker = Breaker(client, name, outages=outages, rules=BreakerRules(**breaker))
        self._limiter = Limiter(client, name, outages=outages, rules=LimiterRules(**limiter))
        return self.look()

    def look(self) -> Json:
        """Say how the breaker stands."""
        return {"state": self._breaker.state()}

    def admit(self, kind: str = "query") -> Json:
        """Ask for a permit and keep it."""
        try:
            self._permit = self._breaker.admit("query" if kind == "query" else "send", f"member:{os.getpid()}")
        except BreakerOpen as error:
            return {"admitted": False, "state": error.state, "retry_after_seconds": error.retry_after_seconds}
        return {"admitted": True}

    def record(self, ok: bool | None) -> Json:
        """Record something for the permit that was kept."""
        assert self._permit is not None
        self._permit.record(ok)
        return self.look()

    def call(self, results: list[bool | None]) -> Json:
        """Make calls with these results one after the other; count those that were let through."""
        passed = 0
        for ok in results:
            if self.admit()["admitted"]:
                passed += 1
                self.record(ok)
        return {"passed": passed}

    def ask(self, tran_ref: str, times: int = 1) -> Json:
        """Ask PayTabs about a transaction under the permit that was kept, or a new one each time."""
        assert self._gateway is not None
        outcomes = []
        for _ in range(times):
            if self._permit is None:
                self.admit()
            assert self._permit is not None
            answer = self._gateway.query_tran(tran_ref)
            self._permit.settle(answer)
            self._permit = None
            outcomes.append(f"{answer.outcome}/{answer.detail}")
        return {"outcomes": outcomes}

    def turns(self, seconds: float) -> Json:
        """Take one turn after the other for a while; give the moments at which they were due."""
        until, moments, refused = time.time() + seconds, [], 0
        while time.time() < until:
            try:
                wait = self._limiter.reserve()
                moments.append(time.time() + wait)
                time.sleep(wait)
            except LimitExceeded:
                refused += 1
                time.sleep(0.01)
        return {"moments": moments, "refused": refused}

    def visits(self, seconds: float, stay_seconds: float) -> Json:
        """Take a place again and again for a while; give the times of each stay."""
        until, stays = time.time() + seconds, []
        while time.time() < until:
            with contextlib.suppress(LimitExceeded), self._limiter.slot("visitor"):
                began = time.time()
                time.sleep(stay_seconds)
                stays.append((began, time.time()))
        return {"stays": stays}

    def occupy(self) -> Json:
        """Take a place and keep it; say whether there was one, and how long that took."""
        began = time.monotonic()
        try:
            self._places.enter_context(self._limiter.slot(f"member:{os.getpid()}"))
        except LimitExceeded:
            return {"placed": False, "seconds": time.monotonic() - began}
        return {"placed": True, "seconds": time.monotonic() - began}


def main() -> None:
    """Carry out commands until the input ends."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    member = Member(json.loads(sys.argv[1]))
    for line in sys.stdin:
        command = json.loads(line)
        do, at = command.pop("do"), command.pop("at", 0.0)
        time.sleep(max(0.0, at - time.time() - 0.002))
        while time.time() < at:
            pass
        sys.stdout.write(json.dumps(getattr(member, do)(**command)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
