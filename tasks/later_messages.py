"""A message that waits: how it is written down, and how it goes back into its queue under its own task's id."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from pydantic import TypeAdapter, ValidationError

from config.queues import REFUSED_HEADER, SINCE_HEADER
from payments.card_vault import CardVault

Json = dict[str, Any]

#: Properties of a message that outlive its way through the broker.
LASTING = ("correlation_id", "reply_to", "priority")

#: The longest word: half of what the broker takes, since the word is sent once more where it cannot be kept at once.
LONGEST_WORD = 500_000

_MOMENT = TypeAdapter(datetime)


def packed(queue: str, headers: Mapping[str, Any], properties: Mapping[str, Any], body: object) -> str:
    """Return a message as one word: text that holds nothing readable, since arguments are shown in many places."""
    lasting = {name: properties[name] for name in LASTING if properties.get(name) is not None}
    message = {"queue": queue, "headers": dict(headers), "properties": lasting, "body": body}
    return base64.b64encode(json.dumps(message, ensure_ascii=False).encode()).decode()


def unpacked(word: str) -> Json:
    """Return the message again: its `queue`, `headers`, `properties` and `body`.

    Raises:
        ValueError: it is none.
    """
    message = json.loads(base64.b64decode(word, validate=True))
    if not isinstance(message, dict) or not {"queue", "headers", "properties", "body"} <= message.keys():
        raise ValueError("expected a message")
    return message


def moment_of(value: object) -> datetime | None:
    """Return a header's time, aware; without a zone it is UTC, as Celery has it. None for what is no time."""
    if not isinstance(value, str):
        return None
    try:
        read = _MOMENT.validate_python(value)
    except ValidationError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def refused(message: Json, why: str) -> Json:
    """Return a message that fails at once, with a sentence for its caller."""
    return {**message, "headers": {**message["headers"], "eta": None, REFUSED_HEADER: why}}


def put_back(app: Celery, message: Json) -> None:
    """Put a message into its queue, to be run now, under its own task's id and everything else that it had.

    It waits for its turn from now on, whatever it said before.

    Raises:
        kombu.exceptions.OperationalError: the broker did not take it.
    """
    headers = {**message["headers"], "eta": None, SINCE_HEADER: app.now().isoformat(timespec="seconds")}
    with app.producer_or_acquire() as producer:
        producer.publish(
            message["body"], exchange="", routing_key=message["queue"], serializer="json", headers=headers,
            delivery_mode=2, retry=True, retry_policy=app.conf.task_publish_retry_policy,
            **message["properties"],
        )  # fmt: skip


def locked(word: str, vault: CardVault, *, secret: bool) -> str | bytes:
    """Return what is kept of a message: encrypted where its arguments have a token.

    Raises:
        InvalidArgument: there is no key to encrypt it with.
    """
    return vault.lock(word) if secret else word


def opened(kept: str | bytes, vault: CardVault) -> Json | None:
    """Return a kept message; None when none of the keys opens it.

    Raises:
        InvalidArgument: there is no key any more.
    """
    word = vault.unlock(kept) if isinstance(kept, bytes) else kept
    return unpacked(word) if word is not None else None
