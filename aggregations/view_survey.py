"""How each view stands, for those who look after it: whether it is built, and how many of its groups wait."""

from dataclasses import dataclass

from aggregations.view_marks import Marks
from aggregations.view_state import ViewState
from aggregations.views import VIEWS

#: With so many marks or more it does not matter how many there are.
MOST_COUNTED = 10_000


@dataclass(frozen=True)
class Standing:
    """One view: whether it is of the watcher's generation, whether it is being rebuilt, and its marks."""

    view: str
    built: bool
    rebuilding: bool
    marks: int

    @property
    def how(self) -> str:
        """Say it in words."""
        if self.rebuilding:
            return "being checked" if self.built else "being built"
        return "built" if self.built else "not built"


def view_standings(state: ViewState, marks: Marks) -> list[Standing]:
    """Return how every view stands."""
    generation = state.generation()
    rows = {row["_id"]: row for row in state.rows.find({"_id": {"$in": [*VIEWS]}}, {"built": 1, "rebuild.phase": 1})}
    found = []
    for name in VIEWS:
        row = rows.get(name, {})
        built = bool(generation) and row.get("built") == generation
        found.append(Standing(name, built, row.get("rebuild") is not None, marks.count(name, MOST_COUNTED)))
    return found
