"""The receiver as gunicorn serves it: real settings, real clients, made once per process at import.

Celery is imported and its route to the broker prepared before the first request: imported inside one, it races between
threads and fails the first requests.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from urllib.parse import urlsplit, urlunsplit

import pymongo
import structlog
from celery import Celery
from flask import Flask
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import PyMongoError

from config.connections import Document, database, mongo_client
from config.settings import Settings, load_settings, require
from observability.alerts import Alerts
from payments.database_clock import DatabaseClock
from payments.errors import PaymentsError
from payments.inbox import COLLECTION, Inbox
from payments.operations import OperationsLedger
from payments.returning import Returned, Returns
from payments.store import PaymentStore
from paytabs.errors import MalformedBody
from paytabs.responses import parse_notification
from tasks.database_alerts import tell_if_refused
from webhooks.app import create_app
from webhooks.budget import FailureBudget
from webhooks.notices import NOTICE_PATH
from webhooks.receiver import PROCESS_TASK, VERIFY_TASK, Receiver
from webhooks.returns import RETURN_PATH
from webhooks.tls import TlsPolicy
from workers.clock_watch import ClockWatch
from workers.publishing import Publisher

log = structlog.get_logger(__name__)

#: Seconds that a health check, and a payer who comes back, give the database.
PING_SECONDS = 1.0


def build(settings: Settings, celery_app: Celery) -> Flask:
    """Return the receiver on the servers that ``settings`` name.

    Args:
        settings: Where everything is.
        celery_app: Through which tasks are sent; from here on with short timeouts, so it must not be a worker's.
    """
    client = mongo_client(settings, timeout_seconds=settings.inbox_timeout_seconds)
    publisher = Publisher(celery_app, connections=settings.receiver_threads)
    touch(celery_app)
    budget = failure_budget(settings)
    db = database(client, settings)
    alerts = Alerts(db, clock=DatabaseClock(db))
    app = create_app(
        Receiver(
            inbox=Inbox(database(client, settings)[COLLECTION], lease_seconds=settings.lease_seconds),
            keys=server_keys(settings),
            problem_in=partial(problem_in, settings.paytabs_profile),
            enqueue=lambda delivery_id, correlation_id: publisher.send(
                PROCESS_TASK, {"delivery_id": delivery_id}, correlation_id
            ),
            request_verify=lambda tran_ref, correlation_id: publisher.send(
                VERIFY_TASK, {"tran_ref": tran_ref, "payer_returned": True}, correlation_id
            ),
            database_answers=lambda: answers(client),
            budget=budget,
            allowed_urls=settings.return_allowed_urls,
            returned=returned_from(client, database(client, settings)),
            trusted_proxies=tuple(ip_network(network) for network in settings.trusted_proxies),
            tls=TlsPolicy(required=settings.require_tls, public_url=public_url(settings)),
            not_stored=lambda error: tell_if_refused(error, str(settings.redis_url), alerts),
        )
    )
    # For whoever stops the receiver without ending its process.
    app.extensions["mongo_client"], app.extensions["failure_budget"] = client, budget
    return app


def returned_from(
    client: MongoClient[Document], db: Database[Document]
) -> Callable[[str, str | None], Returned | None]:
    """Return who finds the page that a payer comes back from; a payer waits a second for it, and goes on without."""
    ledger = OperationsLedger(db, lease=timedelta(0))
    pages = Returns(ledger, PaymentStore(client, db, clock=DatabaseClock(db)))

    def find(tran_ref: str, cart_id: str | None) -> Returned | None:
        try:
            with pymongo.timeout(PING_SECONDS):
                return pages.find(tran_ref, cart_id)
        except (PyMongoError, PaymentsError, KeyError, ValueError, TypeError) as error:
            log.warning("return_not_found_out", tran_ref=tran_ref, reason=type(error).__name__)
            return None

    return find


def failure_budget(settings: Settings) -> FailureBudget:
    """Return the senders' budgets, counted on the cache's server for all processes together."""
    return FailureBudget(
        require(settings.cache_url, "CACHE_URL"),
        allowed=settings.receiver_failure_budget,
        window_seconds=settings.receiver_failure_window_seconds,
    )


def public_url(settings: Settings) -> str | None:
    """Return the https address under which payers and PayTabs know the receiver, or None when none is set."""
    known = {settings.paytabs_return_url: RETURN_PATH, settings.paytabs_callback_url: NOTICE_PATH}
    for url, route in known.items():
        parts = urlsplit(url or "")
        if parts.scheme == "https":
            return urlunsplit(parts._replace(path=parts.path.removesuffix(route), query="")).rstrip("/")
    return None


def touch(celery_app: Celery) -> None:
    """Make Celery do at once what it would otherwise do in the first request's thread."""
    celery_app.finalize()
    _ = celery_app.amqp.router, celery_app.amqp.send_task_message, celery_app.backend


def server_keys(settings: Settings) -> tuple[str, ...]:
    """Return the current server key and the previous one, if there is one."""
    keys = (settings.paytabs_serverk, settings.paytabs_serverk_previous)
    return tuple(key.get_secret_value() for key in keys if key is not None)


def problem_in(profile_id: int, body: bytes) -> str | None:
    """Say which member makes a body no notification of ours, or None when it is one, however much it lacks."""
    try:
        notice = parse_notification(body)
    except MalformedBody as error:
        return str(error)
    return None if notice.profile_id == profile_id else f"profile_id: expected {profile_id}"


def answers(client: MongoClient[Document]) -> bool:
    """Say whether the database's primary answers within a second."""
    try:
        with pymongo.timeout(PING_SECONDS):
            client.admin.command("ping")
    except PyMongoError:
        return False
    return True


def _default() -> Flask:
    from workers.app import app as celery_app  # noqa: PLC0415 - a process; tests build theirs without it

    settings = load_settings()
    ClockWatch(settings).start()
    return build(settings, celery_app)


def __getattr__(name: str) -> Flask:
    """Build the process's own application when gunicorn asks for ``app``, once, before it serves."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = built = _default()
    return built
