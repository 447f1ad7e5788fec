"""How the receiver hands tasks over: within a second, and for a moment not at all once the broker has failed.

What is not sent waits in MongoDB for a sweep, so that a dead broker may cost a delay but never a delivery's answer.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery

from tasks.publishing import enqueue

#: Seconds for which nothing is sent after a failure: a frozen broker would hold every thread for its timeout.
PAUSE_SECONDS = 2.0

#: Seconds to connect to the broker and for one command; PayTabs waits for the receiver's answer meanwhile.
CONNECT_SECONDS, COMMAND_SECONDS = 0.3, 0.6


class BrokerPaused(Exception):
    """Raised when nothing was sent because the broker has just failed; the sweep sends it."""


class Publisher:
    """Sends tasks without waiting for their result.

    Args:
        app: The Celery application; its connections to the broker get this module's short timeouts.
        connections: How many threads may send at once.
        pause_seconds: How long to leave a failed broker alone.
        clock: A monotonic clock.
    """

    def __init__(
        self,
        app: Celery,
        *,
        connections: int = 16,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        options = dict(app.conf.broker_transport_options)
        app.conf.update(
            broker_pool_limit=connections,
            broker_connection_timeout=CONNECT_SECONDS,
            broker_transport_options={
                **options,
                "socket_connect_timeout": CONNECT_SECONDS,
                "socket_timeout": COMMAND_SECONDS,
                # Without it kombu sleeps two seconds between connecting twice, whatever `retry` says.
                "max_retries": 0,
            },
        )
        self._app = app
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._closed_until = float("-inf")

    def send(self, task: str, arguments: Mapping[str, Any], correlation_id: str) -> None:
        """Send ``task`` once, to its queue; a repeated notice adds nothing while the first one's message waits.

        Raises:
            BrokerPaused: The broker failed a moment ago.
            kombu.exceptions.OperationalError: It failed now.
        """
        if self._clock() < self._closed_until:
            raise BrokerPaused
        try:
            # A result is not waited for: subscribing to it would talk to a second server on the request's time.
            enqueue(self._app, task, arguments, correlation_id, retry=False)
        except Exception:
            self._closed_until = self._clock() + self._pause_seconds
            raise
