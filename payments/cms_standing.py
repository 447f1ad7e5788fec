"""What follows when the CMS has written what is ours: nothing, a case for a person, or the end of one.

A status that says the same as ours, or nothing where ours says that nobody has paid, is written over. Any other status
or reference that is not ours is left as it is and becomes a case beside the payment's state. A case ends by itself
when the CMS takes its word back, or when both say the same and no money is meant; what means money only a person ends.
"""

from collections.abc import Iterable, Iterator

from payments import facts
from payments.cms_compare import Standing, contradicts
from payments.cms_word import SETTLED, Unreadable
from payments.events import timestamp
from payments.facts import Fact
from payments.reason_kinds import members
from payments.reasons import LEAVES, Reason, ReasonCode
from payments.store import Change

#: By whom a case is closed that the CMS itself has taken back.
BY_ITSELF = "nestcms-workers"

#: Cases about a status that the CMS may take back.
_OF_STATUS = frozenset({ReasonCode.CMS_STATUS_CHANGED, ReasonCode.CMS_NOT_CONFIRMED})


def news(standing: Standing, change: Change) -> list[Fact]:
    """Return the cases that a document gives rise to, and those that it ends.

    Args:
        standing: The document as it was found.
        change: What is being changed; what it settles is not raised again.
    """
    settled = [LEAVES.get(fact.code, ()) for fact in change.new_facts if isinstance(fact, facts.ReviewSettled)]
    settling = {member for members_left in settled for member in members_left}
    found: list[Fact] = []
    if "status" not in settling:
        found += _of_status(standing, change)
    if "transR" not in settling:
        found += _of_reference(standing, change)
    return found


def told(value: str | Unreadable | None) -> str:
    """Return what is told of a status or a reference."""
    return value.shown if isinstance(value, Unreadable) else value or "nothing"


def _of_status(standing: Standing, change: Change) -> Iterator[Fact]:
    theirs, ours, known = standing.status, standing.verdict.cms_status, _open(change, _OF_STATUS)
    agreed = theirs == change.after.cms_status and theirs not in SETTLED
    if standing.status_is_ours:
        yield from (_ended(case, "the CMS and we say the same") for case in known if agreed)
        return
    case = Reason(ReasonCode.CMS_STATUS_CHANGED, "status", (told(theirs),))
    changed = contradicts(theirs, ours) and not agreed
    yield from (_ended(one, _changed_to(theirs)) for one in known if not changed or one != case)
    if changed and case not in known:
        yield _raised(case, f"status {told(theirs)} where we had written {ours}", change)


def _of_reference(standing: Standing, change: Change) -> Iterator[Fact]:
    theirs, known = standing.reference, _open(change, {ReasonCode.CMS_REFERENCE_CHANGED})
    if theirs is None or theirs == change.after.tran_ref:
        yield from (_ended(case, _changed_to(theirs)) for case in known)
    elif not standing.reference_is_ours:
        case = Reason(ReasonCode.CMS_REFERENCE_CHANGED, "transR", (told(theirs),))
        yield from (_ended(one, _changed_to(theirs)) for one in known if one != case)
        if case not in known:
            wrote = standing.verdict.tran_ref or "nothing"
            yield _raised(case, f"transR {told(theirs)} where we had written {wrote}", change)


def _open(change: Change, codes: Iterable[str]) -> list[Reason]:
    return [reason for reason in change.before.review if reason.code in codes]


def _raised(case: Reason, evidence: str, change: Change) -> Fact:
    """Return that a case is raised; its time tells it from one that was settled before."""
    return facts.ReviewRaised(**members(case), evidence=f"{evidence}; seen {timestamp(change.now)}")


def _ended(case: Reason, note: str) -> Fact:
    return facts.ReviewSettled(**members(case), note=note, by=BY_ITSELF)


def _changed_to(theirs: str | Unreadable | None) -> str:
    return f"the CMS has changed it to {told(theirs)}"
