"""Reacting to events: take a reaction on, do it, and let go of it whatever comes of that.

Effects in our database commit with the delivery row's end and so exist once. What leaves the system, a mail or a
webhook, is sent at least once under an id that never changes, and is marked as done after that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from observability.database_refusals import refusal_in
from payments.errors import NeverAgain, PaymentsError
from payments.events import Event
from payments.outbox import Outbox, Owed
from payments.payment import Payment, fold
from payments.store import Clock, PaymentStore
from paytabs.fault_points import fault_point
from paytabs.resilience import BackoffPolicy, spread

Document = dict[str, Any]

#: How long a reaction waits at least while the database refuses its effect, in seconds.
REFUSED_SECONDS = 30.0


@dataclass(frozen=True)
class Occasion:
    """What a reaction is about: an event, and everything known of its payment up to now."""

    event: Event
    payment: Payment
    history: tuple[Event, ...]

    @property
    def at_event(self) -> Payment:
        """Return what was known of the payment when the event was committed."""
        return fold(one.fact for one in self.history if one.version <= self.event.version)


#: Writes into our database within the given transaction; returns a note for operators, or nothing.
DatabaseEffect = Callable[[Occasion, ClientSession], str | None]

#: Tells somebody outside; returns a note for operators, or nothing.
OutsideEffect = Callable[[Occasion], str | None]


@dataclass(frozen=True)
class Reaction:
    """One reaction by name; exactly one of its two effects is given."""

    name: str
    in_database: DatabaseEffect | None = None
    outside: OutsideEffect | None = None


@dataclass(frozen=True)
class ReactionParts:
    """What reacting needs."""

    client: MongoClient[Document]
    store: PaymentStore
    outbox: Outbox
    reactions: Mapping[str, Reaction]
    clock: Clock
    policy: BackoffPolicy
    give_up: Callable[[Owed, str], None]


class Reactor:
    """Does reactions."""

    def __init__(self, parts: ReactionParts) -> None:
        """Keep what reacting needs."""
        self._parts = parts

    def handle(self, event_id: str, handler: str) -> dict[str, Any]:
        """Do what is owed for an event.

        Returns:
            `result`: done, not_due (done before, in other hands, or not to be tried yet), waiting or given_up.

        Raises:
            PyMongoError: the database refuses it until an operator acts; it waits.
        """
        owed = self._parts.outbox.claim(event_id, handler, self._parts.clock())
        if owed is None:
            return {"event_id": event_id, "handler": handler, "result": "not_due"}
        fault_point("handler_claimed", handler)
        try:
            self._react(owed, self._parts.reactions[handler])
            result = "done"
        except Exception as error:  # noqa: BLE001 - nobody expects it, and it must not be tried every minute for ever
            result = self._failed(owed, error)
        return {"event_id": event_id, "handler": handler, "result": result}

    def _react(self, owed: Owed, reaction: Reaction) -> None:
        occasion = self._occasion(owed)
        if reaction.in_database is not None:
            self._within_transaction(owed, occasion, reaction.in_database)
        elif reaction.outside is not None:
            note = reaction.outside(occasion)
            fault_point("handler_effected", owed.handler)
            self._parts.outbox.finish(owed, self._parts.clock(), note)
        fault_point("handler_done", owed.handler)

    def _within_transaction(self, owed: Owed, occasion: Occasion, effect: DatabaseEffect) -> None:
        def body(session: ClientSession) -> None:
            if self._parts.outbox.finish(owed, self._parts.clock(), None, session):
                effect(occasion, session)
                fault_point("handler_in_transaction", owed.handler)

        with pymongo.timeout(self._parts.client.options.timeout), self._parts.client.start_session() as session:
            session.with_transaction(
                body,
                read_concern=ReadConcern("snapshot"),
                write_concern=WriteConcern("majority", j=True),
                read_preference=ReadPreference.PRIMARY,
            )

    def _occasion(self, owed: Owed) -> Occasion:
        history = tuple(self._parts.store.load(owed.payment_id))
        event = next((one for one in history if one.event_id == owed.event_id), None)
        if event is None:
            raise NeverAgain("the event is not in its payment's history")
        return Occasion(event, fold(one.fact for one in history), history)

    def _failed(self, owed: Owed, error: Exception) -> str:
        policy, now = self._parts.policy, self._parts.clock()
        reason = _told(error)
        if refusal_in(error):
            # It lasts until an operator acts: that is no try of the reaction's.
            self._parts.outbox.postpone(owed, _later(now, spread(REFUSED_SECONDS)), reason)
            raise error
        age = (now - owed.owed_since).total_seconds()
        if isinstance(error, NeverAgain) or not policy.allows(owed.attempts, age):
            if self._parts.outbox.give_up(owed, reason):
                self._parts.give_up(owed, reason)
            return "given_up"
        self._parts.outbox.postpone(owed, _later(now, wait_after(error, owed.attempts, policy)), reason)
        return "waiting"


def wait_after(error: Exception, attempts: int, policy: BackoffPolicy) -> float:
    """Draw how long a reaction waits after an error, in seconds: as long as who was told asked for, and a draw more."""
    return policy.delay(attempts, at_least=getattr(error, "retry_after_seconds", None) or 0.0)


def _told(error: Exception) -> str:
    """Return what is kept of an error: of one whose text is not ours only its name, since it may quote documents."""
    if isinstance(error, PyMongoError):
        return f"{type(error).__name__}: code {getattr(error, 'code', None)}"
    text = str(error) if isinstance(error, PaymentsError | OSError) else "not foreseen"
    return f"{type(error).__name__}: {text}"[:500]


def _later(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
