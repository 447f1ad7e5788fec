"""What an alert is, as data: what it means, what there is one of it for, when it closes, and what an operator does.

Two sorts are told apart. One *stands for a state* (a payment in review, a view that is stuck): it has a key for each
thing in that state and closes when the thing leaves it. One *counts occurrences* (a notice of an unknown transaction):
its keys are a closed few, what occurred last is listed within it, and it closes when nothing new came for long enough.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class AlertKind:
    """One alert of the table; its texts stand word by word in docs/operations.md.

    Attributes:
        name: What it is called.
        means: What has happened.
        key: What there is one alert for, and why these are not ever more.
        closes: When it closes, in words.
        to_do: What an operator does.
        quiet: After how long without another occurrence it closes by itself; None when that closes nothing.
        by_hand: Whether `alerts close` may close it.
    """

    name: str
    means: str
    key: str
    closes: str
    to_do: str
    quiet: timedelta | None = None
    by_hand: bool = True

    @property
    def row(self) -> str:
        """Return its line of the table in docs/operations.md."""
        return f"| `{self.name}` | {self.means} | {self.key} | {self.closes} | {self.to_do} |"
