"""What can go wrong at the entrance of a task."""

from pydantic import ValidationError


class InvalidArguments(ValueError):
    """Raised when a task's arguments are not what its contract says; it is never retried.

    Attributes:
        mistakes: One sentence per mistake, each naming its field and what was expected; no value is repeated.
    """

    def __init__(self, *mistakes: str) -> None:
        self.mistakes = mistakes
        super().__init__(*mistakes)

    def __str__(self) -> str:
        return "; ".join(self.mistakes)

    @classmethod
    def from_validation(cls, error: ValidationError, *, under: tuple[str, ...] = ()) -> "InvalidArguments":
        """Say what pydantic found, without the input it found it in.

        Args:
            error: what the model said.
            under: the argument that the model describes, when it is not the arguments as a whole.
        """
        found = error.errors(include_input=False, include_url=False, include_context=False)
        return cls(*(_sentence((*under, *one["loc"]), one["type"], one["msg"]) for one in found))


#: Sentences for the mistakes whose pydantic text would not help a caller in another language.
_SENTENCES = {
    "missing": "expected a value, got none",
    "extra_forbidden": "no such argument",
}


def _sentence(location: tuple[int | str, ...], kind: str, message: str) -> str:
    field = ".".join(str(part) for part in location) or "arguments"
    return f"{field}: {_SENTENCES.get(kind) or _reworded(message)}"


def _reworded(message: str) -> str:
    """Say in our form what pydantic says as "Input should be …", "String should match …" or in a text of ours."""
    expected = message.removeprefix("Input should be ").removeprefix("Value error, ")
    subject, should, rest = expected.partition(" should ")
    return f"{should.strip()} {rest}" if should and subject.isalpha() else f"expected {expected}"


class WorkersLost(Exception):
    """Raised instead of beginning a task once more that too many workers were lost over.

    Attributes:
        lost: How many.
    """

    def __init__(self, lost: int) -> None:
        self.lost = lost
        super().__init__(lost)

    def __str__(self) -> str:
        return f"{self.lost} workers were lost over this task; it is not begun again"


class SlotFailed(Exception):
    """Raised when the work of a periodic entry's slot has failed; it may be begun anew.

    Attributes:
        entry: The entry.
        error: What stopped it.
        wait_seconds: After how long.
    """

    def __init__(self, entry: str, error: Exception, wait_seconds: float) -> None:
        self.entry = entry
        self.error = error
        self.wait_seconds = wait_seconds
        super().__init__(entry, error, wait_seconds)

    def __str__(self) -> str:
        return f"{self.entry}: {type(self.error).__name__}"


class DatabaseRefuses(Exception):
    """Raised when the database refuses what a task reads, until an operator acts: asking again helps once that is done.

    Attributes:
        reason: Why, as the alert `database_refuses` calls it.
        words: The same in words.
    """

    def __init__(self, reason: str, words: str) -> None:
        self.reason = reason
        self.words = words
        super().__init__(reason, words)

    def __str__(self) -> str:
        return f"the database refuses us ({self.reason}): {self.words}; operators are told, ask again later"


#: What the caller of a task is advised to do of which nobody knows how it ended.
ASK_AGAIN = "outcome unknown: ask again"
ASK_AGAIN_UNDER_ID = "outcome unknown: ask again under the same operation_id"


class OutcomeUnknown(Exception):
    """Raised when nobody can say how a task ended: it was killed, lost, or given up before its row said so.

    Its caller asks again, under the same `operation_id` where the task takes one: what was done is then told and not
    done a second time.

    Attributes:
        operation_id: The caller's own id, where the task has one.
        reason: `time_limit`, `workers_lost`, `given_up` or `not_booked`.
        advice: What to do, in one sentence.
    """

    def __init__(self, operation_id: str | None, reason: str, advice: str | None = None) -> None:
        self.operation_id = operation_id
        self.reason = reason
        self.advice = advice or (ASK_AGAIN_UNDER_ID if operation_id else ASK_AGAIN)
        super().__init__(operation_id, reason, self.advice)

    def __str__(self) -> str:
        return f"{self.advice} ({self.reason})"
