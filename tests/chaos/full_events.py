#!/usr/bin/env python3
"""Do events and reactions keep their promises, in full: many writers, SIGKILL at every step, contracts paid at once?

Prints a table, writes it to bench/results/events_under_kills.txt, and fails when a promise is broken. Some ten minutes
on two cores.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Barrier
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.parts.circumstances import ROOT
from config.settings import Settings
from payments.events import Context, broken_link
from payments.outbox import COLLECTION
from payments.service import PageTerms
from tasks.publishing import leave_to_sweeps
from tasks.wiring import World, build_world, ensure_indexes
from tests.chaos.promises import Line, report, tried
from tests.chaos.reactions import HANDLERS, IN_DATABASE, OUTSIDE, Reactions, await_all, reacting
from tests.support.cms import SeededPayment, mongoose, seed_payment
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually
from tests.support.writers import Writers
from workers.stack_binaries import find_binary

#: Writers on one payment, and how much each of them appends.
WRITERS, APPENDS = 20, 100

#: Contracts with two payments each.
CONTRACTS = 200

#: How many payments are paid at the same time; even, so that both of a contract are.
AT_ONCE = 16

#: The longest that reactions may take to heal with the short times of tests, in seconds.
HEALS_SECONDS = 180.0

#: Where the table goes.
RESULT = ROOT / "bench" / "results" / "events_under_kills.txt"

#: Which handlers pass a place of a reaction.
PASSING = {
    "handler_claimed": HANDLERS,
    "handler_in_transaction": IN_DATABASE,
    "handler_effected": OUTSIDE,
    "handler_done": HANDLERS,
}

CONTEXT = Context(correlation_id="full", source="test")


@dataclass(frozen=True)
class Act:
    """The running system, and worlds of this process on the same servers, in a database of their own."""

    reactions: Reactions
    worlds: Sequence[World]

    def pay(self, world: World, payment: SeededPayment, meet: Callable[[], object]) -> None:
        """Have a payment paid, and react to it; both payments of a contract meet just before they complete."""
        page = world.service.create_page(payment.payment_id, PageTerms(), CONTEXT)
        self.reactions.stage.sandbox.pay(str(page.tran_ref), "4111111111111111")
        meet()
        world.service.verify(payment.payment_id, CONTEXT)
        for row in world.db[COLLECTION].find({"payment_id": payment.payment_id}):
            world.reactor.handle(row["event_id"], row["handler"])


def many_writers(act: Act) -> Line:
    """Have many writers append to one payment."""
    world, began = act.worlds[0], time.monotonic()
    payment = seed_payment(world.db)
    world.service.create_page(payment.payment_id, PageTerms(), CONTEXT)
    crowd = Writers(act.worlds, payment.payment_id)
    crowd.write(writers=WRITERS, appends=APPENDS)
    history = world.store.load(payment.payment_id)
    gaps, lost = len(crowd.gaps(history)), len(crowd.lost(history))
    again = f", {len(crowd.again)} tried again by their task" if crowd.again else ""
    return Line(
        f"{WRITERS} writers on one payment, {WRITERS * APPENDS:,} appends: no gap, none lost",
        f"{len(crowd.wrote):,} written in {time.monotonic() - began:.0f} s{again}; {gaps} gaps, {lost} lost",
        gaps == lost == 0 and len(crowd.wrote) == WRITERS * APPENDS and broken_link(history) is None,
    )


def killed_at(place: str, act: Act) -> Line:
    """Kill every handler that passes a place, once each, over one payment."""
    places = [f"{place}:{handler}" for handler in PASSING[place]]
    twice = set(PASSING[place]) if place == "handler_effected" else set()
    text, kept = _killed(act.reactions, places, payments=1, twice=twice)
    return Line(f"SIGKILL of {len(places)} handlers at {place}", text, kept)


def dispatcher_killed(act: Act) -> Line:
    """Kill whoever announces reactions, and whoever looks for those that are lost, over every handler's row."""
    places = [f"{place}:{handler}" for place in ("outbox_committed", "dispatch_claimed") for handler in HANDLERS]
    text, kept = _killed(act.reactions, places, payments=len(HANDLERS), twice=set())
    return Line("SIGKILL of those who send them out, over 5 rows each", text, kept)


