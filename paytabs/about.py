"""Whether an answer is about what was asked, and what it says when an earlier copy of the call may have arrived.

A page whose terms are not those that were asked for is not taken: nobody is sent to pay another amount.
"""

from dataclasses import replace

from paytabs.responses import Answer, Outcome, Transaction


def about(answer: Answer, **asked: str) -> Answer:
    """Turn an answer about something else than was asked into an unknown one.

    Args:
        answer: What PayTabs said.
        asked: What was asked, by member of a transaction. A member that an answer leaves out contradicts nothing.
    """
    for member, value in asked.items():
        found: tuple[Transaction | None, ...] = (answer.transaction, *answer.transactions)
        named = {getattr(transaction, member) for transaction in found if transaction is not None}
        if not named <= {value, None}:
            return _other(answer, member)
    return answer


def page_of(answer: Answer, **asked: object) -> Answer:
    """Turn a page on other terms than were asked for into an answer that is not taken.

    Args:
        answer: What PayTabs said; one with a result is judged with the payment, since money may have moved.
        asked: What was asked, by member of a transaction. A member that an answer leaves out contradicts nothing.
    """
    page = answer.transaction
    if page is None or not page.is_page:
        return answer
    for member, value in asked.items():
        named = getattr(page, member)
        if named is not None and _plain(named) != _plain(value):
            return _other(answer, member)
    return answer


def invoice_of(answer: Answer, invoice_id: int) -> Answer:
    """Name the invoice an answer is about, or turn one about another invoice into an unknown one."""
    if answer.invoice_id not in (invoice_id, None):
        return _other(answer, "invoice_id")
    return replace(answer, invoice_id=invoice_id)


def deleted(answer: Answer, *, in_doubt: bool) -> Answer:
    """Say whether a token is gone.

    Args:
        answer: The last answer.
        in_doubt: Whether an earlier copy may have deleted it: then "not found" is success.
    """
    if in_doubt and answer.detail == "not_found":
        answer = replace(answer, outcome=Outcome.SUCCEEDED, detail="already_gone")
    return _doubted(answer, in_doubt=in_doubt)


def cancelled(answer: Answer, invoice_id: int, *, in_doubt: bool) -> Answer:
    """Say whether an invoice is cancelled.

    Args:
        answer: The last answer.
        invoice_id: What was to be cancelled.
        in_doubt: Whether an earlier copy may have cancelled it. A refusal then says nothing: it may have been paid.
    """
    return invoice_of(_doubted(answer, in_doubt=in_doubt), invoice_id)


def _doubted(answer: Answer, *, in_doubt: bool) -> Answer:
    if in_doubt and answer.outcome is Outcome.DID_NOT_HAPPEN:
        return replace(answer, outcome=Outcome.UNKNOWN, detail="earlier_copy_unknown")
    return answer


def _plain(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _other(answer: Answer, member: str) -> Answer:
    return replace(
        answer,
        outcome=Outcome.UNKNOWN,
        detail=f"other_{member}",
        transaction=None,
        transactions=(),
        invoice_id=None,
        invoice_status=None,
        not_taken=member,
    )
