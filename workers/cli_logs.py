"""What a command that works by itself logs: warnings alone, on standard error, since standard output is its answer."""

import contextlib
import logging
import sys
from collections.abc import Iterator

import structlog

from config.logs import redact_event


@contextlib.contextmanager
def warnings_on_stderr() -> Iterator[None]:
    """Send our log lines to standard error, redacted, from warnings on; afterwards all is as it was before."""
    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact_event,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
