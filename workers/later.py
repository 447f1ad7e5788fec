"""What a message's times come to, decided before Celery sees it: when it runs, and how long it may.

Within a third of the visibility timeout a message may wait in the broker. One that is to run later is turned into a
`later.keep` that has it as its argument: it stays unacknowledged until MongoDB has it, so a death before that has it
handed out again. Time limits never go beyond those of the task's own queue, which the leases and the broker rest on.
"""

import json
from collections.abc import Container, Mapping
from datetime import datetime, timedelta
from typing import Any

from celery import Celery
from kombu.message import Message

from config.queues import CORRELATION_HEADER, REFUSED_HEADER
from tasks.base import longest_countdown_seconds
from tasks.later_messages import LONGEST_WORD, moment_of, packed
from tasks.later_rows import LONGEST
from workers.messages import read_body

Headers = dict[str, Any]

#: The task that keeps a message.
KEEP = "later.keep"

#: By how much two clocks may differ where a time is just at its bound.
SLACK = timedelta(minutes=1)

#: What a caller is told who asks for a time too far away, or for more than may wait.
TOO_LATE = f"eta: expected a time within {LONGEST.days} days"
TOO_LONG = "eta: expected none: arguments as long as these may not wait"


def prepare(message: Message, app: Celery, revoked: Container[str], now: datetime) -> None:
    """Cap a message's time limits, and have it kept or refused when it is to run later.

    Args:
        message: As it came, held to the table of headers.
        app: The worker's application.
        revoked: Ids of tasks that this worker knows to be revoked: those are Celery's to discard.
        now: The broker's time, aware.
    """
    whole: Any = message  # the stubs take its headers for texts
    given: Headers = whole.headers or {}
    task = app.tasks.get(str(given.get("task")))
    if task is None:
        return
    whole.headers = headers = {**given, **capped(given.get("timelimit"), task, app)}
    eta = moment_of(headers.get("eta"))
    if eta is None or headers.get("id") in revoked or _has_expired(headers, now):
        return
    longest = timedelta(seconds=longest_countdown_seconds(_visibility_timeout(app)))
    if eta - now <= longest:
        return
    if headers.get("retries"):
        # No retry waits longer than this: whoever sent it has another clock.
        whole.headers = {**headers, "eta": (now + longest).isoformat()}
    elif eta - now > LONGEST + SLACK:
        whole.headers = {**headers, "eta": None, REFUSED_HEADER: TOO_LATE}
    else:
        _keep(message, headers)


def capped(given: list[float | None] | None, task: Any, app: Celery) -> Headers:  # noqa: ANN401 - Celery's task
    """Return the header with the limits that a caller asks for, none of them beyond the task's own."""
    if not given:
        return {}
    own = (task.time_limit or app.conf.task_time_limit, task.soft_time_limit or app.conf.task_soft_time_limit)
    limits = [one and min(one, most) for one, most in zip(given, own, strict=True)]
    return {"timelimit": limits}


def _visibility_timeout(app: Celery) -> float:
    return float(app.conf.broker_transport_options["visibility_timeout"])


def _has_expired(headers: Mapping[str, Any], now: datetime) -> bool:
    expires = moment_of(headers.get("expires"))
    return expires is not None and expires <= now


def _keep(message: Message, headers: Headers) -> None:
    """Turn a message into a task that keeps it; what stands in the broker stays as it came."""
    whole: Any = message  # the stubs do not know all of it
    body = read_body(whole._raw)  # noqa: SLF001 - the only place where kombu keeps the whole message
    queue = str((message.delivery_info or {}).get("routing_key"))
    word = packed(queue, headers, message.properties or {}, body)
    if len(word) > LONGEST_WORD:
        whole.headers = {**headers, "eta": None, REFUSED_HEADER: TOO_LONG}
        return
    task_id = str(headers["id"])
    whole.headers = {
        "task": KEEP, "id": f"keep-{task_id}"[:255], "lang": "py", "retries": 0, "ignore_result": True,
        "argsrepr": "", "kwargsrepr": "", CORRELATION_HEADER: headers.get(CORRELATION_HEADER) or task_id,
    }  # fmt: skip
    follow = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    message.body = json.dumps([[], {"message_secret": word}, follow])
    whole._decoded_cache = None  # noqa: SLF001 - else the old body is what is run
