"""Payments and follow-ups of every shape while calls are cut, fail, come late and drip, and notices go astray."""

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tasks.wiring import build_world
from tests.chaos.brokers import tried_valkey
from tests.chaos.fire.books import Books, read_books
from tests.chaos.fire.clocks import Jumping
from tests.chaos.fire.counts import count
from tests.chaos.fire.driver import Driver
from tests.chaos.fire.mishaps import PASSWORD_ROTATED, Mishaps
from tests.chaos.fire.people import People
from tests.chaos.fire.plans import draw_plans
from tests.chaos.fire.promises import judge, stories_ended
from tests.chaos.fire.report import Findings, Line
from tests.chaos.fire.results import results
from tests.chaos.fire.stories import Story
from tests.chaos.fire.times import FIRE_TIMES
from tests.chaos.stage import staged
from tests.support.clocks import MovedClock
from tests.support.sandbox import Sandbox
from tests.support.stored_cards import CARD_KEY
from tests.support.waiting import eventually

#: How long a late answer takes, in seconds: longer than a call may, shorter than anything is left to itself.
LATE_SECONDS = 4.0

#: Which share of calls and notices has which mishap.
RATES = {
    "cut_rate": 0.20, "error_rate": 0.10, "slow_rate": 0.05, "drip_rate": 0.03,
    "notice_drop_rate": 0.25, "notice_duplicate_rate": 0.15, "notice_reorder_rate": 0.15,
}  # fmt: skip

#: A currency that the profile does not have.
REFUSED = "QAR"

#: By how many standard deviations a mishap may befall fewer calls than it was to: five are no chance.
DEVIATIONS = 5.0

#: How long the last notices may take, in seconds.
SETTLE_SECONDS = 60.0


@dataclass(frozen=True)
class Size:
    """How large a run is.

    Attributes:
        payments: How many.
        follow_ups: How many captures, voids, releases and refunds of them.
        seed: Which payments, amounts and mishaps.
        heat: What every share of mishaps is multiplied by.
        window: How many payments live at once.
        workers: How many money workers there are.
        seconds: The time the payments have.
        clock_seconds: How often the clock of the last worker's machine jumps; None leaves it right.
        mishaps: What befalls servers and processes meanwhile, in turn; keys of `mishaps.MISHAPS`.
        pause_seconds: How long these are left alone between two of them.
        away_seconds: For how long the CMS's payments are away.
    """

    payments: int
    follow_ups: int
    seed: int
    heat: float = 1.0
    window: int = 120
    workers: int = 2
    seconds: float = 900.0
    clock_seconds: float | None = None
    mishaps: tuple[str, ...] = ()
    pause_seconds: float = 15.0
    away_seconds: float = 20.0


def run_money(directory: Path, sandbox: Sandbox, size: Size) -> Findings:
    """Let the payments live, and hold both ledgers against each other.

    Args:
        directory: Where the servers keep their data.
        sandbox: A sandbox that has forgotten everything.
        size: How large the run is.
    """
    clock = MovedClock(directory / "clock")
    clocks = {f"worker-money-{size.workers}": clock} if size.clock_seconds else {}
    with people_at(
        directory, sandbox, members=1, workers=size.workers, clocks=clocks, broker=tried_valkey,
        guarded=PASSWORD_ROTATED in size.mishaps,
    ) as people, ExitStack() as fire:  # fmt: skip
        set_fire(sandbox, size)
        jumping = Jumping(clock, people.world, every_seconds=size.clock_seconds or math.inf)
        mishaps = Mishaps(
            people, size.mishaps, pause_seconds=size.pause_seconds, away_seconds=size.away_seconds, seed=size.seed
        )
        stories = [Story(people, plan) for plan in draw_plans(size.payments, size.follow_ups, size.seed)]
        driver = Driver(people, window=size.window, deadline=time.monotonic() + size.seconds)
        if size.clock_seconds:
            fire.enter_context(jumping.at_work())
        if size.mishaps:
            fire.enter_context(mishaps.at_work())
        driver.live(stories, Story.whole)
        fire.close()
        inbox = last_notices(people)
        mishaps.look()
        books = read_books(people.stage, stories)
        lines = [stories_ended(stories, driver), *judge(books, people.world), results(books, people), inbox]
        lines += jumping.lines() if size.clock_seconds else []
        lines += mishaps.lines()
        return Findings([*lines, burned(books, people, size)], count(books, people))


