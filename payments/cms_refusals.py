"""What is refused because of the CMS's own word: nothing new is charged for what it calls settled, or contradicts."""

from payments.assessment import Assessment
from payments.cms import readable_status
from payments.cms_word import SETTLED, read_reference
from payments.errors import InvalidArgument, Refusal
from payments.payment import Payment, State
from payments.reason_kinds import all_words
from payments.store import Change


def new_charge_refused(change: Change) -> InvalidArgument | None:
    """Return why nothing new may be charged for a payment, after a look at the CMS's document; None when it may.

    The look may have recorded a case, so the refusal is to be raised once that is committed.
    """
    change.look()
    if change.history:
        return word_refused(change.after, change.payment)
    try:
        return _untouched_refused(change)
    except InvalidArgument as error:
        return error


def word_refused(verdict: Assessment, payment: Payment) -> InvalidArgument | None:
    """Return why nothing new may be charged by what is known of a payment; None when it may."""
    kept = next((one.theirs for one in payment.kept if one.settles), None)
    if verdict.base_state is State.SETTLED_OUTSIDE or kept:
        status = verdict.cms_status if kept is None else kept
        return settled_outside(f"this one was settled as {status}, by the word of a person")
    if verdict.beside:
        cases = "; ".join(all_words(verdict.beside))
        return InvalidArgument(
            "payment_id", f"a payment whose word in the CMS is settled; a person has to look: {cases}",
            Refusal.CMS_WORD_OPEN,
        )  # fmt: skip
    return None


def settled_outside(why: str) -> InvalidArgument:
    """Return the refusal of what was settled outside."""
    return InvalidArgument(
        "payment_id", f"a payment that was not settled outside PayTabs; {why}", Refusal.SETTLED_OUTSIDE
    )


def _untouched_refused(change: Change) -> InvalidArgument | None:
    """Return why nothing may be charged for a payment that nobody has asked us for yet.

    Raises:
        InvalidArgument: its status cannot be read.
    """
    document = change.standing.document if change.standing else {}
    status = readable_status(document.get("status"))
    if status in SETTLED and read_reference(document.get("transR")) is None:
        return settled_outside(
            f"the CMS calls {change.payment_id} {status}, and no transaction of PayTabs stands behind it"
        )
    return None
