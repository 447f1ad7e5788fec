"""A worker's pool of processes, made ready for a new connection: one that ended while nobody looked must not stop it.

Celery notes that a process has ended by forgetting its descriptor, and removes it from the pool a moment later. Where
the connection is lost between the two, no connection after that could be served by the pool.
"""

from typing import Any

import structlog

log = structlog.get_logger(__name__)


def mend(pool: Any) -> None:  # noqa: ANN401 - Celery's pool of processes, or another without any
    """Remove the processes that have ended, and have those looked at again that were taken for ended."""
    processes: Any = getattr(pool, "_pool", None)
    if not hasattr(processes, "maintain_pool"):
        return
    if any(is_forgotten(one) for one in tuple(processes._pool)):  # noqa: SLF001 - the only list of them
        processes.maintain_pool()
    for one in tuple(processes._pool):  # noqa: SLF001 - as above
        if is_forgotten(one) and one.exitcode is None:
            log.warning("process_looked_at_again", pid=one.pid)
            del one._sentinel_poll  # noqa: SLF001 - Celery makes another where there is none


def is_forgotten(process: Any) -> bool:  # noqa: ANN401 - a process of the pool
    """Tell whether Celery has forgotten the descriptor by which it sees the process end."""
    return getattr(process, "_sentinel_poll", 0) is None
