"""What is promised of heavy reads, and whether the figures keep it."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.parts.figures import summary
from bench.parts.reads import Times
from workers.seed_plan import SeedPlan

#: How many times faster than today each of these has to be without the cache.
FASTER = {"project_notes": 100, "user_permissions": 40, "user_projects": 20, "client_payments": 100}

#: How many documents these may examine for each that they return.
EXAMINED_PER_RETURNED = 2.0

#: The longest at p95, in seconds: from the cache inside a worker, and with indexes.
CACHED_SECONDS, INDEXED_SECONDS = 0.002, 0.5

#: What may take longer until it reads a view.
UNTIL_A_VIEW = frozenset({"payments_summary"})

#: The least part of the insert rate that our indexes leave.
INSERT_SHARE = 0.8

#: Pairs of documents a second, without and with our indexes.
Rates = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Figures:
    """All that was measured: the data, the rounds, the times, documents examined and returned, insert rates."""

    plan: SeedPlan
    rounds: int
    times: Mapping[str, Times]
    examined: Mapping[str, tuple[int, int]]
    inserts: Mapping[str, Rates]


@dataclass(frozen=True)
class Target:
    """One promise, what was found, and whether it is kept."""

    promise: str
    found: str
    met: bool


def missed(figures: Figures) -> list[Target]:
    """List the targets that are not met."""
    return [one for one in targets(figures) if not one.met]


def targets(figures: Figures) -> list[Target]:
    """Judge every target."""
    found = []
    for name, least in FASTER.items():
        if name in figures.times:
            reached = ratio(figures.times[name])
            found.append(Target(f"{name} at least {least} times faster", f"{reached:.0f}", reached >= least))
            looked, returned = figures.examined[name]
            share = looked / returned
            promise = f"{name} examines at most {EXAMINED_PER_RETURNED:g} documents for each returned"
            found.append(Target(promise, f"{share:.2f}", 0 < share <= EXAMINED_PER_RETURNED))
    for name, times in figures.times.items():
        found.append(_within(f"{name} from the cache", times.cached, CACHED_SECONDS))
        if name not in UNTIL_A_VIEW:
            found.append(_within(f"{name} with indexes", times.indexed, INDEXED_SECONDS))
    share = insert_share(figures.inserts["one by one"])
    promise = f"inserting one by one keeps at least {INSERT_SHARE:g} of its rate"
    return [*found, Target(promise, f"{share:.2f}", share >= INSERT_SHARE)]


def ratio(times: Times) -> float:
    """Tell how many times faster ours is with indexes than what there is today."""
    return statistics.median(times.today or times.bare) / statistics.median(times.indexed)


def insert_share(rates: Rates) -> float:
    """Tell which part of the insert rate is left with our indexes: the median of what each round says."""
    return statistics.median(with_ours / without for without, with_ours in rates)


def _within(what: str, seconds: Sequence[float], most: float) -> Target:
    if not seconds:
        return Target(f"{what} under {most * 1000:g} ms at p95", "nothing was measured", met=False)
    p95 = summary(seconds)[1]
    return Target(f"{what} under {most * 1000:g} ms at p95", f"{p95 * 1000:.2f} ms", p95 < most)
