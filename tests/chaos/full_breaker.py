#!/usr/bin/env python3
"""Do the breaker and the limiter keep their promises, in full: eight processes, one Valkey, one sandbox, agreed times?

Prints a table, writes it to bench/results/breaker_limiter.txt, and fails when a promise is broken. About three minutes.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.parts.circumstances import ROOT
from tests.chaos.promises import Line, report, tried
from tests.integration.breaker.crowd import Crowd
from tests.integration.breaker.scenes import (
    BRIEFLY_OPEN,
    declined,
    lose_probe_owner,
    most_at_once,
    rate,
    recover,
    trip,
    turns,
)
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox
from tests.support.waiting import eventually
from workers.stack import EmbeddedValkey
from workers.stack_binaries import find_binary

PROCESSES = 8

#: How often eight processes meet at half-open.
RUNS = 50

#: Over how long the limiter's rate is measured, its opening burst left out, in seconds.
RATE_SECONDS = 30.0

#: Where the table goes.
RESULT = ROOT / "bench" / "results" / "breaker_limiter.txt"


@dataclass(frozen=True)
class Stage:
    """What the promises are tried on."""

    valkey: EmbeddedValkey
    sandbox: Sandbox
    crowd: Crowd

    def more(self, size: int) -> Crowd:
        """Start further processes, to be killed."""
        return Crowd(size, self.valkey.url)


def new_name() -> str:
    """Name a breaker or limiter that nothing has happened to."""
    return uuid4().hex


def one_probe(stage: Stage) -> Line:
    """Let all processes meet at half-open, again and again."""
    tran_ref = declined(stage.sandbox)
    runs = [recover(stage.crowd.join(new_name(), breaker=BRIEFLY_OPEN), stage.sandbox, tran_ref) for _ in range(RUNS)]
    single = sum(run == [1, 1, 1] for run in runs)
    rounds = Counter(probes for run in runs for probes in run)
    measured = f"{single} of {RUNS} runs; probes per meeting: {dict(rounds)}"
    return Line("8 processes at half-open send exactly one probe", measured, single == RUNS)


def half_of_ten(stage: Stage) -> Line:
    """Bring the share of failures up to a half, call by call, over all processes."""
    crowd, seen = stage.crowd.join(new_name()), []
    for call in range(10):
        crowd.one(call % PROCESSES, "call", results=[call % 2 == 1])
        seen.append(crowd.one(0, "look")["state"])
    below = stage.crowd.join(new_name())
    for call in range(50):
        below.one(call % PROCESSES, "call", results=[call % 5 not in {1, 3}])
    kept = seen == ["closed"] * 9 + ["open"] and below.one(0, "look")["state"] == "closed"
    return Line(
        "opens at 50 % of at least 10 calls", f"open after call {seen.index('open') + 1}; not at 40 % of 50", kept
    )


def five_in_a_row(stage: Stage) -> Line:
    """Fail five times in a row, each time in another process."""
    crowd = stage.crowd.join(new_name())
    trip(crowd)
    refused = sum(not answer["admitted"] for answer in crowd.all("admit"))
    return Line(
        "opens at 5 failures in a row", f"open after 5, not after 4; {refused} of 8 refused", refused == PROCESSES
    )


def declines(stage: Stage) -> Line:
    """Ask about a declined and an unknown transaction many times."""
    crowd, tran_ref = stage.crowd.join(new_name()), declined(stage.sandbox)
    answers = [*crowd.all("ask", tran_ref=tran_ref, times=25), *crowd.all("ask", tran_ref="TST0", times=25)]
    words = Counter(word for answer in answers for word in answer["outcomes"])
    state = crowd.one(0, "look")["state"]
    measured = ", ".join(f"{count} {word}" for word, count in words.items())
    return Line("a decline or refusal never counts", f"{measured}: {state}", state == "closed" and len(words) == 2)


def killed_prober(stage: Stage) -> Line:
    """Kill the one who probes; all times as agreed."""
    with stage.more(4) as crowd:
        seconds = lose_probe_owner(crowd.join(new_name()))
    measured = f"next probe {seconds:.1f} s after the lost one's permit, then closed"
    return Line("a killed probe owner blocks for 15 s at most", measured, seconds < 16)


def emptied(stage: Stage) -> Line:
    """Empty Valkey while the breaker is open."""
    crowd = stage.crowd.join(new_name())
    trip(crowd)
    stage.valkey.flush()
    states = Counter(answer["state"] for answer in crowd.all("look"))
    trip(crowd)
    return Line("FLUSHALL is survived", f"{dict(states)}, then open again after 5", states == {"closed": PROCESSES})


def turns_a_second(stage: Stage) -> Line:
    """Let all processes take turns as fast as they get them."""
    moments = turns(stage.crowd.join(new_name()), RATE_SECONDS + 2)
    measured = rate(moments, RATE_SECONDS)
    per_second = Counter(int(moment) for moment in moments if 1 <= moment < 1 + RATE_SECONDS)
    first = sum(moment < RATE_SECONDS for moment in moments)
    text = (
        f"{measured:.2f}/s over {RATE_SECONDS:.0f} s, {min(per_second.values())} to {max(per_second.values())} in each"
    )
    text += f"; {first} in the first {RATE_SECONDS:.0f} s, burst included"
    return Line("8 processes are granted 20 turns/s, ± 2 %", text, max(abs(measured - 20), abs(first / 30 - 20)) <= 0.4)


def places(stage: Stage) -> Line:
    """Let all processes hold places again and again."""
    stays, most = most_at_once(stage.crowd.join(new_name()), 10.0, 0.05)
    return Line("5 under way at once", f"{stays} stays in 10 s, at most {most} at once", most == 5)


def killed_inside(stage: Stage) -> Line:
    """Kill everybody inside; all times as agreed."""
    with stage.more(6) as crowd:
        crowd.join(new_name())
        began = time.monotonic()
        for member in range(5):
            crowd.one(member, "occupy")
            crowd.kill(member)
        refused = not crowd.one(5, "occupy")["placed"]
        eventually(lambda: crowd.one(5, "occupy")["placed"], within_seconds=40, what="a place")
        seconds = time.monotonic() - began
    return Line(
        "killed callers give their places back in 20 s",
        f"5 killed, a place after {seconds:.1f} s",
        refused and seconds < 24,
    )


SCENES = (
    one_probe, half_of_ten, five_in_a_row, declines, killed_prober, emptied, turns_a_second, places, killed_inside,
)  # fmt: skip


def lines() -> Iterator[Line]:
    """Try every promise."""
    with tempfile.TemporaryDirectory(prefix="nestcms-breaker-") as directory:
        sandbox = Sandbox(Path(directory)).start()
        gateway = {"base_url": sandbox.url, "profile_id": PROFILE_ID, "server_key": SERVER_KEY}
        try:
            with (
                EmbeddedValkey(Path(directory) / "valkey") as valkey,
                Crowd(PROCESSES, valkey.url, gateway=gateway) as crowd,
            ):
                for scene in SCENES:
                    yield tried(scene, Stage(valkey, sandbox, crowd))
        finally:
            sandbox.stop()


def main() -> int:
    """Try everything, write and print the table, and say by the exit code whether all was kept."""
    title = "The breaker and the limiter, shared by 8 processes through one Valkey"
    return report(title, lines(), [find_binary("valkey-server")], RESULT)


if __name__ == "__main__":
    sys.exit(main())
