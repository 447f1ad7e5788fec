"""The two ledgers of one payment, compared entry by entry; nothing is asked and nothing is changed here.

What is compared is what moves money: type, status, amount, currency, and what a transaction acts on. Other words for
the same thing are no difference: a capture called a sale, a void carried out as a release. A status is judged by what
our rank makes of it, with one exception: where we count money and PayTabs shows none, the ledgers differ, although
our rank would keep the money. Source: sections 3.2, 4 and 7 of the gateway contract.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from payments.facts import TransactionObserved
from payments.ledgers import OurLedger, TheirLedger, carts_of, refs_of
from payments.movements import FAILED, Movement, is_same_kind
from payments.operations import Status
from payments.questions import Question


class Kind(StrEnum):
    """How an entry of one ledger relates to the other ledger."""

    AGREEING = "agreeing"
    ONLY_OURS = "only_ours"
    ONLY_THEIRS = "only_theirs"
    DIFFERING = "differing"
    UNANSWERED = "unanswered"


#: Why nothing is concluded from a query that may lag behind what was said a moment ago.
TOO_EARLY = "too_early"

#: What differs when no field does, and yet the payment would be judged otherwise.
VERDICT = "verdict"


@dataclass(frozen=True)
class Finding:
    """What the comparison found about one entry, or about one question that was not answered.

    Attributes:
        kind: Which of the five.
        tran_ref: The transaction; None for an operation of which nobody knows one, and for a question by cart.
        operation_id: The operation that asked for it, if it is ours.
        ours: What our events say of it.
        theirs: What PayTabs says of it.
        fields: What differs.
        question: What was not answered.
        detail: Why it was not, or why the answer proves nothing.
    """

    kind: Kind
    tran_ref: str | None = None
    operation_id: str | None = None
    ours: Movement | None = None
    theirs: Movement | None = None
    fields: tuple[str, ...] = ()
    question: Question | None = None
    detail: str | None = None


def compare(ours: OurLedger, theirs: TheirLedger) -> list[Finding]:
    """Compare the two ledgers of a payment.

    Returns:
        One finding per entry that either has, per operation booked as done of which neither shows anything, and per
        question without an answer; an entry that PayTabs was silent about has none but its question's.
    """
    refs = sorted(ours.entries.keys() | theirs.entries.keys())
    entries = (_entry(ref, ours, theirs) for ref in refs)
    silent = (_silence(question, detail) for question, detail in theirs.silent.items())
    return [*filter(None, entries), *_phantoms(ours, theirs), *silent]


def _entry(ref: str, ours: OurLedger, theirs: TheirLedger) -> Finding | None:
    our, their = ours.entries.get(ref), theirs.entries.get(ref)
    row = ours.operation_of(our or theirs.entries[ref])
    operation_id = row.operation_id if row else None
    if our is None:
        return Finding(Kind.ONLY_THEIRS, ref, operation_id, theirs=their)
    if their is None:
        if theirs.is_silent_about([ref], our.carts):
            return None
        booked = row is not None and row.status is Status.SUCCEEDED
        if our.awaits_payer and not booked:
            # Whether PayTabs shows a page that nobody has paid is not known; it moves no money in either ledger.
            return Finding(Kind.AGREEING, ref, operation_id, ours=our)
        return _unless_early(Finding(Kind.ONLY_OURS, ref, operation_id, ours=our), ours, theirs)
    fields = _differences(our, their, ours, theirs)
    if not fields:
        return Finding(Kind.AGREEING, ref, operation_id, ours=our, theirs=their)
    found = Finding(Kind.DIFFERING, ref, operation_id, ours=our, theirs=their, fields=fields)
    return found if ours.would_change(theirs.about(ref)) else _unless_early(found, ours, theirs)


def _unless_early(found: Finding, ours: OurLedger, theirs: TheirLedger) -> Finding:
    """Conclude nothing from a query that says less than what was heard a moment ago."""
    if any(seen.tran_ref == found.tran_ref for seen in ours.recent - theirs.said):
        named = (found.tran_ref, found.operation_id, found.ours, found.theirs, found.fields)
        return Finding(Kind.UNANSWERED, *named, detail=TOO_EARLY)
    return found


def _phantoms(ours: OurLedger, theirs: TheirLedger) -> Iterable[Finding]:
    """Name operations booked as succeeded of which no entry of either ledger tells."""
    told = [ours.operation_of(entry) for entry in (*ours.entries.values(), *theirs.entries.values())]
    for row in ours.rows:
        silent = theirs.is_silent_about(refs_of(row), carts_of(row))
        if row.status is Status.SUCCEEDED and row not in told and not silent:
            yield Finding(Kind.ONLY_OURS, row.tran_ref, row.operation_id)


def _silence(question: Question, detail: str) -> Finding:
    ref = question.value if question.by == "tran_ref" else None
    return Finding(Kind.UNANSWERED, ref, question=question, detail=detail)


def _differences(our: Movement, their: Movement, ours: OurLedger, theirs: TheirLedger) -> tuple[str, ...]:
    """Name the fields in which two entries of one transaction differ."""
    changes = ours.would_change(theirs.about(our.tran_ref))
    parked = our.tran_ref in ours.verdict.parked
    renamed = our.kind != their.kind
    differs = {
        "type": renamed and (changes or not is_same_kind(our, their)),
        "status": _status_differs(our, their, explained=not (changes or parked)),
        "amount": _amount_differs(our, their, ours.said, theirs.said),
        "currency": bool(our.currencies and their.currencies) and our.currencies != their.currencies,
        "acts_on": None not in (our.previous, their.previous) and our.previous != their.previous,
    }
    return tuple(name for name, value in differs.items() if value) or ((VERDICT,) if changes else ())


def _status_differs(our: Movement, their: Movement, *, explained: bool) -> bool:
    """Tell whether statuses differ.

    Args:
        our: our entry.
        their: theirs.
        explained: whether a void at PayTabs would say nothing new, because we know what undid the transaction.
    """
    if our.standing == their.standing:
        return False
    if our.status in FAILED and their.awaits_payer:
        return False
    if our.standing in FAILED and their.standing in FAILED:
        # Two words for no money: the later one stands, and both are known once both were said.
        return their.status not in our.statuses
    return not (their.status == "V" and our.status in ("A", "H") and explained)


def _amount_differs(
    our: Movement, their: Movement, our_said: Iterable[TransactionObserved], their_said: Iterable[TransactionObserved]
) -> bool:
    """Tell whether amounts differ that were said with the same status; one that was not said contradicts nothing."""
    if our.status != their.status:
        return False
    ours, theirs = _amounts(our, our_said), _amounts(their, their_said)
    if our.status in ("A", "H"):
        return bool(theirs) and ours != theirs
    # What failed, waits or was undone moves nothing, and zero is said for "nothing" as often as the amount asked.
    moved = theirs - {Decimal(0)}
    return bool(moved - ours) and any(ours)


def _amounts(entry: Movement, said: Iterable[TransactionObserved]) -> set[Decimal]:
    of_entry = (one for one in said if (one.tran_ref, one.status) == (entry.tran_ref, entry.status))
    return {Decimal(one.amount) for one in of_entry if one.amount is not None}
