"""A person's word about the CMS's word: whether ours stands, theirs, or that a payment was settled without PayTabs.

Ours is written over what the CMS says. Theirs is kept and counted for as long as ours is what it is now. Settled
outside is an end: nothing is charged any more, and money that PayTabs takes after that is a case.
"""

from dataclasses import dataclass
from typing import Any, Literal

from payments import facts
from payments.accepting import record_terms
from payments.assessment import Assessment
from payments.cms import CmsReader, readable_status
from payments.cms_word import SETTLED
from payments.errors import InvalidArgument, Refusal
from payments.events import Context
from payments.facts import Fact
from payments.payment import LIVE
from payments.reason_kinds import all_words, members
from payments.reasons import LEAVES, Reason
from payments.review import decider, said
from payments.store import Change, PaymentStore

#: Whose word stands.
Decision = Literal["ours", "theirs", "outside"]

#: Who decides, and why: the members of a fact that say so.
Who = dict[str, Any]

#: What is settled outside reads so, unless the CMS says that it was given back.
PAID = "paid"


@dataclass(frozen=True)
class WordDesk:
    """Settles what the CMS says and we do not."""

    store: PaymentStore
    cms: CmsReader
    profile_id: int

    def settle(self, payment_id: str, reason: Reason, decision: Decision, note: str, context: Context) -> None:
        """Settle a case about the CMS's word in one of three ways.

        Args:
            payment_id: 24 hexadecimal digits.
            reason: the case.
            decision: whose word stands.
            note: why; kept in the payment's history.
            context: who decides.

        Raises:
            InvalidArgument: there is no such case, it is about something else, what the CMS says cannot be kept, or
                nobody says who decides and why.
        """
        who: Who = {"by": decider(context), "note": said(note)}

        def work(change: Change) -> None:
            change.look()
            if reason not in change.after.review:
                raise InvalidArgument("reason", f"one of the payment's open cases: {all_words(change.after.review)}")
            if reason.code not in LEAVES:
                raise InvalidArgument("as", "nothing: this case is not about what the CMS says")
            change.record(*_settled(change, reason, decision, who))

        self.store.change(payment_id, context, work)

    def import_settled(self, payment_id: str, note: str, context: Context) -> None:
        """Take a payment over that the CMS calls settled and that never went through PayTabs.

        Raises:
            InvalidArgument: there is no such payment, it was begun here or at PayTabs, or the CMS does not call it
                settled.
        """
        who: Who = {"by": decider(context), "note": said(note)}
        cms = self.cms.payment(payment_id)

        def work(change: Change) -> None:
            change.look()
            now = change.standing.settled_outside if change.standing else None
            if change.history or not cms.settled_outside or now != cms.status:
                wanted = "a payment without a history here that the CMS calls paid or refunded, and without a transR"
                raise InvalidArgument("payment_id", wanted, Refusal.NOT_SETTLED_OUTSIDE)
            record_terms(change, cms, self.profile_id)
            change.record(facts.PaymentSettledOutside(status=str(cms.status), **who))

        self.store.change(payment_id, context, work)


def _settled(change: Change, reason: Reason, decision: Decision, who: Who) -> list[Fact]:
    if decision == "outside":
        cases = [one for one in change.after.review if one.code in LEAVES]
        closed = [facts.ReviewSettled(**members(one), **who, decision=decision) for one in cases]
        outside = facts.PaymentSettledOutside(status=_money_word(change), **who, known=_with_money(change.after))
        return [*closed, outside]
    if decision == "ours":
        return [facts.ReviewSettled(**members(reason), **who, decision=decision)]
    return [
        facts.ReviewSettled(**members(reason), **who, decision=decision, **_kept(change, member))
        for member in sorted(LEAVES[reason.code])
    ]


def _kept(change: Change, member: str) -> dict[str, Any]:
    """Return what of a document's member is kept, and what ours is at this moment."""
    known = _with_money(change.after)
    if member == "transR":
        return {"kept": member, "ours": change.after.tran_ref, "known": known}
    status = _status(change) or "pending"
    return {"kept": member, "status": status, "ours": change.after.own_status, "known": known}


def _status(change: Change) -> str | None:
    """Return the status that stands in the document.

    Raises:
        InvalidArgument: it cannot be read, and so cannot be kept.
    """
    return readable_status(change.standing.document.get("status")) if change.standing else None


def _money_word(change: Change) -> str:
    try:
        status = _status(change)
    except InvalidArgument:
        return PAID
    return status if status in SETTLED else PAID


def _with_money(verdict: Assessment) -> tuple[str, ...]:
    return tuple(sorted({str(leg.tran_ref) for leg in verdict.legs if leg.state in LIVE}))
