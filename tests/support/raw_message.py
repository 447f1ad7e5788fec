"""A task message as any language can write it: Celery's protocol 2, put into a Redis list by hand.

The least that works: JSON inside base64 inside JSON. `id` is the task's id, under which its result is found; `body` is
[positional arguments, keyword arguments, {callbacks, errbacks, chain, chord}].
"""

import base64
import json
from typing import Any
from uuid import uuid4

import redis

Json = dict[str, Any]


def raw_message(
    task: str, arguments: Json, *, queue: str, correlation_id: str | None = None, task_id: str | None = None
) -> Json:
    """Build the message.

    Args:
        task: The task's public name.
        arguments: Its keyword arguments.
        queue: The queue it is meant for, which is also the list's key.
        correlation_id: What everything that follows from it is found under; the task's id when left out.
        task_id: A UUID; a fresh one when left out.
    """
    task_id = task_id or str(uuid4())
    named = {"x-correlation-id": correlation_id} if correlation_id else {}
    body = [[], arguments, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "js", "task": task, "id": task_id, **named},
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
            "body_encoding": "base64",
        },
    }


def push(redis_url: str, message: Json) -> str:
    """Put a message into its queue and return the task's id."""
    queue = message["properties"]["delivery_info"]["routing_key"]
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(queue, json.dumps(message))
    return str(message["headers"]["id"])
