"""The composition root: the one place where the world is assembled; everything downstream is given what it needs.

One world per process, made at first use, so that no client crosses a fork.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure
from structlog.contextvars import bind_contextvars

from aggregations.hot import HotReads
from aggregations.invalidation import Invalidator
from aggregations.members import only_the_chosen
from aggregations.replicas import Replicas
from aggregations.runner import AggregationRunner
from aggregations.view_desk import ViewDesk
from config.connections import database, mongo_client
from config.redaction import redact
from config.settings import Settings, load_settings
from observability.alerts import Alerts
from observability.database_refusals import refusal_in
from observability.dead_letters import DeadLetters
from payments.accepting import Acceptor
from payments.audit_entries import AuditEntries
from payments.audit_trail import Trail
from payments.card_keeping import KeepCards
from payments.card_rules import CardRules
from payments.card_sweep import CardSweep, CardSweepParts
from payments.card_vault import CardVault
from payments.cards import CardService
from payments.cms import CmsReader
from payments.contracts import Contracts
from payments.database_clock import DatabaseClock
from payments.document_marks import DocumentMarks
from payments.documents import DocumentParts, Documents
from payments.epochs import Epochs
from payments.follow import FollowOperations
from payments.forgotten import Forgotten
from payments.inbox import Inbox
from payments.invoicing import InvoiceParts, InvoiceService
from payments.money import MoneyParts, MoneyService
from payments.notices import NoticeParts, Notices
from payments.operations import OperationsLedger
from payments.ordering import FollowUpAcceptor
from payments.outbox import Outbox
from payments.owed import OwedDocuments
from payments.owed_tries import OwedTries
from payments.page_ends import PageDesk
from payments.page_times import PageTimes
from payments.projections import ProjectToCms
from payments.reactions import Reactor
from payments.reconcile import Reconciler
from payments.replay_pieces import ReplayParts
from payments.replaying import Replayer
from payments.review import ReviewDesk
from payments.sealing import Sealer
from payments.sending import Sender, Senders
from payments.sent_elsewhere import SentElsewhere
from payments.service import PaymentService, ServiceParts
from payments.settling import WordDesk
from payments.store import PaymentStore
from payments.stored_cards import CardStore
from payments.unexplained import Unexplained
from paytabs.breaker_gate import this_process
from paytabs.breaker_rules import BreakerRules
from paytabs.client import PayTabsClient
from paytabs.gated import GatedClient
from tasks.auditing import make_sealer
from tasks.caching import make_invalidator, make_runner
from tasks.gateway import breaker_name, callback_url, gated, gateway_url
from tasks.gateway_watch import SettingsWatch
from tasks.given_up import GivenUp
from tasks.heating import make_hot
from tasks.invalidating import InvalidateAtOnce
from tasks.later_rows import LaterRows
from tasks.outside import make_epochs
from tasks.owed_results import OwedResults
from tasks.own_indexes import UNBUILDABLE
from tasks.publishing import SendTask, send_task
from tasks.reacting import make_outbox, make_reactor
from tasks.slots import Slots
from tasks.timekeeping import is_awaited, seconds_left
from tasks.viewing import make_desk

log = structlog.get_logger(__name__)

#: What operators are told while no callback address is sent.
CALLBACK_ALERT = "callback_left_out"

Document = dict[str, Any]
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class World:
    """Everything a task may use."""

    settings: Settings
    client: MongoClient[Document]
    db: Database[Document]
    clock: Clock
    store: PaymentStore
    ledger: OperationsLedger
    epochs: Epochs
    sent_elsewhere: SentElsewhere
    inbox: Inbox
    alerts: Alerts
    sender: Sender
    unexplained: Unexplained
    reconciler: Reconciler
    service: PaymentService
    money: MoneyService
    review: ReviewDesk
    word: WordDesk
    documents: Documents
    owed: OwedTries
    cards: CardService
    card_sweep: CardSweep
    trail: Trail
    invoices: InvoiceService
    notices: Notices
    outbox: Outbox
    reactor: Reactor
    replayer: Replayer
    invalidator: Invalidator
    sealer: Sealer
    slots: Slots
    replicas: Replicas
    hot: HotReads
    aggregations: AggregationRunner
    views: ViewDesk
    gateway: GatedClient
    owner: str
    send: SendTask

    def close(self) -> None:
        """Close every connection."""
        self.replicas.close()
        self.client.close()
        self.gateway.close()


def utc_now() -> datetime:
    """Return the time, aware and in UTC."""
    return datetime.now(UTC)


def build_world(
    settings: Settings,
    *,
    clock: Clock | None = None,
    database_clock: Clock | None = None,
    gateway: PayTabsClient | None = None,
    breaker: BreakerRules | None = None,
    send: SendTask = send_task,
) -> World:
    """Assemble a world; each edge can be replaced by keyword.

    Args:
        settings: with the addresses of servers that answer.
        clock: aware UTC time, in place of the database's: rows are shared, so no machine's own clock is written there.
        database_clock: the database's, in place of the one that it is asked for.
        gateway: makes the calls to PayTabs.
        breaker: when to stop making them.
        send: enqueues tasks.
    """
    client = mongo_client(settings, server_selector=only_the_chosen)
    db = database(client, settings)
    by_database = database_clock or DatabaseClock(db)
    clock = clock or by_database
    owner = this_process()
    lease = timedelta(seconds=settings.lease_seconds)
    alerts = Alerts(db, clock=clock)
    hot = make_hot(settings, clock)
    watch = SettingsWatch(db, alerts, clock, breaker_name(settings))
    door = gated(
        settings, owner=owner, raise_alert=alerts.raise_alert, resolve=alerts.resolve, client=gateway, rules=breaker,
        hears=watch, in_haste=is_awaited,
    )  # fmt: skip
    ledger = OperationsLedger(db, lease=lease, now=by_database)
    pages = PageDesk(ledger, page_times(settings))
    outbox = make_outbox(db, send, lease)
    stored, vault = CardStore(db), CardVault(settings.card_key_list)
    card_rules = CardRules(stored, vault, ledger)
    companions = (
        FollowOperations(ledger),
        KeepCards(stored, vault, ledger),
        ProjectToCms(db, ledger, alerts.raise_alert, alerts.announce, alerts.resolve),
        outbox,
    )
    trail = Trail(AuditEntries(db), clock, redact)
    store = PaymentStore(client, db, clock=clock, companions=companions)
    cms = CmsReader(db)
    unexplained = Unexplained(ledger, alerts.raise_alert, alerts.resolve)
    epochs, elsewhere = make_epochs(settings, db, ledger.now, alerts), SentElsewhere(db)
    forgotten = Forgotten(
        store, ledger, door, settings.paytabs_profile, pages.times, elsewhere.of, seconds_left,
        settings.call_timeout_seconds,
    )  # fmt: skip
    sender = Sender(
        Senders(
            store=store, ledger=ledger, epochs=epochs, forgotten=forgotten, gateway=door, cms=cms,
            cards=card_rules, clock=clock, owner=owner, unexplained=unexplained,
            give_up=GivenUp(alerts, DeadLetters(db, clock=clock), clock),
            fence_seconds=settings.send_fence_seconds, call_seconds=settings.call_timeout_seconds,
            seconds_left=seconds_left, key_refused_since=watch.refused_since,
        )
    )  # fmt: skip
    reconciler = Reconciler(store, ledger, door, clock=clock, lease=lease, alert=alerts.raise_alert, pages=pages)
    service = PaymentService(
        ServiceParts(
            store=store, ledger=ledger, cms=cms, sender=sender, reconciler=reconciler, cards=card_rules, clock=clock,
            profile_id=settings.paytabs_profile, callback_url=callback_url(settings),
            return_url=settings.paytabs_return_url, pages=pages, epochs=epochs, forgotten=forgotten,
            gateway_url=gateway_url(settings),
        )
    )  # fmt: skip
    callback, back = callback_url(settings), settings.paytabs_return_url
    attempts = Acceptor(
        store, ledger, cms, card_rules, settings.paytabs_profile, callback, back, pages, gateway_url(settings),
        lambda: epochs.current().number,
    )  # fmt: skip
    money = MoneyService(
        MoneyParts(
            store=store, ledger=ledger, cms=cms, sender=sender, service=service,
            charges=attempts,
            follow_ups=FollowUpAcceptor(
                store, ledger, callback, settings.paytabs_profile, lambda: epochs.current().number
            ),
            trail=trail,
        )
    )  # fmt: skip
    invoices = InvoiceService(
        InvoiceParts(
            store=store, ledger=ledger, money=money, reconciler=reconciler, gateway=door,
            fence_seconds=settings.send_fence_seconds, clock=clock, trail=trail,
        )
    )  # fmt: skip
    notices = Notices(
        NoticeParts(
            store=store,
            ledger=ledger,
            reconciler=reconciler,
            service=service,
            clock=clock,
            alert=alerts.raise_alert,
            profile_id=settings.paytabs_profile,
            begun=lambda correlation_id: bind_contextvars(correlation_id=correlation_id),
        )
    )
    owed, contracts = OwedDocuments(db, ledger.now), Contracts(db)
    documents = Documents(
        DocumentParts(
            database=db, store=store, marks=DocumentMarks(db), contracts=contracts, clock=clock,
            alert=alerts.raise_alert, owed=owed,
        )
    )  # fmt: skip
    inbox = Inbox(db["webhook_inbox"], clock=clock, lease_seconds=settings.lease_seconds)
    cards = CardService(door, stored, vault, trail, clock, settings.paytabs_profile)
    card_sweep = CardSweep(
        CardSweepParts(
            cards=stored, vault=vault, inbox=inbox, store=store, ledger=ledger, reconciler=reconciler, clock=clock,
            profile_id=settings.paytabs_profile, alert=alerts.raise_alert, resolve=alerts.resolve,
        )
    )  # fmt: skip
    invalidator = make_invalidator(settings)
    replicas = Replicas(
        db, bound_seconds=settings.replica_lag_seconds, fallback_at_once=settings.replica_fallback_at_once
    )
    return World(
        settings=settings, client=client, db=db, clock=clock, store=store, ledger=ledger,
        epochs=epochs, sent_elsewhere=elsewhere,
        inbox=inbox,
        alerts=alerts, sender=sender, unexplained=unexplained, reconciler=reconciler, service=service, money=money,
        review=ReviewDesk(store, ledger, lease), word=WordDesk(store, cms, settings.paytabs_profile),
        documents=documents, owed=OwedTries(owed, store, contracts, clock, alerts.raise_alert),
        cards=cards, card_sweep=card_sweep, trail=trail, invoices=invoices, notices=notices,
        outbox=outbox,
        reactor=make_reactor(settings, store, outbox, owed, invalidate=InvalidateAtOnce(invalidator, db), clock=clock),
        replayer=Replayer(ReplayParts(db, ledger, clock)),
        invalidator=invalidator, sealer=make_sealer(settings, db, clock, alerts.raise_alert),
        aggregations=make_runner(settings, db, send=send, clock=clock, hot=hot, replicas=replicas),
        views=make_desk(db, clock=clock, alerts=alerts, owner=owner), gateway=door,
        slots=Slots(db, clock=clock, lease=timedelta(seconds=settings.visibility_timeout_seconds)),
        hot=hot,
        replicas=replicas,
        owner=owner, send=send,
    )  # fmt: skip


def page_times(settings: Settings) -> PageTimes:
    """Return the times of pages that are set."""
    return PageTimes(
        settings.paypage_ttl_minutes,
        timedelta(seconds=settings.page_margin_seconds),
        timedelta(seconds=settings.page_margin_other_seconds),
    )


def ensure_indexes(built: World) -> None:
    """Create the indexes that the promises lean on; harmless when they are there, and when one cannot be built."""
    for one in (
        built.store, built.ledger, built.inbox, built.cards.store, built.alerts, built.outbox, built.documents,
        built.sealer, built.slots, built.views, DeadLetters(built.db, clock=built.clock),
        LaterRows(built.db, built.ledger.now), OwedResults(built.db), built.sent_elsewhere,
    ):  # fmt: skip
        try:
            one.ensure_indexes()
        except OperationFailure as error:
            # Operators are told which are missing; whatever leans on one of them says so itself.
            if error.code not in UNBUILDABLE:
                raise
            log.warning("own_indexes_not_built", of=type(one).__name__, code=error.code)


def tell_of_callback(built: World) -> None:
    """Tell operators while our callback address is left out, since PayTabs would not take it; every process looks."""
    url, profile = built.settings.paytabs_callback_url, str(built.settings.paytabs_profile)
    if url and callback_url(built.settings) is None:
        why = "PAYTABS_CALLBACK_URL is no public https address without a port: it is left out"
        built.alerts.raise_alert(CALLBACK_ALERT, profile, why)
    else:
        built.alerts.resolve(CALLBACK_ALERT, profile)


_worlds: dict[int, World] = {}

#: For how long a process that the database refuses does not ask it again to be let in, in seconds: many tasks wait.
REFUSED_SECONDS = 2.0

#: What the database has refused a process that asked for its world, and when by the monotonic clock.
_refused: dict[int, tuple[float, Exception]] = {}


def world() -> World:
    """Return this process's world, made at first use."""
    pid = os.getpid()
    if pid not in _worlds:
        _worlds.clear()
        _raise_refusal(pid)
        built = build_world(load_settings())
        try:
            ensure_indexes(built)
            tell_of_callback(built)
            built.epochs.look()
        except BaseException as error:
            built.close()
            if isinstance(error, Exception) and refusal_in(error):
                _refused[pid] = time.monotonic(), error
            raise
        _worlds[pid] = built
    return _worlds[pid]


def _raise_refusal(pid: int) -> None:
    """Raise what the database has refused a process a moment ago."""
    at, error = _refused.pop(pid, (0.0, None))
    if error is not None and time.monotonic() - at < REFUSED_SECONDS:
        _refused[pid] = at, error
        raise error.with_traceback(None)


def world_here() -> World | None:
    """Return this process's world if it has made one."""
    return _worlds.get(os.getpid())


def use_world(replacement: World | None) -> None:
    """Replace this process's world, or forget it with None: for tests and for process shutdown."""
    old = _worlds.pop(os.getpid(), None)
    if old is not None and old is not replacement:
        old.close()
    if replacement is not None:
        _worlds[os.getpid()] = replacement
