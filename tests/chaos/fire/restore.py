"""A database put back to a copy while PayTabs goes on, and a CMS that asks for everything again under the same ids."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path

from bson import ObjectId

from bench.parts.circumstances import ROOT
from config.settings import Settings
from payments.carts import payment_in
from payments.epochs import COLLECTION as EPOCH
from tests.chaos.fire.books import SUMS, Books, read_books
from tests.chaos.fire.counts import count
from tests.chaos.fire.driver import Driver, Parts
from tests.chaos.fire.money import last_notices, people_at
from tests.chaos.fire.people import People, Request, Surprise
from tests.chaos.fire.plans import make_plans
from tests.chaos.fire.promises import chains, ledgers_equal, moved_once
from tests.chaos.fire.report import Findings, Line
from tests.chaos.fire.shapes import FOLLOWED, PLAIN
from tests.chaos.fire.stories import Steps, Story
from tests.chaos.stage import Json
from tests.support.copies import DatabaseCopy
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually
from workers.processes import environment

#: What is lived: everything that moves money without a stored card, of which a copy that is too old has no token.
SHAPES = (*FOLLOWED, *(one for one in PLAIN if one.state in ("PAID", "AUTHORISED", "DECLINED") and not one.staff))

#: Which share of calls and notices has which mishap: enough that some sends are in doubt when the copy comes back.
RATES = {"cut_rate": 0.06, "error_rate": 0.03, "notice_drop_rate": 0.25, "notice_duplicate_rate": 0.15}

#: How much time passes after the restore until whatever may have been forgotten is over, pages included.
OVER = timedelta(hours=5)

#: How long a caller waits before it asks again, in seconds.
ASKED_AGAIN_SECONDS = 5.0

#: How often the two ledgers are compared until they agree.
COMPARISONS = 5

#: Ends of an operation that nothing follows by itself.
ENDED = frozenset({"succeeded", "refused", "failed"})


@dataclass(frozen=True)
class Restored:
    """How large a run is.

    Attributes:
        payments: How many.
        seed: Which amounts and mishaps.
        before_seconds: How long they live until the copy is made.
        forgotten_seconds: How old the copy is when it is put back.
        seconds: The time that asking again has.
    """

    payments: int
    seed: int = 1
    before_seconds: float = 60.0
    forgotten_seconds: float = 180.0
    seconds: float = 900.0


def run_restore(directory: Path, sandbox: Sandbox, size: Restored) -> Findings:
    """Let payments live, put the database back to an earlier moment, and have everything asked for again.

    Args:
        directory: Where the servers and processes keep their data.
        sandbox: A sandbox that has forgotten everything.
        size: How large the run is.
    """
    with people_at(directory, sandbox, members=1, workers=2) as people:
        people.sandbox.switch(**RATES, page_attempts="until_paid", random_seed=size.seed)
        chance = random.Random(size.seed)  # noqa: S311 - a repeatable run, no secrets
        stories = [Story(people, plan) for plan in make_plans(list(islice(cycle(SHAPES), size.payments)), chance)]
        whole = size.before_seconds + size.forgotten_seconds
        driver = Driver(people, window=size.payments, deadline=time.monotonic() + 2 * whole)
        parts = Parts(driver, stories, 1.2 * size.payments / whole)
        parts.live(size.before_seconds)
        with people.stage.client.start_session(snapshot=True) as session:
            since, copy = datetime.now(UTC), DatabaseCopy(people.stage.database, session)
        parts.live(size.forgotten_seconds)
        accident = Accident(people, stories, [one for one in stories if one not in parts.left])
        accident.put_back(copy)
        accident.ask_again(time.monotonic() + size.seconds)
        compared = accident.compare(since)
        inbox = last_notices(people)
        books = read_books(people.stage, stories)
        lines = [*accident.lines(books), compared, moved_once(books), carts_sent_once(books), ledgers_equal(books)]
        return Findings([*lines, chains(books, people.world), inbox], accident.counts(books))


def carts_sent_once(books: Books) -> Line:
    """No cart was sent twice; one of a forgotten send that PayTabs has not carried out is nobody's any more."""
    carts = Counter(one["body"]["cart_id"] for one in books.requests if one["path"] == "/payment/request")
    again = [f"{cart} was sent {times} times" for cart, times in carts.items() if times > 1]
    return Line("at most one send per cart", f"{sum(carts.values())} sends, {len(carts)} carts", again)


