"""Where to find what belongs together in the ledger without looking through all of it."""

from collections import defaultdict
from dataclasses import dataclass, field

from sandbox.movements import Movement


def _lists() -> "defaultdict[str, list[str]]":
    return defaultdict(list)


@dataclass
class Index:
    """References and movements by what they belong to.

    Attributes:
        roots: With which transaction each one's family began.
        families: The members of each family, oldest first.
        followers: The transactions that acted upon each, oldest first.
        carts: The transactions of each cart, oldest first.
        moves: The movements of each family, by its root.
    """

    roots: dict[str, str] = field(default_factory=dict)
    families: defaultdict[str, list[str]] = field(default_factory=_lists)
    followers: defaultdict[str, list[str]] = field(default_factory=_lists)
    carts: defaultdict[str, list[str]] = field(default_factory=_lists)
    moves: defaultdict[str, list[Movement]] = field(default_factory=lambda: defaultdict(list))
