"""How reactions are put together: the outbox they are owed in, and who they reach."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from pymongo.database import Database

from config.queues import queue_of
from config.settings import Settings, require
from observability.alerts import Alerts
from observability.dead_letters import DeadLetters, Kind, Letter, letter_id
from payments.cms_webhook import NotifyCms
from payments.contracts import Contracts
from payments.database_clock import DatabaseClock
from payments.handlers import EVENT_HANDLERS, HandlerParts, reactions
from payments.mail import ConfirmToClient, MailServer
from payments.outbox import Outbox, Owed
from payments.owed import Kind as Missing
from payments.owed import OwedDocuments
from payments.reactions import ReactionParts, Reactor
from payments.showing import owed_besides
from payments.store import Clock, PaymentStore
from payments.stored_cards import CardStore
from paytabs.resilience import PARKED_WORK
from tasks.publishing import SendTask

Document = dict[str, Any]

#: The task that does a reaction.
HANDLE = "events.handle"


def make_outbox(db: Database[Document], send: SendTask, lease: timedelta) -> Outbox:
    """Return the outbox whose rows are announced on the queue `events`."""

    def announce(event_id: str, handler: str, correlation_id: str) -> bool:
        return send(HANDLE, correlation_id=correlation_id, event_id=event_id, handler=handler)

    return Outbox(db, EVENT_HANDLERS, announce, lease=lease, besides=owed_besides)


def make_reactor(
    settings: Settings,
    store: PaymentStore,
    outbox: Outbox,
    missing: OwedDocuments,
    *,
    invalidate: Callable[[Sequence[str], str], None],
    clock: Clock,
) -> Reactor:
    """Return who does reactions; `invalidate` is told the tags of reads that are out of date.

    A contract that is not there is noted as `missing`, and counted once it is.

    Raises:
        UnknownHandler: the table names a reaction that there is not.
    """
    db = outbox.rows.database
    known = reactions(
        HandlerParts(
            contracts=Contracts(db, partial(missing.owe, Missing.CONTRACTS)),
            clock=clock,
            email_client=ConfirmToClient(db, mail_server(settings)),
            notify_cms=NotifyCms(settings.cms_webhook_url, _secret(settings), CardStore(db), DatabaseClock(db)),
            invalidate=invalidate,
        )
    )
    letters, alerts = DeadLetters(db, clock=clock), Alerts(db, clock=clock)

    def give_up(owed: Owed, reason: str) -> None:
        letters.keep(_letter(owed, reason, clock))
        alerts.raise_alert("reaction_given_up", owed.handler, f"{owed.event_id}: {reason}", subject=owed.event_id)

    return Reactor(ReactionParts(db.client, store, outbox, known, clock, PARKED_WORK, give_up))


def mail_server(settings: Settings) -> MailServer | None:
    """Return the mail server that is set, if one is."""
    if settings.smtp_host is None:
        return None
    return MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        sender=require(settings.mail_from, "MAIL_FROM"),
        security=settings.smtp_security,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
    )


def _secret(settings: Settings) -> str:
    return settings.cms_webhook_secret.get_secret_value() if settings.cms_webhook_secret else ""


def _letter(owed: Owed, reason: str, clock: Clock) -> Letter:
    arguments = {"event_id": owed.event_id, "handler": owed.handler}
    return Letter(
        letter_id=letter_id(HANDLE, owed.delivery_id), kind=Kind.GIVEN_UP, at=clock(), error=reason.partition(":")[0],
        text=reason, queue=queue_of(HANDLE), task=HANDLE, correlation_id=owed.correlation_id,
        arguments=json.dumps({"args": [], "kwargs": arguments}), intact=True, attempts=owed.attempts,
    )  # fmt: skip
