"""What happens when: the table of reactions to events, and the reactions themselves; see `showing` for the rest.

A reaction is a verb phrase with a name of its own; it is retried by itself, and its name stands in `event_deliveries`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from bson import ObjectId
from pymongo.client_session import ClientSession

from payments import facts
from payments.contracts import Contracts
from payments.errors import PaymentsError
from payments.facts import FACTS, Milestone
from payments.payment import Snapshot
from payments.reactions import DatabaseEffect, Occasion, OutsideEffect, Reaction
from payments.store import Clock

#: What every milestone leads to. A change of what is shown that has none leads to the same, as `showing` says, for the
#: last event of the change.
_ALWAYS = ("recount_contract", "notify_cms", "invalidate_reads")

#: The reactions to each type of event, in the order in which they are sent.
EVENT_HANDLERS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        **{kind.__name__: _ALWAYS for kind in Milestone.__subclasses__()},
        facts.PaymentCompleted.__name__: (*_ALWAYS, "activate_projects", "email_client"),
    }
)


class UnknownHandler(PaymentsError):
    """Raised at start when the table names a reaction, or an event, that there is not.

    Attributes:
        names: What is named and not there.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"EVENT_HANDLERS names what is not there: {', '.join(names)}")
        self.names = tuple(names)


@dataclass(frozen=True)
class HandlerParts:
    """What the reactions need; `invalidate` is told the tags of reads that are out of date."""

    contracts: Contracts
    clock: Clock
    email_client: OutsideEffect
    notify_cms: OutsideEffect
    invalidate: Callable[[Sequence[str], str], None]


def reactions(parts: HandlerParts) -> Mapping[str, Reaction]:
    """Return every reaction by its name.

    Raises:
        UnknownHandler: the table and the reactions do not fit together.
    """
    known = {
        "recount_contract": Reaction("recount_contract", in_database=_on_contracts(parts, parts.contracts.recount)),
        "activate_projects": Reaction(
            "activate_projects", in_database=_on_contracts(parts, parts.contracts.activate_projects)
        ),
        "email_client": Reaction("email_client", outside=parts.email_client),
        "notify_cms": Reaction("notify_cms", outside=parts.notify_cms),
        "invalidate_reads": Reaction("invalidate_reads", outside=_invalidate(parts)),
    }
    check_table(EVENT_HANDLERS, known)
    return known


def check_table(table: Mapping[str, Sequence[str]], known: Mapping[str, Reaction]) -> None:
    """Check that a table names only events and reactions that there are.

    Raises:
        UnknownHandler: naming what there is not.
    """
    named = {handler for handlers in table.values() for handler in handlers}
    if missing := [*sorted(named - known.keys()), *sorted(table.keys() - FACTS.keys())]:
        raise UnknownHandler(missing)


def tags(payment_id: str, terms: Snapshot | None) -> list[str]:
    """Return the tags of every read that a change of a payment touches."""
    found = ["payments", f"payment:{payment_id}"]
    if terms and terms.contract_id:
        found += ["contracts", f"contract:{terms.contract_id}"]
    return found + ([f"client:{terms.client_id}"] if terms and terms.client_id else [])


def _on_contracts(parts: HandlerParts, act: Callable[[ObjectId, datetime, ClientSession], object]) -> DatabaseEffect:
    """Return the reaction that does something to every contract of a payment."""

    def effect(occasion: Occasion, session: ClientSession) -> str | None:
        terms = occasion.payment.snapshot
        known = terms.contract_id if terms else None
        for contract_id in parts.contracts.of_payment(occasion.event.payment_id, known, session):
            act(contract_id, parts.clock(), session)
        return None

    return effect


def _invalidate(parts: HandlerParts) -> OutsideEffect:
    def invalidate(occasion: Occasion) -> str | None:
        correlation_id = occasion.event.context.correlation_id
        parts.invalidate(tags(occasion.event.payment_id, occasion.payment.snapshot), correlation_id)
        return None

    return invalidate
