"""What is said of indexes when a server's are judged: how each declared one stands, and what else is there."""

from dataclasses import dataclass
from enum import StrEnum

from aggregations.index_facts import Existing, Use
from aggregations.indexes import Index


class State(StrEnum):
    """How a declared index stands."""

    PRESENT = "present"
    UNDER_OTHER_NAME = "present under another name"
    WITHIN_LONGER = "served by a longer one"
    BUILDING = "being built"
    MISSING = "missing"
    DIFFERING = "differs"
    NO_COLLECTION = "no collection yet"


#: States in which there is nothing to do.
SETTLED = frozenset({State.PRESENT, State.UNDER_OTHER_NAME, State.WITHIN_LONGER, State.BUILDING})


@dataclass(frozen=True)
class Standing:
    """A declared index and how it stands.

    Attributes:
        index: the declared one.
        state: how it stands.
        by: the index on the server that this is about.
        obstacle: why it cannot be built beside that one; empty when it can.
    """

    index: Index
    state: State
    by: str = ""
    obstacle: str = ""

    @property
    def has_collection(self) -> bool:
        """Whether there is anything to build it on."""
        return self.state is not State.NO_COLLECTION


@dataclass(frozen=True)
class Judged:
    """An index on the server and what is to be said of it.

    Attributes:
        index: the one on the server.
        declared: whether it is there for a declared one.
        redundant: why another does its work as well; empty when none does.
        use: how often all nodes together have used it; None when that is not known.
    """

    index: Existing
    declared: bool
    redundant: str
    use: Use | None

    @property
    def unused(self) -> bool:
        """Whether no node has used it since it began to count."""
        return self.use is not None and self.use.ops == 0 and not self.use.building

    @property
    def undeclared(self) -> bool:
        """Whether it is one of ours that is declared no longer."""
        return self.index.ours and not self.declared


@dataclass(frozen=True)
class IndexPlan:
    """All of it: the declared ones, and what else is on the server."""

    declared: tuple[Standing, ...]
    others: tuple[Judged, ...]

    @property
    def to_build(self) -> tuple[Standing, ...]:
        """Those that have to be built."""
        return tuple(one for one in self.declared if one.state not in SETTLED)

    @property
    def building(self) -> list[str]:
        """Name those that the server is building."""
        return [one.index.name for one in self.declared if one.state is State.BUILDING]

    @property
    def undeclared(self) -> tuple[Existing, ...]:
        """Ours that are declared no longer, or under whose name something else is declared by now."""
        return tuple(one.index for one in self.others if one.undeclared)
