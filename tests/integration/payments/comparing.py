"""What the tests of the comparison share: a run and what it found, and payments that have come to all there is."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pymongo.database import Database

from payments.accepting import ChargeTerms, InvoiceTerms
from payments.allowance import Action
from payments.comparing import LedgerComparer
from payments.comparison import Finding, Kind
from payments.comparison_run import ComparisonRun, RunTerms
from payments.corrections import Judged, Standing
from payments.patience import Patience
from paytabs.answers import Answer
from tasks.wiring import World
from tests.integration.payments.stage import (
    DECLINED,
    HELD,
    PAID,
    PENDING,
    BetweenAnswerAndBooking,
    Stage,
)
from tests.support.cms import seed_payment

Document = dict[str, Any]


class Compared:
    """A finished run."""

    def __init__(self, run: ComparisonRun) -> None:
        self.run, self.run_id = run, run.run_id
        with run:
            self.results = list(run)
        self.record = run.record()

    @property
    def judged(self) -> list[Judged]:
        """All that was found."""
        return [one for _, results in self.results for one in results]

    @property
    def found(self) -> list[tuple[Kind, str | None, Standing | None]]:
        """What does not agree: kind, reference and what became of it."""
        rest = [one for one in self.judged if one.finding.kind is not Kind.AGREEING]
        return [(one.finding.kind, one.finding.tran_ref, one.standing) for one in rest]

    @property
    def finding(self) -> Finding:
        """The one thing that does not agree."""
        (one,) = (one.finding for one in self.judged if one.finding.kind is not Kind.AGREEING)
        return one


def compare(stage: Stage, *, apply: bool = False, world: World | None = None, patience: float = 0.5) -> Compared:
    """Compare all payments of the last day."""
    used = world or stage.world
    comparer = LedgerComparer(
        used.store, used.ledger, used.reconciler, stage.clock,
        timedelta(seconds=used.settings.lease_seconds), Patience(patience),
    )  # fmt: skip
    now = stage.clock.now
    terms = RunTerms(now - timedelta(1), now + timedelta(seconds=1), "omar", "monthly", apply)
    return Compared(ComparisonRun(used.db, comparer, terms, clock=stage.clock))


def everything(database: Database[Document]) -> dict[str, list[Document]]:
    """Return all that stands in the database but the records of the runs."""
    names = set(database.list_collection_names()) - {"reconciliations"}
    return {name: list(database[name].find().sort("_id", 1)) for name in names}


class Talkative(BetweenAnswerAndBooking):
    """The real gateway client, something that happens at every query by reference, and what is said instead of it."""

    def __init__(self, stage: Stage, happening: Callable[[], None], instead: list[Answer]) -> None:
        super().__init__(stage.settings, happening)
        self._instead = instead

    def query_tran(self, tran_ref: str, *, correlation_id: str | None = None) -> Answer:
        """Ask about a transaction, and let it happen before the answer is read."""
        answer = super().query_tran(tran_ref, correlation_id=correlation_id)
        self._happening()
        return self._instead.pop() if self._instead else answer


#: What is made of a paid page, and what is done to it then.
LIVES: list[tuple[str, list[tuple[Action, str | None]]]] = [
    ("sale", [("refund", "40.00"), ("refund", "75.00")]),
    ("auth", [("capture", "40.00"), ("capture", "60.00"), ("release", None), ("refund", "40.00")]),
    ("auth", [("void", None)]),
    ("auth", [("release", "15.00")]),
    ("register", []),
]


def lively(stage: Stage) -> None:
    """Have payments come to all that a payment can come to, in the ordinary way."""
    for transaction, acts in LIVES:
        seeded = seed_payment(stage.database)
        stage.paid(seeded, transaction)
        for number, (action, amount) in enumerate(acts):
            captured = [one["tran_ref"] for one in stage.sandbox.ledger() if one["tran_type"] == "Capture"]
            on = captured[0] if (transaction, action) == ("auth", "refund") else None
            stage.follow_up(seeded, action, amount, operation_id=f"{action}-{seeded.payment_id}-{number}", tran_ref=on)
    for card in (DECLINED, HELD, PENDING, "error", "expired", None):
        seeded = seed_payment(stage.database)
        tran_ref = stage.open_page(seeded)
        if card:
            stage.sandbox.pay(tran_ref, card)
            stage.verify(seeded)
    other_ways(stage)


def other_ways(stage: Stage) -> None:
    """Have a retried payment, an invoice, a stored card and a waiting refund."""
    retried, billed, stored, waiting = (seed_payment(stage.database) for _ in range(4))
    stage.sandbox.cancel(stage.open_page(retried))
    stage.verify(retried)
    stage.clock.advance(1)
    stage.paid(retried)
    lines = {"line_items": [{"description": "All", "quantity": "1", "unit_cost": "115.00", "total": "115.00"}]}
    stage.world.invoices.create(billed.payment_id, InvoiceTerms(lines), "bill-1", stage.context())
    stage.world.invoices.mark_paid(billed.payment_id, "banktransfer", "at the bank", "mark-1", stage.context())
    kept = stage.desk("token", card=PAID)
    terms = ChargeTerms("charge_token", kept["token"], payer_present=False, origin=kept["tran_ref"])
    stage.world.money.charge(stored.payment_id, terms, "charge-1", stage.context())
    stage.paid(waiting)
    stage.sandbox.switch(refund_approval="manual")
    stage.follow_up(waiting, "refund", "15.00", operation_id="waits-1")
