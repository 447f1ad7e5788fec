"""Writing down what somebody decided where it is done: who, what, why and how it ended, by whichever door it came.

An act that is asked again under its own id, because it could not be ended yet, goes on under the entry that it began
with; so each act has one entry that it has begun and one that it has ended, however often its task ran.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.errors import PyMongoError

from payments.audit_entries import AuditEntries
from payments.errors import NotYet, PaymentsError, ReplayTaken, StreamContended
from payments.events import Context

Json = dict[str, Any]

#: Who acts when nobody says so; the task or the command that it came by stands in `source`.
UNNAMED = "unnamed"

#: Why, when nobody says so.
NO_REASON = "no reason was given"

#: The longest text of an outcome, in characters.
LONGEST_OUTCOME = 1_000

#: After these the same act is tried again, or somebody else goes on with it.
_NOT_THE_END = (NotYet, StreamContended, ReplayTaken)


@dataclass
class Act:
    """An act under way; whoever acts may say how it ended.

    Attributes:
        entry: The number of the entry that says that it began.
        outcome: How it ended, in words.
        ended: False while it goes on in another run.
    """

    entry: int
    outcome: str = "done"
    ended: bool = True


@dataclass(frozen=True)
class Trail:
    """Writes acts into the audit trail.

    Attributes:
        entries: The chain.
        clock: Aware UTC.
        redact: Takes out of plain JSON what is secret.
    """

    entries: AuditEntries
    clock: Callable[[], datetime]
    redact: Callable[[Any], Any]

    @contextmanager
    def act(
        self, command: str, context: Context, *, reason: str | None, arguments: Mapping[str, Any], key: str
    ) -> Iterator[Act]:
        """Have what is done within the block written down before it begins and when it has ended.

        Args:
            command: What is done, by one name for every door: "payments.refund", "events replay".
            context: Who asks.
            reason: Why, in words that name nobody but staff: they are kept for good.
            arguments: What it is about; plain JSON, whose secrets are left out.
            key: The act's own id, under which it is asked again.
        """
        act_id = f"{command}/{key}"
        said = self.redact(
            {"by": context.requested_by or UNNAMED, "reason": reason or NO_REASON, "source": context.source}
        )
        said |= {"command": command, "arguments": self.redact(dict(arguments)), "act_id": act_id}
        act = Act(self.entries.open_act(act_id) or self._append({"phase": "begun", "began": None, **said}))
        try:
            yield act
        except BaseException as error:
            if isinstance(error, _NOT_THE_END) or not isinstance(error, PaymentsError | KeyboardInterrupt):
                raise  # it is tried again, or nobody knows how it ended: an act without an end shows as such
            act.outcome = f"failed: {type(error).__name__}: {error}".removesuffix(": ")
            with suppress(PyMongoError, StreamContended):  # why it failed is the better answer
                self._end(act, said)
            raise
        if act.ended:
            self._end(act, said)

    def _end(self, act: Act, said: Json) -> None:
        outcome = str(self.redact(act.outcome))[:LONGEST_OUTCOME]
        self._append({"phase": "ended", "began": act.entry, **said, "outcome": outcome})

    def _append(self, members: Json) -> int:
        return self.entries.append({"outcome": None, **members}, self.clock())
