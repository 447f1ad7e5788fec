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
