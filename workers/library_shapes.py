"""What we override in Celery and Kombu, as it looked when we did: another look means a version nobody has tried.

A worker whose library has other methods than ours stand in for would lose messages in silence; it does not start.
"""

import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

#: Each method that one of ours overrides or stands on, and the names of its parameters.
SHAPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "kombu.transport.redis:Channel.close": "self",
        "kombu.transport.redis:Channel.conn_or_acquire": "self client",
        "kombu.transport.redis:Channel._brpop_read": "self options",
        "kombu.transport.redis:Channel._connparams": "self asynchronous",
        "kombu.transport.redis:Channel._flush_brpop_reauth": "self",
        "kombu.transport.redis:Channel._handle_message": "self client r",
        "kombu.transport.redis:Channel._q_for_pri": "self queue pri",
        "kombu.transport.redis:Channel._queue_bind": "self exchange routing_key pattern queue",
        "kombu.transport.redis:QoS.ack": "self delivery_tag",
        "kombu.transport.redis:QoS.append": "self message delivery_tag",
        "kombu.transport.redis:QoS.reject": "self delivery_tag requeue",
        "kombu.transport.redis:QoS.restore_by_tag": "self tag client leftmost",
        "kombu.transport.redis:QoS.restore_unacked": "self client",
        "kombu.transport.redis:QoS.restore_visible": "self start num interval",
        "kombu.transport.virtual:QoS.ack": "self delivery_tag",
        "kombu.transport.virtual:QoS.append": "self message delivery_tag",
        "kombu.transport.virtual:QoS.restore_unacked_once": "self stderr",
        "kombu.transport.virtual:Channel._get_message_priority": "self message reverse",
        "kombu.transport.virtual:Transport._deliver": "self message queue",
        "kombu.connection:Connection.ensure_connection": "self args kwargs",
        "celery.worker.consumer:Consumer.connect": "self",
        "celery.worker.consumer:Consumer.create_task_handler": "self promise",
        "celery.worker.consumer:Consumer.ensure_connected": "self conn",
        "celery.worker.consumer:Consumer.on_connection_error_after_connected": "self exc",
        "celery.worker.consumer:Consumer.on_connection_error_before_connected": "self exc",
        "celery.worker.loops:asynloop": "obj connection consumer blueprint hub qos heartbeat clock hbrate",
    }
)

#: What our methods use of the libraries' own ones, each with the method in which it stands.
USES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "kombu.transport.redis:Channel._brpop_read": r"_queue_cycle\.rotate\(.*self\._in_poll = None",
        "kombu.transport.redis:Channel.close": r"self\._closing = True.*if self\._in_poll.*super\(\)\.close\(\)",
        "kombu.transport.redis:Channel._get_pool": r"params = self\._connparams.*ConnectionPool\(\*\*params\)",
        "redis.connection:AbstractConnection.connect_check_health": r"self\.redis_connect_func\(self\)",
        "kombu.transport.redis:MultiChannelPoller.maybe_restore_messages": r"except channel\.connection_errors",
        "kombu.transport.virtual:Channel.basic_consume": r"self\.qos\.append\(message, message\.delivery_tag\)",
        "celery.worker.consumer:Consumer.__init__": r"if not hasattr\(self, 'loop'\)",
        "celery.worker.consumer:Consumer.start": r"recoverable_errors = self\.connection_errors.*except recoverable",
    }
)


def misfits(shapes: Mapping[str, str] = SHAPES, uses: Mapping[str, str] = USES) -> list[str]:
    """Name what looks otherwise than ours was written for, each with what was expected."""
    found = [f"{name}: expected the parameters ({expected})" for name, expected in shapes.items()
             if parameters(named(name)) != expected]  # fmt: skip
    return found + [
        f"{name}: expected {expected}"
        for name, expected in uses.items()
        if (method := named(name)) is None or not re.search(expected, inspect.getsource(method), re.DOTALL)
    ]


def named(name: str) -> Any:  # noqa: ANN401 - a function or nothing
    """Return what a name such as ``module:Class.method`` stands for, None for nothing."""
    module, _, path = name.partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


def parameters(function: Any) -> str | None:  # noqa: ANN401 - a function or nothing
    """Return the names of a function's parameters, None where there is none."""
    return None if function is None else " ".join(inspect.signature(function).parameters)
