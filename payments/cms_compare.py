"""Whether what stands in the CMS's document is ours: what we wrote last, or what our facts once came to.

A document is compared with the row that was written with it, and one that programs without rows have written, or that
comes from a backup, with the facts up to the version that it names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from payments.assessment import CMS_STATUS_BEFORE, Assessment, assess
from payments.cms_rows import Written, gateway_mark, mark, version_of
from payments.cms_word import SETTLED, UNPAID, Unreadable, read_reference, read_status
from payments.facts import Fact
from payments.payment import fold

#: A payment's facts, each with its version, in order.
History = Sequence[tuple[int, Fact]]


@dataclass(frozen=True)
class Standing:
    """A document as it was found.

    Attributes:
        document: Its status, transR and gateway.
        row: What stood there after we wrote it last.
        verdict: What its payment came to then.
        history: Gives the payment's facts, which are seldom needed.
        was_away: Whether it has nothing of ours because it was away when it should have been written.
    """

    document: Mapping[str, Any]
    row: Written | None
    verdict: Assessment
    history: Callable[[], History]
    was_away: bool = False

    @property
    def status(self) -> str | Unreadable | None:
        """Return the status that stands there."""
        return read_status(self.document.get("status"))

    @property
    def reference(self) -> str | Unreadable | None:
        """Return the reference that stands there."""
        return read_reference(self.document.get("transR"))

    @property
    def settled_outside(self) -> str | None:
        """Return the status by which the CMS calls it settled without a transaction of PayTabs, if it does."""
        status = self.status
        return status if isinstance(status, str) and status in SETTLED and self.reference is None else None

    @property
    def status_is_ours(self) -> bool:
        """Return whether the status is one that we wrote, or left there; or that of a payment that nobody has begun."""
        if self.was_away and self.status in (None, "pending"):
            return True
        return self._stands("status", self.row.status if self.row else None)

    @property
    def reference_is_ours(self) -> bool:
        """Return the same of the reference; where nothing stands, nobody has named another one."""
        if self.reference is None or self.reference == self.verdict.tran_ref:
            return True
        return self._stands("transR", self.row.reference if self.row else None)

    @property
    def gateway_is_ours(self) -> bool:
        """Return whether `gateway` is as we wrote it, as far as that is known."""
        if self.row is None or gateway_mark(self.document.get("gateway")) == self.row.gateway:
            return True
        version, noted, last = version_of(self.document), self.row.version or 0, self.history()[-1][0]
        # A later version than the row's was written by a program that keeps no rows. No program of ours writes an
        # earlier one, or one that there are no facts for, unless it is the facts that are missing.
        return noted > last or (version is not None and noted < version <= last)

    def _stands(self, member: str, noted: str | None) -> bool:
        stands, version = mark(self.document.get(member)), version_of(self.document)
        if noted is not None and noted == stands:
            return True
        if self.row is not None and version in (None, self.row.version):
            return False
        return stands in [mark(one) for one in self._written_then[member]]

    @cached_property
    def _written_then(self) -> dict[str, tuple[str | None, ...]]:
        """Return what the facts came to at the version that the document names, else at the last one.

        A status may be the one that an earlier version made of the same facts.
        """
        version, history = version_of(self.document), self.history()
        then = [fact for number, fact in history if version is None or number <= version]
        then = then or [fact for _, fact in history]
        verdict = assess(fold(then))
        before = CMS_STATUS_BEFORE.get(verdict.base_state, verdict.cms_status)
        return {"status": (verdict.cms_status, before), "transR": (verdict.tran_ref or last_reference(then),)}


def contradicts(theirs: str | Unreadable | None, ours: str) -> bool:
    """Tell whether a status that is not ours contradicts ours, so that a person has to settle it."""
    if isinstance(theirs, Unreadable):
        return True
    return theirs != ours and not (theirs in (None, "pending") and ours in UNPAID)


def last_reference(facts: Sequence[Fact]) -> str | None:
    """Return the last reference that was ever current; a payment whose page was given up keeps showing that page's."""
    for end in range(len(facts) - 1, 0, -1):
        if tran_ref := assess(fold(facts[:end])).tran_ref:
            return tran_ref
    return None