class Accident:
    """The database is lost, and put back to what it was some minutes ago.

    Args:
        people: Callers and operator.
        stories: All payments.
        ended: Those that had come to their end.
    """

    def __init__(self, people: People, stories: list[Story], ended: list[Story]) -> None:
        self.people, self.stage, self.stories, self.ended = people, people.stage, stories, ended
        self.asked = {story.payment: self._asked(story) for story in stories}
        self.moved = self.money()
        self.rows = self._rows()
        self.forgotten = 0
        #: What the operator's commands have said, what was answered, and what went wrong, in words.
        self.told = ""
        self.refused: Counter[str] = Counter()
        self.wrong: list[str] = []

    def put_back(self, copy: DatabaseCopy) -> None:
        """Put the database back as docs/restore.md says, and say so once the workers have noticed."""
        names = list(self.stage.system.pids())
        for name in names:
            self.stage.system.stop(name)
        self.moved, self.rows = self.money(), self._rows()
        copy.restore()
        self.forgotten = len(self.rows - self._rows())
        for name in names:
            self.stage.system.restart(name)
        self._notice()
        done = self._type("restored", "--reason", "the disk was lost", "--by", "omar")
        self.told = done.stdout.partition("\n")[0]
        self.wrong += [] if done.returncode == 0 else [f"restored: {done.returncode} {done.stdout} {done.stderr}"]
        # Whatever may have been forgotten is over: the 130 seconds, and the lives of forgotten pages.
        back = {"$set": {"restores.$[].until": datetime.now(UTC) - OVER}}
        self.stage.database[EPOCH].update_many({}, back)
        self.people.sandbox.pass_time(minutes=OVER.total_seconds() / 60)

    def ask_again(self, deadline: float) -> None:
        """Have the CMS ask for everything that it ever asked for, in the same order and under the same ids."""
        driver = Driver(self.people, window=len(self.stories), deadline=deadline)
        driver.live(self.stories, self._again)
        self.wrong += driver.surprises
        self.wrong += [f"{story.seeded.payment_id} waits for {story.waits_for}" for story in driver.unfinished]

    def compare(self, since: datetime) -> Line:
        """Compare both ledgers, as docs/restore.md says, until they agree."""
        words = ["reconcile", "--since", f"{since:%Y-%m-%dT%H:%M:%SZ}", "--apply", "--by", "omar"]
        codes = list[int]()
        while len(codes) < COMPARISONS and codes[-1:] != [0]:
            done = self._type(*words, "--note", "after the restore")
            codes.append(done.returncode)
        left = [] if codes[-1] == 0 else [done.stdout[-1500:], done.stderr[-500:]]
        return Line("`reconcile` ends with 0", f"exit codes {', '.join(map(str, codes))}", left)

    def money(self) -> dict[tuple[ObjectId, str], Decimal]:
        """Add up what PayTabs has moved for each payment, in each way, by the payment that stands in the cart."""
        sums: dict[tuple[ObjectId, str], Decimal] = {}
        for move in self.stage.sandbox.movements():
            key = ObjectId(payment_in(move["cart_id"])), str(move["kind"])
            sums[key] = sums.get(key, Decimal(0)) + Decimal(move["amount"])
        return sums

    def lines(self, books: Books) -> list[Line]:
        """Judge what came of it."""
        ended = f"{len(self.ended)} payments"
        taken = self.stage.database["payment_events"].count_documents({"source": "restore"})
        nothing = [] if self.forgotten and taken else ["nothing was forgotten, or nothing taken over"]
        return [
            Line("sends were forgotten, and taken over", f"{self.forgotten} rows lost, {taken} events taken over",
                 nothing),
            Line("the restore was noticed, and `restored` let sends go", self.told, self.wrong),
            Line("no money of a payment that had ended moved once more", ended, self._again_moved()),
            Line("no payment moved more than was meant", f"{len(self.stories)} payments", self._too_much()),
            Line("each payment that had ended stands as before, there and here", ended, self._otherwise(books)),
        ]  # fmt: skip

    def counts(self, books: Books) -> dict[str, Mapping[str, int]]:
        """Count what befell whom."""
        return {"refusals that callers heard when they asked again": self.refused, **count(books, self.people)}

    def _again_moved(self) -> list[str]:
        """Name the movements of payments that had ended which were made after the restore."""
        now, ended = self.money(), {story.payment for story in self.ended}
        more = {key: amount - self.moved.get(key, Decimal(0)) for key, amount in now.items() if key[0] in ended}
        return [f"{payment}: {kind} {amount}" for (payment, kind), amount in more.items() if amount]

    def _too_much(self) -> list[str]:
        """Name the payments of which more was taken, freed or given back than was meant."""
        now, found = self.money(), []
        for story in self.stories:
            for name, (adds, takes) in SUMS.items():
                total = sum((now.get((story.payment, kind), Decimal(0)) for kind in adds), Decimal(0))
                total -= sum((now.get((story.payment, kind), Decimal(0)) for kind in takes), Decimal(0))
                meant = story.plan.part(getattr(story.plan.shape, name))
                if total > meant:
                    found.append(f"{story.plan.shape.name} {story.payment}: {name} {total}, {meant} meant")
        return found

    def _otherwise(self, books: Books) -> list[str]:
        """Name the payments that had ended and do not stand where they were meant to any more."""
        moved, found = books.moved(), []
        for story in self.ended:
            shape, gateway = story.plan.shape, books.document(story).get("gateway", {})
            for name in SUMS:
                meant = story.plan.part(getattr(shape, name))
                here, there = Decimal(gateway.get(name, "0")), moved[story.payment][name]
                if (here, there) != (meant, meant):
                    found.append(f"{shape.name} {story.payment}: {name} {meant} meant, {there} there, {here} here")
            if gateway.get("state") != shape.state:
                found.append(f"{shape.name} {story.payment}: {shape.state} meant, {gateway.get('state')} read")
        return found

    def _again(self, story: Story) -> Steps:
        """Ask for each operation of a payment again until it has ended, or somebody may still pay its page."""
        for task, arguments in self.asked[story.payment]:
            request = Request(self.people, task, arguments, patience_seconds=ASKED_AGAIN_SECONDS)
            operation_id = str(arguments["operation_id"])
            story.waits_for = f"an answer about {operation_id}"
            while not self._done(story, operation_id):
                try:
                    request.go_on()
                except Surprise as refused:
                    self.refused[f"{task}: {str(refused).rpartition(' failed: ')[2]}"] += 1
                    break
                self.people.help(story.board.rows(story.payment))
                self.people.hours.pass_for_parked(story.payment)
                yield

    def _done(self, story: Story, operation_id: str) -> bool:
        row = story.board.row(story.payment, operation_id)
        return row is not None and (
            row["status"] in ENDED or (row["status"], row["kind"]) == ("pending", "create_page")
        )

    def _asked(self, story: Story) -> list[tuple[str, Json]]:
        """List what was asked for about a payment, each operation once, in the order in which it was asked."""
        found: dict[str, tuple[str, Json]] = {}
        for task, arguments, _ in self.people.asked:
            if arguments.get("payment_id") == story.seeded.payment_id and "operation_id" in arguments:
                found.setdefault(str(arguments["operation_id"]), (task, arguments))
        return list(found.values())

    def _rows(self) -> set[str]:
        """List the operations that the ledger knows to have been sent."""
        return {
            row["_id"] for row in self.stage.database["payment_operations"].find({"sends": {"$ne": []}}, {"_id": 1})
        }

    def _notice(self) -> None:
        """Wait until somebody has noticed that the ledger is behind, and tells."""
        told = {"name": "ledger_behind", "closed_at": None}
        eventually(lambda: self.stage.database["alerts"].find_one(told), within_seconds=60, what="an alert")

    def _type(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command of `nestcms-workers`."""
        return typed(self.stage.system.settings, *words)


def typed(settings: Settings, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person does, with these settings."""
    ours = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    argv = [sys.executable, "-m", "workers.cli", *words]
    return subprocess.run(
        argv, cwd=ROOT, env=kept | environment(settings), capture_output=True, text=True, timeout=300, check=False
    )
