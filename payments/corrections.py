"""What follows from a comparison: which facts mend our ledger, what only a human can settle, and what one has settled.

What PayTabs shows and we lack is recorded as observed. What we have and PayTabs does not show is never taken back by
itself: it is a case for a human, like what still differs once all that PayTabs says is on record. A case is about
exactly what the two ledgers say; should they say something else later, that is a new one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from payments.comparison import Finding, Kind, compare
from payments.facts import Fact, ReviewRaised, TransactionObserved
from payments.ledgers import OurLedger, TheirLedger
from payments.movements import Movement
from payments.payment import fold
from payments.reason_kinds import members
from payments.reasons import Reason, ReasonCode


class Standing(StrEnum):
    """What has become of a difference: nothing yet, mended, a case for a human, or a case that one has closed."""

    OPEN = "open"
    CORRECTED = "corrected"
    REVIEW = "review"
    SETTLED = "settled"


#: Findings about which something has to be done.
DIFFERENCES = frozenset({Kind.ONLY_OURS, Kind.ONLY_THEIRS, Kind.DIFFERING})


@dataclass(frozen=True)
class Judged:
    """A finding, and what has become of it; None where there is nothing to be done about it."""

    finding: Finding
    standing: Standing | None


@dataclass(frozen=True)
class Correction:
    """What has to be recorded, and what becomes of every finding when it is."""

    facts: tuple[Fact, ...]
    results: tuple[Judged, ...]


def judge(ours: OurLedger, theirs: TheirLedger) -> list[Judged]:
    """Compare the two ledgers of a payment, and say what has become of what differs."""
    return [Judged(found, _standing(found, ours)) for found in compare(ours, theirs)]


def correct(ours: OurLedger, theirs: TheirLedger) -> Correction:
    """Return what mends our ledger of a payment, and the cases for what that does not mend."""
    found = compare(ours, theirs)
    observed = _mending(found, theirs)
    mended = replace(ours, payment=fold(observed, ours.payment))
    left = {_subject(one): one for one in compare(mended, theirs) if one.question is None}
    claims = [_claim(one) for one in left.values() if one.kind in DIFFERENCES and not _is_settled(one, mended)]
    needs_human = bool(set(mended.verdict.review) - set(ours.verdict.review))
    after = replace(mended, payment=fold(claims, mended.payment))
    results = (Judged(one, _become(one, left.get(_subject(one)), after, needs_human=needs_human)) for one in found)
    return Correction((*observed, *claims), tuple(results))


def _become(before: Finding, left: Finding | None, after: OurLedger, *, needs_human: bool) -> Standing | None:
    """Return what becomes of a finding of which `left` is what is still found once all is recorded."""
    if before.kind not in DIFFERENCES:
        return None
    if left is None or left.kind is Kind.AGREEING:
        return Standing.REVIEW if needs_human else Standing.CORRECTED
    return _standing(left, after) or Standing.OPEN


def _standing(found: Finding, ours: OurLedger) -> Standing | None:
    if found.kind not in DIFFERENCES:
        return None
    if _is_settled(found, ours):
        return Standing.SETTLED
    return Standing.REVIEW if _claim(found) in ours.payment.open_claims else Standing.OPEN


def _is_settled(found: Finding, ours: OurLedger) -> bool:
    return _claim(found) in ours.payment.settled


def _mending(findings: Iterable[Finding], theirs: TheirLedger) -> list[TransactionObserved]:
    """Return what PayTabs says of the entries that we lack or have otherwise, in an order that is always the same."""
    wrong = {one.tran_ref for one in findings if one.kind in (Kind.ONLY_THEIRS, Kind.DIFFERING)}
    return sorted((seen for seen in theirs.said if seen.tran_ref in wrong), key=repr)


def _claim(found: Finding) -> ReviewRaised:
    """Return the case of a finding; the same for as long as both ledgers say the same.

    Claims are told apart by their evidence, so the form of it is never changed.
    """
    code = ReasonCode.NOT_SHOWN if found.kind is Kind.ONLY_OURS else ReasonCode.LEDGER_DIFFERS
    evidence = f"ours: {in_words(found.ours)}; PayTabs': {in_words(found.theirs)}"
    return ReviewRaised(**members(Reason(code, _subject(found))), evidence=evidence)


def _subject(found: Finding) -> str:
    return found.tran_ref or f"operation {found.operation_id}"


def in_words(entry: Movement | None) -> str:
    """Say what an entry is."""
    if entry is None:
        return "nothing"
    on = f" on {entry.previous}" if entry.previous else ""
    return f"{entry.kind} {entry.standing} {entry.amount:f} {'/'.join(sorted(entry.currencies))}{on}"
