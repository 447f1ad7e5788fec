"""The stage of killed reactions: a whole system, whom it tells, and a count of what was done in the database."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bson import ObjectId
from pymongo.change_stream import ChangeStream

from payments.handlers import EVENT_HANDLERS
from payments.outbox import COLLECTION
from tests.chaos.stage import Stage, staged
from tests.support.cms import SeededPayment, mongoose
from tests.support.sandbox import Sandbox
from tests.support.traces import plant
from tests.support.waiting import eventually
from workers.demo_outside import Outside, outside

Json = dict[str, Any]

#: Who commits events, who does reactions, who looks for lost ones, who takes notices.
PROCESSES = ("worker-money", "worker-events", "beat", "receiver")

#: Everything that happens when a payment completes.
HANDLERS = tuple(EVENT_HANDLERS["PaymentCompleted"])

#: Those that write into our database, and those that tell somebody outside.
IN_DATABASE, OUTSIDE = ("recount_contract", "activate_projects"), ("notify_cms", "invalidate_reads", "email_client")

#: How long MongoDB holds what a killed client has locked, in seconds; 60 unless set.
LOCKED_SECONDS = 3


@dataclass
class Reactions:
    """What happens on the stage, and what can be seen of it."""

    stage: Stage
    told: Outside
    directory: Path
    changes: ChangeStream[Json] = field(repr=False)
    effects: Counter[tuple[str, ObjectId]] = field(default_factory=Counter)

    def armed(self, places: Sequence[str]) -> None:
        """Start the workers again, to die once at each of these places.

        Nothing that happens later may be open when they are killed: what they had locked stays so for a while.
        """
        with dying(self.directory, places):
            for name in ("worker-money", "worker-events"):
                self.stage.system.kill(name)
                self.stage.system.restart(name)

    def died(self, place: str) -> bool:
        """Tell whether somebody has died at a place."""
        return (self.directory / f"died-{place}").exists()

    def paid(self) -> SeededPayment:
        """Have a payment of the planted person's paid, and its signed notice delivered."""
        payment, tran_ref = self.stage.page()
        plant(self.stage.database, payment)
        self.stage.database["projects"].insert_one(mongoose(status="pending", contract=payment.contract))
        assert self.stage.deliver(self.stage.pay(tran_ref)).status_code == 200
        return payment

    def rows(self, payment: SeededPayment) -> list[Json]:
        """List what is owed for a payment."""
        return list(self.stage.database[COLLECTION].find({"payment_id": payment.payment_id}))

    def all_done(self, payment: SeededPayment) -> bool:
        """Tell whether every reaction to a payment's completion is done."""
        rows = self.rows(payment)
        return {row["handler"] for row in rows} == set(HANDLERS) and all(row["done_at"] for row in rows)

    def hurry(self, payment: SeededPayment) -> None:
        """Let what waits for a sweep or a lease come due now, as if the time had passed."""
        now = datetime.now(UTC)
        waiting = {"payment_id": payment.payment_id, "done_at": None, "attempts": 0, "due_at": {"$gt": now}}
        self.stage.database[COLLECTION].update_many(waiting, {"$set": {"due_at": now}})

    def effects_of(self, payment: SeededPayment) -> tuple[int, int]:
        """Count how often a contract's status, and its project's, was set: commits, not tries."""
        while (change := self.changes.try_next()) is not None:
            if "status" in change["updateDescription"]["updatedFields"]:
                self.effects[change["ns"]["coll"], change["documentKey"]["_id"]] += 1
        project = self.stage.database["projects"].find_one({"contract": payment.contract})
        assert project is not None
        return self.effects["contracts", payment.contract], self.effects["projects", project["_id"]]

    def mails_of(self, payment: SeededPayment) -> list[str]:
        """List the ids of the mails about a payment."""
        ids = [str(mail["Message-ID"]) for mail in self.told.mails.mails]
        return [one for one in ids if payment.payment_id in one]

    def webhooks_of(self, payment: SeededPayment) -> list[str]:
        """List the ids of the webhooks about a payment, all of which the CMS has verified."""
        assert len(self.told.cms.events) == len(self.told.cms.headers)
        return [one["webhook-id"] for one in self.told.cms.headers if payment.payment_id in one["webhook-id"]]


@contextmanager
def dying(directory: Path, places: Sequence[str]) -> Iterator[None]:
    """Have whoever is started meanwhile die at these places: the first who comes to each, once."""
    # With an empty place beside it, a single one too has a mark that is called after it.
    fault = {"FAULT_POINT": ",".join([*places, ""]), "FAULT_ONCE": str(directory / "died")}
    with patch.dict(os.environ, fault):
        yield


@contextmanager
def reacting(directory: Path, sandbox: Sandbox, places: Sequence[str] = ()) -> Iterator[Reactions]:
    """Run the system with a mail server and a CMS that it tells, and with places at which it dies."""
    with outside() as told, ExitStack() as running:
        with dying(directory, places):
            system = contextmanager(staged)(directory, sandbox, 1, processes=PROCESSES, **told.settings())
            stage = running.enter_context(system)
        stage.client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=LOCKED_SECONDS)
        ours = {"ns.coll": {"$in": ["contracts", "projects"]}, "operationType": "update"}
        with stage.database.watch([{"$match": ours}]) as changes:
            yield Reactions(stage, told, directory, changes)


def await_all(act: Reactions, payments: Sequence[SeededPayment], within_seconds: float) -> None:
    """Wait until everything that is owed for the payments is done."""
    for payment in payments:
        what = f"the reactions to {payment.payment_id}"
        eventually(lambda one=payment: act.all_done(one), within_seconds=within_seconds, every_seconds=0.1, what=what)  # type: ignore[misc]
