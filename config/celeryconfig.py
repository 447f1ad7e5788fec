"""Celery's options and nothing else; each surprising one says why.

Decided here: a message is acknowledged only after its task ended; a lost child is retried, a lost worker's messages are
back within the visibility timeout and one second; and a caller is not held for seconds when the broker is gone.
"""

from typing import Any

from kombu import Queue

from config.queues import DEFAULT_QUEUE, QUEUES, door_of, queue_of, route
from config.settings import Settings, require

#: Queues whose tasks call PayTabs, with their lanes: they keep the short limits of the time chain, under the lease.
GATEWAY_QUEUES = frozenset({"payments", "webhooks", "reconcile"})

#: Other tasks that hold a lease while they run: one that outlived it would do what another has begun already.
LEASED_TASKS = frozenset({"events.handle"})

#: Seconds between two looks for messages that a lost worker left; the default, 10 x 10, would add up to 100.
RESTORE_INTERVAL_SECONDS = 1

#: Seconds until a restore lock is free again whose holder was killed while restoring; the default is 300.
RESTORE_LOCK_SECONDS = 10

#: Seconds to connect to the broker or the result store.
CONNECT_SECONDS = 2

#: Seconds for one command to the result store: what it does not take is kept, and a task must not be held by it.
RESULT_SECONDS = 2

#: Seconds for one command, so that a server that vanished without closing the connection is noticed.
COMMAND_SECONDS = 5


class QueueTimeLimits:
    """Gives every task the time limits of the queue that it travels on, or the short ones when it holds a lease."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def annotate(self, task: Any) -> dict[str, float]:  # noqa: ANN401 - Celery's task has no useful type
        """Return the attributes that Celery sets on ``task``."""
        return time_limits(self._settings, task.name)


def time_limits(settings: Settings, task_name: str) -> dict[str, float]:
    """Return the soft and hard limit of a task, as Celery's task attributes."""
    if task_name in LEASED_TASKS or door_of(queue_of(task_name)) in GATEWAY_QUEUES:
        return {"soft_time_limit": settings.soft_time_limit_seconds, "time_limit": settings.hard_time_limit_seconds}
    return {
        "soft_time_limit": settings.other_soft_time_limit_seconds,
        "time_limit": settings.other_hard_time_limit_seconds,
    }


def celery_config(settings: Settings) -> dict[str, Any]:
    """Return every Celery option that differs from its default, or that the time chain rests on.

    Raises:
        SettingsError: REDIS_URL is not set.
    """
    return {**_transport(settings), **_delivery(settings), **_worker(settings), **_results(settings)}


def _transport(settings: Settings) -> dict[str, Any]:
    return {
        "broker_url": require(settings.redis_url, "REDIS_URL"),
        "broker_connection_timeout": CONNECT_SECONDS,
        "broker_connection_retry_on_startup": True,
        # None: a worker waits for its broker for ever instead of giving up after 100 tries.
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "visibility_timeout": settings.visibility_timeout_seconds,
            "unacked_restore_interval": RESTORE_INTERVAL_SECONDS,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": RESTORE_LOCK_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": COMMAND_SECONDS,
            "socket_keepalive": True,
            "client_name": "nestcms-workers",
        },
        # A caller learns within a second that the broker is gone; what was accepted is in MongoDB by then.
        "task_publish_retry": True,
        "task_publish_retry_policy": {"max_retries": 2, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2},
    }


def _delivery(settings: Settings) -> dict[str, Any]:
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "enable_utc": True,
        "timezone": "UTC",
        "task_queues": tuple(Queue(name, routing_key=name) for name in QUEUES),
        "task_create_missing_queues": False,
        "task_default_queue": DEFAULT_QUEUE,
        "task_routes": (route,),
        "task_acks_late": True,
        # A killed child: sent again, with its wait. Where too many were lost over a task, it is not begun again: see
        # tasks.deliveries. Rejecting stays for the case that the retry cannot be sent.
        "task_retry_on_worker_lost": True,
        "task_reject_on_worker_lost": True,
        # Flower learns of a start by its event; writing it as a result would make a dead result store stop every task.
        "task_track_started": False,
        "task_soft_time_limit": settings.other_soft_time_limit_seconds,
        "task_time_limit": settings.other_hard_time_limit_seconds,
        "task_annotations": (QueueTimeLimits(settings),),
    }


def _worker(settings: Settings) -> dict[str, Any]:
    return {
        "worker_concurrency": settings.worker_concurrency,
        "worker_prefetch_multiplier": 1,
        # Waits for running tasks after SIGTERM, if REMAP_SIGTERM=SIGQUIT was in the environment at start.
        "worker_soft_shutdown_timeout": settings.soft_shutdown_seconds,
        "worker_enable_soft_shutdown_on_idle": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_send_task_events": True,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # A late beat must not start a heap of old ticks, and must notice a changed clock soon.
        "beat_scheduler": "workers.beat:SteadyScheduler",
        "beat_max_loop_interval": 5,
        "beat_cron_starting_deadline": 60,
        "beat_schedule_filename": str(settings.local_dir / "celerybeat-schedule"),
    }


def _results(settings: Settings) -> dict[str, Any]:
    return {
        "result_backend": require(settings.result_url, "RESULT_URL"),
        "result_serializer": "json",
        "result_accept_content": ["json"],
        "result_expires": settings.result_expires_seconds,
        "redis_socket_connect_timeout": CONNECT_SECONDS,
        "redis_socket_timeout": RESULT_SECONDS,
        "redis_socket_keepalive": True,
        # A result that cannot be stored must not hold its task past the soft limit: MongoDB keeps it, see tasks.results
        "result_backend_transport_options": {
            "retry_policy": {"max_retries": 1, "interval_start": 0.2, "interval_step": 0.2, "interval_max": 1},
        },
    }
