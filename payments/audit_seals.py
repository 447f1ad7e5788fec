"""The seals themselves under audit: their own chain, and those of the database against those outside of it.

Where the two differ, the one outside is believed: who can change the database need not be able to change the file.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from payments.errors import SealsDiffer
from payments.findings import Finding, of_seal, of_span
from payments.marks import Mark
from payments.paging import in_order
from payments.seal_file import SealFile
from payments.seal_store import SealStore, read
from payments.seals import Seal, why_it_does_not_follow


@dataclass(frozen=True)
class Copies:
    """What there was of the seals when the audit began; seals that are made meanwhile are left out.

    Attributes:
        store: The seals in the database.
        upto: The number of the newest one there.
        file: The file outside; None when there is none to compare with.
        size: How long it was, in bytes.
    """

    store: SealStore
    upto: int
    file: SealFile | None
    size: int

    def in_database(self) -> Iterator[tuple[int, Seal | Finding]]:
        """Give each row's number and its seal, or what is wrong with it."""
        for found in in_order(self.store.rows, ("_id",), "_id_"):
            number = found["_id"]
            if not isinstance(number, int) or number > self.upto:
                continue
            try:
                yield number, read(found)
            except SealsDiffer as error:
                yield number, of_seal(number, str(error))

    def in_file(self) -> Iterator[Seal | Finding]:
        """Give each line's seal, or what is wrong with the line."""
        last = 0
        for line, seal in self.file.lines(self.size) if self.file else ():
            if seal is None:
                yield of_span(last + 1, f"line {line} of {self._name} is no seal")
            elif seal.n <= last:
                yield of_seal(seal.n, f"stands in line {line} of {self._name}, after seal {last}")
            else:
                last = seal.n
                yield seal

    def together(self) -> Iterator[tuple[Seal | None, list[Finding]]]:
        """Give the seal that is believed for each number, in order, and what is wrong with it."""
        database, file = self.in_database(), self.in_file()
        ours, theirs, number = next(database, None), next(file, None), 0
        while ours is not None or theirs is not None:
            if isinstance(theirs, Finding):
                yield None, [theirs]
                theirs = next(file, None)
                continue
            here = min(([ours[0]] if ours else []) + ([theirs.n] if theirs else []))
            if here > number + 1:
                yield None, [_missing(number + 1, here - 1)]
            number = here
            row = ours[1] if ours and ours[0] == here else None
            line = theirs if theirs and theirs.n == here else None
            yield self._one(here, row, line)
            ours = next(database, None) if row is not None else ours
            theirs = next(file, None) if line is not None else theirs

    @property
    def _name(self) -> str:
        return str(self.file.path) if self.file else ""

    def _one(self, number: int, row: Seal | Finding | None, line: Seal | None) -> tuple[Seal | None, list[Finding]]:
        """Return the seal of a number that is believed, and how the two copies differ."""
        found = [row] if isinstance(row, Finding) else []
        seals = [one for one in (line, row) if isinstance(one, Seal)]
        believed = next((seal for seal in seals if seal.is_whole()), seals[0] if seals else None)
        if row is None:
            found.append(of_span(number, f"seal {number} stands in {self._name} and is gone from the database"))
        elif self.file is not None and line is None:
            found.append(of_span(number, f"seal {number} stands in the database and not in {self._name}"))
        elif len(seals) > 1 and seals[0] != seals[1]:
            found.append(of_seal(number, f"is another one in the database than in {self._name}"))
        return believed, found


def _missing(first: int, last: int) -> Finding:
    """Return the finding about seals that are nowhere."""
    return of_span(first, f"seal {first} is missing" if first == last else f"seals {first} to {last} are missing")


class SealChain:
    """Follows the chain of seals.

    Attributes:
        seals: How many there are.
        last: The newest one that was believed.
        late: The events that were sealed as late: their marks and the seal's number, by their ids.
    """

    def __init__(self) -> None:
        """Begin before the first seal."""
        self.seals = 0
        self.last: Seal | None = None
        self.late: dict[str, tuple[Mark, int]] = {}

    def findings(self, copies: Copies, entry_hashes: dict[int, str]) -> Iterator[Finding]:
        """Give a finding for each seal that is missing, differs or does not follow from the one before."""
        for seal, found in copies.together():
            yield from found
            if seal is not None:
                yield from self._next(seal, entry_hashes)

    def _next(self, seal: Seal, entry_hashes: dict[int, str]) -> Iterator[Finding]:
        self.seals += 1
        follows = seal.n == (self.last.n if self.last else 0) + 1
        if follows and (words := why_it_does_not_follow(self.last, seal)) is not None:
            yield of_seal(seal.n, words)
        if seal.entries and entry_hashes.get(seal.entries) != seal.entries_hash:
            yield of_seal(seal.n, f"covers audit entry {seal.entries}, which is gone or another one now")
        self.last = seal
        self.late |= {event_id: (mark, seal.n) for event_id, mark in seal.late_marks.items()}
