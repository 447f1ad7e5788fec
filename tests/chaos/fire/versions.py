"""An earlier version's deployment becomes today's: its database, its queues and for a while its workers stay.

Payments begin under the earlier version alone, go on while its workers and today's take from the same queues, and end
under today's alone. Both ledgers are held against each other in the end, like after every run.
"""

import io
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.parts.circumstances import ROOT
from tasks.wiring import build_world
from tests.chaos.fire.books import read_books
from tests.chaos.fire.counts import count
from tests.chaos.fire.driver import Driver, Parts
from tests.chaos.fire.money import last_notices
from tests.chaos.fire.people import People
from tests.chaos.fire.plans import draw_plans
from tests.chaos.fire.promises import judge, stories_ended
from tests.chaos.fire.report import Findings, Line
from tests.chaos.fire.stories import Story
from tests.chaos.fire.times import FIRE_TIMES
from tests.chaos.stage import Stage, staged
from tests.support.sandbox import Sandbox
from tests.support.system import MONEY, System

#: How much of the machine's patience the change of versions takes: some calls are lost and some answers come late.
RATES = {"cut_rate": 0.10, "error_rate": 0.05, "notice_duplicate_rate": 0.15, "notice_reorder_rate": 0.15}

#: Processes of both versions that stand beside each other; a receiver's port is its own, so there is one.
BESIDE = ("worker-money", "worker-events", "beat")


@dataclass(frozen=True)
class Upgrade:
    """How large a run is: payments and follow-ups, drawn by `seed`, and the time each of the three parts has."""

    payments: int = 90
    follow_ups: int = 60
    seed: int = 1
    part_seconds: float = 20.0
    seconds: float = 600.0


def unpack(commit: str, directory: Path) -> Path:
    """Put an earlier version's files into a folder of its own.

    Raises:
        subprocess.CalledProcessError: this clone does not have that commit.
    """
    whole = subprocess.run(["git", "archive", commit], capture_output=True, check=True, cwd=ROOT)
    with tarfile.open(fileobj=io.BytesIO(whole.stdout)) as files:
        files.extractall(directory, filter="data")
    return directory


@contextmanager
def both_versions(stage: Stage, before: Path, directory: Path) -> Iterator[System]:
    """Run an earlier version's processes on the stage's servers and database."""
    settings = stage.system.settings.model_copy(update={"local_dir": directory})
    with System(settings, BESIDE, checkout=before) as earlier:
        yield earlier


def run_upgrade(directory: Path, sandbox: Sandbox, before: Path, size: Upgrade) -> Findings:
    """Let payments live through the change from one version to the next, and hold both ledgers against each other.

    Args:
        directory: Where the servers and processes keep their data.
        sandbox: A sandbox that has forgotten everything.
        before: The earlier version's files.
        size: How large the run is.
    """
    processes = (*MONEY, "worker-events")
    for stage in staged(directory, sandbox, 1, processes=processes, times=FIRE_TIMES):
        world = build_world(stage.system.settings)
        try:
            return _lived(People(stage, world), before, directory, size)
        finally:
            world.close()
    raise AssertionError("a stage was expected")  # pragma: no cover - there always is one


def _lived(people: People, before: Path, directory: Path, size: Upgrade) -> Findings:
    people.sandbox.switch(**RATES, page_attempts="until_paid", random_seed=size.seed)
    stories = [Story(people, plan) for plan in draw_plans(size.payments, size.follow_ups, size.seed, edges=())]
    driver = Driver(people, window=size.payments, deadline=time.monotonic() + size.seconds)
    system = people.stage.system
    today = [name for name in system.pids() if name != "receiver"]
    with both_versions(people.stage, before, directory / "before") as earlier:
        for name in today:
            system.stop(name)
        # Some payments begin under each of the versions, and most live through a change of them.
        parts = Parts(driver, stories, size.payments / (2.5 * size.part_seconds))
        parts.live(size.part_seconds)
        alone = _events(people)
        for name in today:
            system.restart(name)
        parts.live(size.part_seconds)
        beside = _events(people)
        for name in earlier.pids():
            earlier.stop(name)
    parts.live(size.seconds)
    inbox, books = last_notices(people), read_books(people.stage, stories)
    told = Line(
        "each version wrote events: the earlier one alone, both beside each other, today's alone",
        f"{alone}, {beside - alone}, {_events(people) - beside} events",
        [] if 0 < alone < beside < _events(people) else ["one of them wrote none"],
    )
    quiet = Line(
        "no message was given up, but for the ticks of entries that the earlier version lacks",
        *_troubles(system, earlier),
    )
    lines = [stories_ended(stories, driver), *judge(books, people.world), inbox, told, quiet]
    return Findings(lines, count(books, people))


def _events(people: People) -> int:
    return people.stage.database["payment_events"].estimated_document_count()


def _troubles(*systems: System) -> tuple[str, list[str]]:
    """Say what the processes of the versions could not read or deal with."""
    found = [
        f"{name}: {line.get('event')}: {str(line)[:300]}"
        for system in systems
        for name in system.pids()
        if name.startswith("worker")
        for line in (*system.lines(name, event="dead_letter"), *system.lines(name, event="message_quarantined"))
        if not str(line.get("refused_task")).startswith("maintenance.")
    ]
    return f"{len(found)} messages given up", found