def contracts_at_once(act: Act) -> Line:
    """Complete both payments of many contracts at the same time."""
    db, began = act.worlds[0].db, time.monotonic()
    firsts = [seed_payment(db) for _ in range(CONTRACTS)]
    jobs = []
    for first in firsts:
        other, meet = seed_payment(db, with_contract=False), Barrier(2)
        db["payments"].update_one({"_id": other.payment}, {"$set": {"contractId": first.contract}})
        db["projects"].insert_one(mongoose(status="pending", contract=first.contract))
        jobs += [
            partial(act.pay, world, one, meet.wait) for world, one in zip(act.worlds[:2], (first, other), strict=True)
        ]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for done in [threads.submit(job) for job in jobs]:
            done.result()
    ids = [first.contract for first in firsts]
    statuses = Counter(one["status"] for one in db["contracts"].find({"_id": {"$in": ids}}))
    projects = db["projects"].count_documents({"contract": {"$in": ids}, "status": "active"})
    return Line(
        f"{CONTRACTS} contracts, both payments complete at once: every contract ends paid",
        f"{dict(statuses)}, {projects} projects active, in {time.monotonic() - began:.0f} s",
        statuses == {"paid": CONTRACTS} and projects == CONTRACTS,
    )


def _killed(reactions: Reactions, places: Sequence[str], *, payments: int, twice: set[str]) -> tuple[str, bool]:
    """Have payments paid while their reactions are killed, and say what exists how often once all is healed."""
    reactions.armed(places)
    began = time.monotonic()
    paid = [reactions.paid() for _ in range(payments)]
    for place in places:
        eventually(partial(reactions.died, place), within_seconds=HEALS_SECONDS, what=f"a death at {place}")
    await_all(reactions, paid, HEALS_SECONDS)
    healed = time.monotonic() - began
    effects = Counter(number for one in paid for number in reactions.effects_of(one))
    mails = Counter(len(reactions.mails_of(one)) for one in paid)
    webhooks = Counter(len(reactions.webhooks_of(one)) for one in paid)
    ids = [[len(set(found(one))) for one in paid] for found in (reactions.mails_of, reactions.webhooks_of)]
    kept = (
        effects == {1: 2 * payments}
        and mails == {1 + ("email_client" in twice): payments}
        and webhooks == {1 + ("notify_cms" in twice): payments}
        and ids == [[1] * payments] * 2
        and all(reactions.stage.is_paid(one) for one in paid)
    )
    text = (
        f"{len(places)} deaths; of {payments} payments: contracts and projects set {_told(effects)} times, mails "
        f"{_told(mails)}, webhooks {_told(webhooks)}, ids constant: {ids == [[1] * payments] * 2}; healed in "
        f"{healed:.0f} s"
    )
    return text, kept


def _told(counts: Counter[int]) -> str:
    """Write what was counted of each payment; where all are alike it is one figure."""
    return " and ".join(
        str(count) if len(counts) == 1 else f"{count} ({many} of them)" for count, many in counts.items()
    )


@contextmanager
def worlds(settings: Settings) -> Iterator[list[World]]:
    """Give four workers' worlds that share a database of their own, and whose calls nobody limits."""
    pace = {
        "mongo_database": f"nestcms_{uuid4().hex}",
        "paytabs_calls_per_second": 1000.0,
        "paytabs_calls_at_once": 100,
    }
    nobody = {"smtp_host": None, "cms_webhook_url": None, "mongo_timeout_ms": 15_000}
    with ExitStack() as closing:
        made = []
        for _ in range(4):
            world = build_world(settings.model_copy(update=pace | nobody), send=leave_to_sweeps)
            closing.callback(world.close)
            made.append(world)
        ensure_indexes(made[0])
        yield made


def lines() -> Iterator[Line]:
    """Try every promise."""
    scenes: list[Callable[[Act], Line]] = [many_writers, *(partial(killed_at, place) for place in PASSING)]
    scenes += [dispatcher_killed, contracts_at_once]
    with tempfile.TemporaryDirectory(prefix="nestcms-events-", ignore_cleanup_errors=True) as directory:
        sandbox = Sandbox(Path(directory)).start()
        try:
            with (
                reacting(Path(directory), sandbox) as reactions,
                worlds(reactions.stage.system.settings) as made,
            ):
                for scene in scenes:
                    yield tried(scene, Act(reactions, made))
        finally:
            sandbox.stop()


if __name__ == "__main__":
    servers = [find_binary(name) for name in ("mongod", "valkey-server")]
    sys.exit(report("Events and reactions under kills, with the short times of tests", lines(), servers, RESULT))
