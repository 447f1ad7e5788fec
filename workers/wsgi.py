"""The receiver as gunicorn serves it: real settings, real clients, made once per process at import.

Celery is imported and its route to the broker prepared before the first request: imported inside one, it races between
threads and fails the first requests.
"""

import pymongo
from celery import Celery
from flask import Flask
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from config.connections import Document, database, mongo_client
from config.settings import Settings, load_settings
from payments.inbox import COLLECTION, Inbox
from paytabs.errors import MalformedBody
from paytabs.responses import parse_notification
from webhooks.app import create_app
from webhooks.receiver import PROCESS_TASK, VERIFY_TASK, Receiver
from workers.publishing import Publisher

#: Seconds that a health check gives the database.
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
    app = create_app(
        Receiver(
            inbox=Inbox(database(client, settings)[COLLECTION], lease_seconds=settings.lease_seconds),
            keys=server_keys(settings),
            problem_in=problem_in,
            enqueue=lambda delivery_id, correlation_id: publisher.send(
                PROCESS_TASK, {"delivery_id": delivery_id}, correlation_id
            ),
            request_verify=lambda tran_ref, correlation_id: publisher.send(
                VERIFY_TASK, {"tran_ref": tran_ref, "payer_returned": True}, correlation_id
            ),
            database_answers=lambda: answers(client),
            allowed_urls=settings.return_allowed_urls,
        )
    )
    app.extensions["mongo_client"] = client  # for whoever stops the receiver without ending its process
    return app


def touch(celery_app: Celery) -> None:
    """Make Celery do at once what it would otherwise do in the first request's thread."""
    celery_app.finalize()
    _ = celery_app.amqp.router, celery_app.amqp.send_task_message, celery_app.backend


def server_keys(settings: Settings) -> tuple[str, ...]:
    """Return the current server key and the previous one, if there is one."""
    keys = (settings.paytabs_serverk, settings.paytabs_serverk_previous)
    return tuple(key.get_secret_value() for key in keys if key is not None)


def problem_in(body: bytes) -> str | None:
    """Say which member makes a body no notification, or None when it is one."""
    try:
        parse_notification(body)
    except MalformedBody as error:
        return str(error)
    return None


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

    return build(load_settings(), celery_app)


def __getattr__(name: str) -> Flask:
    """Build the process's own application when gunicorn asks for ``app``, once, before it serves."""
    if name != "app":
        raise AttributeError(name)
    globals()["app"] = built = _default()
    return built
