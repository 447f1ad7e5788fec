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
    def from_validation(cls, error: ValidationError) -> "InvalidArguments":
        """Say what pydantic found, without the input it found it in."""
        return cls(*(_sentence(one["loc"], one["type"], one["msg"]) for one in error.errors(include_input=False)))


#: Sentences for the mistakes whose pydantic text would not help a caller in another language.
_SENTENCES = {
    "missing": "expected a value, got none",
    "extra_forbidden": "no such argument",
}


def _sentence(location: tuple[int | str, ...], kind: str, message: str) -> str:
    field = ".".join(str(part) for part in location) or "arguments"
    text = _SENTENCES.get(kind)
    if text is None:
        text = "expected " + message.removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{field}: {text}"
