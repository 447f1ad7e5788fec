"""How far the ledger has come by the newest seal in the file outside, where that file is this ledger's own.

It is believed only of the same ledger, of a seal that is whole, and where the database's newest seal stands in the file
as it is: another database's file, or an edited seal, is for a person to look at and stops nobody.
"""

import fcntl
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from payments.epochs import Position
from payments.errors import SealsDiffer
from payments.seal_file import OpenSealFile, SealFile
from payments.seal_store import SealStore
from payments.seals import Seal

#: What a seal calls the ledger it was made in, and the operations that were sent within its span.
LEDGER, SENT = "ledger", "sent"


def position_in(seal: Seal, ledger: str) -> Position | None:
    """Return how far a ledger had come when a seal was made; None where it does not say, or is another ledger's."""
    said = (seal.model_extra or {}).get(LEDGER)
    if not isinstance(said, dict) or said.get("name") != ledger:
        return None
    epoch, sends = said.get("epoch"), said.get("sends")
    return Position(epoch, sends) if isinstance(epoch, int) and isinstance(sends, int) else None


def sent_in(seal: Seal) -> Iterator[tuple[str, str]]:
    """Give the operations that were sent within a seal's span: each payment's id and the operation's."""
    for text in (seal.model_extra or {}).get(SENT, ()):
        payment_id, _, operation_id = str(text).partition(" ")
        yield payment_id, operation_id


@dataclass(frozen=True)
class SealCopy:
    """The file as a copy of the position; it is raised by sealing, and only read here."""

    file: SealFile
    store: SealStore
    ledger: Callable[[], str]

    @property
    def name(self) -> str:
        """Return what operators call it."""
        return str(self.file.path)

    def raise_to(self, position: Position) -> None:
        """Leave it to sealing."""

    def position(self) -> Position | None:
        """Return the position of the newest seal in the file; None when nobody can tell."""
        seal = self._believed()
        return position_in(seal, self.ledger()) if seal else None

    def beyond(self) -> Iterator[Seal]:
        """Give the seals that the file has and the database has not, where the file is believed."""
        newest = self._believed()
        known = self.store.last() if newest else None
        for _, seal in self.file.lines(self.file.size()) if newest else ():
            if seal is not None and seal.n > (known.n if known else 0):
                yield seal

    def differs(self) -> str | None:
        """Say how the file's newest seals and the database's differ; None when they are the same."""
        try:
            newest, known = self._last(), self.store.last()
        except (OSError, SealsDiffer) as error:
            return str(error)
        if newest is None:
            return None
        stored = self.store.get(newest.n)
        if stored is None:
            return f"{self.name} has seals up to {newest.n}, the database up to {known.n if known else 0}"
        return None if stored == newest else f"seal {newest.n} in the database is not the one in {self.name}"

    def _believed(self) -> Seal | None:
        try:
            newest, known = self._last(), self.store.last()
            if newest is None or not newest.is_whole() or (known is not None and not self._has(known)):
                return None
        except (OSError, SealsDiffer, PyMongoError):
            return None
        return newest

    def _last(self) -> Seal | None:
        """Return the newest seal in the file; None when there is no file.

        Raises:
            OSError: it cannot be read.
            SealsDiffer: it holds lines and no seal.
        """
        if not self.file.path.exists():
            return None
        with self.file.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return OpenSealFile(file, self.file.path).last()

    def _has(self, seal: Seal) -> bool:
        with self.file.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            return OpenSealFile(file, self.file.path).find(seal.n) == seal
