"""What can go wrong when a heavy read is asked for."""


class AggregationError(Exception):
    """Raised when an aggregation cannot be answered; the root of this package's errors."""


class UnknownAggregation(AggregationError, LookupError):
    """Raised when no aggregation has the name asked for.

    Attributes:
        name: The name asked for.
        known: The names there are.
    """

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known
        super().__init__(name, known)

    def __str__(self) -> str:
        return f"name: expected one of {', '.join(self.known)}, got {self.name!r}"


class NotFound(AggregationError, LookupError):
    """Raised when the document an aggregation is about does not exist.

    Attributes:
        field: The parameter that names the document.
        expected: What would have been accepted.
    """

    def __init__(self, field: str, expected: str) -> None:
        self.field = field
        self.expected = expected
        super().__init__(field, expected)

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}"


class BudgetExceeded(AggregationError):
    """Raised when the database has stopped a read at its time budget.

    Attributes:
        name: The aggregation.
        budget_ms: The milliseconds it had.
    """

    def __init__(self, name: str, budget_ms: int) -> None:
        self.name = name
        self.budget_ms = budget_ms
        super().__init__(name, budget_ms)

    def __str__(self) -> str:
        return f"{self.name}: the database stopped it at its time budget of {self.budget_ms} ms; ask for less"


class AnswerTooLarge(AggregationError):
    """Raised when an answer would be longer than a document of MongoDB may be.

    Attributes:
        name: The aggregation.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)

    def __str__(self) -> str:
        return f"{self.name}: the answer would be longer than the 16 MB of one document; ask for less"


class MayPass(AggregationError):
    """Raised when the same read may be answered a moment later; the root of what is worth another try."""


class ReadsBusy(MayPass):
    """Raised when a caller has waited long enough for a build of another, or for a place to read in.

    Attributes:
        name: The aggregation.
        seconds: How long it waited.
    """

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self.seconds = seconds
        super().__init__(name, seconds)

    def __str__(self) -> str:
        return f"{self.name}: not answered within {self.seconds:g} s, too many reads are under way; ask again"


class ReplicaBehind(MayPass):
    """Raised when a secondary has not reached, in time, the change that a read must not miss."""


class CacheAway(AggregationError):
    """Raised when the cache cannot be used now; callers are answered without it and never see this."""


class HistoryLost(AggregationError):
    """Raised when the database cannot tell what has changed since the watcher's token: the oplog is too short.

    Attributes:
        reason: what the database calls it.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class LeaseLost(AggregationError):
    """Raised when somebody else has taken over what this process was at; its writes would be in the other's way.

    Attributes:
        what: the row of `mv_meta` that was leased.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(what)
