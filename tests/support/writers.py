"""Many writers on one payment at the same time, and what became of their facts."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

from payments.events import Context, Event
from payments.facts import ReviewRaised
from payments.store import Change
from tasks.base import may_pass
from tasks.wiring import World
from tests.support.reasons import about

CONTEXT = Context(correlation_id="writers", source="test")


@dataclass
class Writers:
    """Writers, each in one of some worlds; `again` lists the errors after which one tried again, as a task does."""

    worlds: Sequence[World]
    payment_id: str
    wrote: list[str] = field(default_factory=list)
    again: list[str] = field(default_factory=list)

    def write(self, *, writers: int, appends: int) -> None:
        """Have so many writers append so many facts each, each fact in a change of its own."""
        with ThreadPoolExecutor(writers) as threads:
            for done in [threads.submit(self._write, number, appends) for number in range(writers)]:
                done.result()

    def gaps(self, history: Sequence[Event]) -> list[int]:
        """List the versions that are not where they belong."""
        return [event.version for event, version in zip(history, count(1), strict=False) if event.version != version]

    def lost(self, history: Sequence[Event]) -> list[str]:
        """List what was written and does not stand in the history exactly once."""
        told = [event.fact.subject for event in history if isinstance(event.fact, ReviewRaised)]
        return sorted({one for one in self.wrote if told.count(one) != 1} | set(told) - set(self.wrote))

    def _write(self, number: int, appends: int) -> None:
        store = self.worlds[number % len(self.worlds)].store
        for step in range(appends):
            claim = ReviewRaised(**about(f"{number}-{step}"), evidence="")

            def work(change: Change, claim: ReviewRaised = claim) -> None:
                change.record(claim)

            while True:
                try:
                    store.change(self.payment_id, CONTEXT, work)
                except Exception as error:
                    if not may_pass(error):
                        raise
                    self.again.append(type(error).__name__)
                else:
                    break
            self.wrote.append(claim.subject)