def burned(books: Books, people: People, size: Size) -> Line:
    """There was a fire: calls and notices had every mishap as often as they were to have it, give or take chance."""
    faults, fates = Counter(str(one["fault"]) for one in books.requests), people.sandbox.fates()
    calls = sum(faults.values())
    shares = {
        "cut": (sum(faults[name] for name in faults if "cut" in name), RATES["cut_rate"]),
        "error": (sum(faults[name] for name in faults if "500" in name), RATES["error_rate"]),
        "slow": (faults["slow"], RATES["slow_rate"]),
        "drip": (faults["drip"], RATES["drip_rate"]),
    }
    shares["any"] = (sum(number for number, _ in shares.values()), sum(rate for _, rate in shares.values()))
    expected = {name: calls * size.heat * rate for name, (_, rate) in shares.items()}
    missing = [f"{name}: {some} of {calls}" for name, (some, _) in shares.items() if too_few(some, expected[name])]
    lost = sum(number for fate, number in fates.items() if fate != "sent")
    missing += [] if lost else [f"notices: {fates}"]
    measured = ", ".join(f"{name} {number}" for name, (number, _) in shares.items())
    return Line("the mishaps befell calls and notices", f"{measured} of {calls} calls; {lost} notices", missing)


def too_few(number: int, expected: float) -> bool:
    """Whether so few calls cannot be chance, where each is disturbed by itself and so many are expected to be."""
    return number < expected - DEVIATIONS * math.sqrt(expected)


def set_fire(sandbox: Sandbox, size: Size) -> None:
    """Turn the mishaps on. A declined page may be paid again, which is how an old page comes to be paid too."""
    rates = {name: rate * size.heat for name, rate in RATES.items()}
    sandbox.switch(**rates, slow_seconds=LATE_SECONDS, page_attempts="until_paid", random_seed=size.seed)
    # What PayTabs does not know it says by code 113; one currency it does not take, which it says by no listed code.
    sandbox.switch(not_found_code=113, refused_currencies=[REFUSED])


@contextmanager
def people_at(
    directory: Path,
    sandbox: Sandbox,
    *,
    members: int,
    workers: int,
    clocks: Mapping[str, MovedClock] = MappingProxyType({}),
    **more: Any,
) -> Iterator[People]:
    """Run a system for a run's people.

    Args:
        directory: Where the servers and processes keep their data.
        sandbox: Who answers for PayTabs.
        members: Nodes of the replica set.
        workers: How many money workers there are.
        clocks: Those of workers on machines of their own.
        **more: What else `staged` takes.
    """
    for stage in staged(
        directory, sandbox, members, workers=workers, times=FIRE_TIMES, clocks=clocks, card_keys=CARD_KEY, **more
    ):
        world = build_world(stage.desk)
        try:
            yield People(stage, world)
        finally:
            world.close()


def last_notices(people: People) -> Line:
    """Wait until every notice has been delivered and every delivery is done with."""

    def over() -> bool:
        waiting = people.hours.waiting_deliveries()
        for delivery_id in waiting:
            people.hours.pass_for_delivery(delivery_id)
        return not waiting and not people.sandbox.waiting()

    try:
        eventually(over, within_seconds=SETTLE_SECONDS, every_seconds=0.5, what="an end of all deliveries")
        left = []
    except AssertionError:
        left = people.hours.waiting_deliveries()
    inbox = people.stage.database["webhook_inbox"]
    rejected = [
        f"rejected: {row['_id']}" for row in inbox.find({"status": "rejected"}) if row["_id"] not in people.refused
    ]
    unknown = [f"unknown payment: {row['_id']}" for row in inbox.find({"result.result": "unknown_payment"})]
    measured = (
        f"{inbox.count_documents({'status': 'done'})} of {inbox.count_documents({})}, {len(people.refused)} refused"
    )
    return Line(
        "every notice that came was applied, or is a case, or was to be refused", measured, [*left, *rejected, *unknown]
    )
