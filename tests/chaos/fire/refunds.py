"""Refunds of paid payments while workers, the broker and the database's primary are killed."""

import random
import time
from collections import Counter
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from tests.chaos.fire.books import Books, read_books
from tests.chaos.fire.counts import count
from tests.chaos.fire.driver import Driver
from tests.chaos.fire.kills import Killers
from tests.chaos.fire.money import last_notices, people_at
from tests.chaos.fire.people import People
from tests.chaos.fire.plans import make_plans
from tests.chaos.fire.promises import judge, stories_ended
from tests.chaos.fire.report import Findings, Line
from tests.chaos.fire.shapes import REFUNDED_ONCE
from tests.chaos.fire.stories import Story
from tests.support.sandbox import Sandbox

#: How many workers there are, which die in turn.
WORKERS = 2


#: How much longer than wanted it may be from one kill to the next, on average: a worker has to run to be killed. In a
#: small run, whose few kills say nothing of an average, their number alone counts.
SLOWEST = 1.7


@dataclass(frozen=True)
class Ordeal:
    """How large a run is.

    Attributes:
        refunds: How many, each of a payment of its own.
        refunds_per_second: How fast they are asked for: the kills happen meanwhile.
        answer_seconds: How long PayTabs takes to answer, so that many a worker dies waiting.
        kill_every_seconds: How often a worker dies.
        most_kills: How often at most, so that a run ends.
        members: Nodes of the replica set; with three, the primary dies too.
        seed: Which amounts and shapes.
        seconds: The time the whole run has.
    """

    refunds: int
    refunds_per_second: float = 2.0
    answer_seconds: float = 0.8
    kill_every_seconds: float = 3.0
    most_kills: int = 100
    members: int = 3
    seed: int = 1
    seconds: float = 600.0


def run_refunds(directory: Path, sandbox: Sandbox, ordeal: Ordeal) -> Findings:
    """Have payments paid in peace and refunded under kills, and hold both ledgers against each other.

    Args:
        directory: Where the servers keep their data.
        sandbox: A sandbox that has forgotten everything.
        ordeal: How large the run is.
    """
    with people_at(directory, sandbox, members=ordeal.members, workers=WORKERS) as people:
        driver = Driver(people, window=ordeal.refunds, deadline=time.monotonic() + ordeal.seconds)
        chance = random.Random(ordeal.seed)  # noqa: S311 - a repeatable run, no secrets
        shapes = list(islice(cycle(REFUNDED_ONCE), ordeal.refunds))
        stories = [Story(people, plan) for plan in make_plans(shapes, chance)]
        driver.live(stories, Story.pay)
        killers = refund_under_kills(people, driver, stories, ordeal)
        inbox = last_notices(people)
        books = read_books(people.stage, stories)
        lines = [stories_ended(stories, driver), refunded_once(books), *judge(books, people.world), inbox]
        return Findings([*lines, killed_enough(killers, ordeal)], {"killed": killers.killed, **count(books, people)})


def refund_under_kills(people: People, driver: Driver, stories: list[Story], ordeal: Ordeal) -> Killers:
    """Ask for all refunds while the killers are at work."""
    late = {"slow_rate": 1.0, "slow_seconds": ordeal.answer_seconds, "random_faults_on": ["money"]}
    people.sandbox.switch(**late, random_seed=ordeal.seed)
    lasts = ordeal.refunds / ordeal.refunds_per_second
    killers = Killers(people.stage)
    acts = [killers.worker_every(ordeal.kill_every_seconds, at_most=ordeal.most_kills), killers.valkey_after(lasts / 3)]
    if ordeal.members > 1:
        acts.append(killers.primary_after(2 * lasts / 3))
    with killers.at_work(*acts):
        driver.live(stories, Story.follow, per_second=ordeal.refunds_per_second)
    driver.surprises += killers.failures
    return killers


def refunded_once(books: Books) -> Line:
    """Every payment has one refund at PayTabs and one in our books, of what was asked."""
    theirs = Counter(one["tran_ref"] for one in books.movements if one["kind"] == "refund")
    ours = Counter(entry[0] for entries in books.ours().values() for entry in entries if entry[1:3] == ("refund", "A"))
    done = Counter(row["payment_id"] for row in books.rows if row["kind"] == "refund" and row["status"] == "succeeded")
    wrong = [
        f"{story.seeded.payment_id}: {done[story.payment]} done" for story in books.stories if done[story.payment] != 1
    ]
    wrong += [f"{ref}: {theirs[ref]} at PayTabs, {ours[ref]} here" for ref in theirs | ours if theirs[ref] != ours[ref]]
    measured = f"{theirs.total()} at PayTabs, {ours.total()} booked, {len(books.stories)} asked for"
    return Line("each refund happened exactly once and is booked once", measured, wrong)


def killed_enough(killers: Killers, ordeal: Ordeal) -> Line:
    """Everything that was to be killed was killed."""
    expected = int(ordeal.refunds / ordeal.refunds_per_second / ordeal.kill_every_seconds / SLOWEST)
    wanted = {"a whole worker": max(2, min(expected, ordeal.most_kills)), "Valkey": 1} | (
        {"mongod's primary": 1} if ordeal.members > 1 else {}
    )
    missing = [f"{name}: {killers.killed[name]}" for name, least in wanted.items() if killers.killed[name] < least]
    if ordeal.members > 1 and killers.seconds_between > SLOWEST * ordeal.kill_every_seconds:
        missing.append(f"a worker every {killers.seconds_between:.1f} s")
    measured = ", ".join(f"{name}: {number}" for name, number in killers.killed.items())
    measured += f"; a worker every {killers.seconds_between:.1f} s"
    return Line(f"killed meanwhile: a worker every {ordeal.kill_every_seconds:g} s", measured, missing)
