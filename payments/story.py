"""A payment's history read as a story: its state after each fact, the fact that decided, and how each was learnt."""

from collections.abc import Iterable, Sequence
from typing import Any

from payments.assessment import Assessment, assess
from payments.events import Event
from payments.facts import Milestone
from payments.payment import Payment, State, fold
from payments.wording import words_for

#: The task that applies raw deliveries.
DELIVERING = "webhooks.process"

#: Tasks that only ask.
ASKING = frozenset({"payments.verify", "payments.poll"})

#: Statuses that count only as the answer to our own question.
BY_QUERY = frozenset("AV")


def verdicts(history: Iterable[Event]) -> list[Assessment]:
    """Return the verdict over the payment after each event."""
    payment, found = Payment(), []
    for event in history:
        payment = fold([event.fact], payment)
        found.append(assess(payment))
    return found


def decided_by(history: Sequence[Event], found: Sequence[Assessment]) -> dict[str, Any] | None:
    """Return the event since which the payment has had its state; None when it has no history.

    `observed` is the one since which it would have had its state but for what a human has to decide.

    Args:
        history: The payment's events.
        found: The verdict after each.
    """
    if not history:
        return None
    event = history[_since([verdict.state for verdict in found])]
    observed = history[_since([verdict.base_state for verdict in found])]
    return {"state": found[-1].state, **_named(event), "observed": None if observed is event else _named(observed)}


def _since(states: Sequence[State]) -> int:
    """Return the place since which the last state has stood."""
    return next((place for place in range(len(states) - 1, 0, -1) if states[place - 1] != states[-1]), 0)


def _named(event: Event) -> dict[str, Any]:
    return {"version": event.version, "type": event.type, "words": words_for(event.type, event.content["data"])}


def learnt(event: Event, delivery_id: str | None) -> str:
    """Say how a fact came to be known.

    Args:
        event: The fact's event.
        delivery_id: The raw delivery that was being applied when it was written, if it is known.
    """
    source = event.context.source
    if isinstance(event.fact, Milestone):
        return "followed from the facts before it"
    if event.type == "TransactionObserved" and source in ASKING:
        return "PayTabs' answer to our query"
    if delivery_id is None and source != DELIVERING:
        return "PayTabs' answer to our request" if event.type == "TransactionObserved" else "written by us"
    which = f"delivery {delivery_id}" if delivery_id else "a delivery that is not finished or not kept any more"
    if event.content["data"].get("status") in BY_QUERY:
        return f"PayTabs' answer to our query, asked because of {which}"
    return f"told by {which}"
