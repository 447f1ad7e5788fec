"""One run of the comparison over many payments, and the record of it: who compared what, why, and how it came out.

The record is there before the first question is asked, so that a correction whose cause is this run always finds it;
its counts come at the end, however the run ends.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import uuid4

from pymongo.database import Database

from payments.comparing import LedgerComparer
from payments.comparison import Kind
from payments.comparison_window import Listing, payments_within
from payments.corrections import Judged, Standing
from payments.events import Context
from payments.store import Clock

Document = dict[str, Any]

#: Where runs are kept.
COLLECTION = "reconciliations"

#: What corrections are recorded as having come from.
SOURCE = "reconcile"


@dataclass(frozen=True)
class RunTerms:
    """What is compared, who asks for it and why, and whether our ledger is corrected; times are aware UTC."""

    since: datetime
    until: datetime
    by: str
    note: str | None = None
    apply: bool = False


class ComparisonRun:
    """One run; iterate over it inside its `with` block.

    Attributes:
        run_id: Names its record, and its corrections' cause.
        total: How many payments there are to compare.
        counts: Payments compared, entries by kind, and differences by what became of them.
        complete: Whether every payment was compared.
    """

    def __init__(
        self, database: Database[Document], comparer: LedgerComparer, terms: RunTerms, *, clock: Clock,
        besides: Callable[[datetime, datetime], Iterable[str]] = lambda _, __: (),
    ) -> None:  # fmt: skip
        """Prepare a run; nothing is asked yet. `besides` names payments of which others know more than our events."""
        self._besides = besides
        self.run_id = f"rec-{uuid4().hex[:16]}"
        self.terms = terms
        self.total = 0
        self.counts = dict.fromkeys(("compared", *Kind, *Standing), 0)
        self.complete = False
        self._database, self._comparer, self._clock = database, comparer, clock
        self._listing: Listing | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        record = {
            "_id": self.run_id, "started_at": self._clock(), "ended_at": None, "since": self.terms.since,
            "until": self.terms.until, "by": self.terms.by, "note": self.terms.note, "applied": self.terms.apply,
        }  # fmt: skip
        self._database[COLLECTION].insert_one(record | self._outcome())
        self._open.callback(self._keep)
        try:
            span = (self.terms.since, self.terms.until)
            listing = payments_within(self._database, *span, self._besides(*span))
        except BaseException:
            self._open.close()
            raise
        self._listing, self.total = self._open.enter_context(listing), len(listing)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[tuple[str, tuple[Judged, ...]]]:
        """Compare one payment after the other, until all are compared or there is no point in asking on."""
        context = Context(
            correlation_id=self.run_id, source=SOURCE, causation_id=self.run_id, requested_by=self.terms.by
        )
        for payment_id in self._listing or ():
            if self._comparer.patience.exhausted:
                return
            results = self._comparer.compare(payment_id, context, apply=self.terms.apply)
            self._count(results)
            yield payment_id, results
        self.complete = True

    @property
    def differs(self) -> bool:
        """Return whether something still differs, or needs a human."""
        return bool(self.counts[Standing.OPEN] or self.counts[Standing.REVIEW])

    @property
    def unanswered(self) -> bool:
        """Return whether something was not compared, because PayTabs did not answer."""
        return bool(self.counts[Kind.UNANSWERED]) or not self.complete

    def record(self) -> Document:
        """Return what is kept of the run."""
        return dict(self._database[COLLECTION].find_one({"_id": self.run_id}) or {})

    def _count(self, results: tuple[Judged, ...]) -> None:
        self.counts["compared"] += 1
        told = Counter(one.finding.kind for one in results), Counter(one.standing for one in results if one.standing)
        for name, number in (*told[0].items(), *told[1].items()):
            self.counts[name] += number

    def _outcome(self) -> Document:
        counts = {"payments": self.total, **{str(name): number for name, number in self.counts.items()}}
        return {"complete": self.complete, "counts": counts}

    def _keep(self) -> None:
        ended = {"ended_at": self._clock(), **self._outcome()}
        self._database[COLLECTION].update_one({"_id": self.run_id}, {"$set": ended})
