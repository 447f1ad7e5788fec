"""How every process logs: one line per occurrence, JSON for machines, readable on a terminal, nothing secret in it.

The libraries' own lines (Celery, Flask, gunicorn, PyMongo) travel the same way, so that nothing escapes the redaction.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.redaction import redact_member

LogFormat = Literal["auto", "json", "console"]

#: Libraries that bring handlers of their own; theirs are removed, so that each line appears once.
_LIBRARIES = ("celery", "kombu", "flask", "werkzeug", "gunicorn.error", "gunicorn.access", "flower", "tornado")

#: Libraries that tell more than anyone asked for at the level of our own lines.
_TALKATIVE = ("pymongo", "urllib3", "asyncio")


def configure_logs(*, log_format: LogFormat = "auto", level: str = "info", stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream``, redacted.

    Args:
        log_format: ``json``, ``console``, or ``auto``: console where the stream is a terminal.
        level: The lowest level that is written: debug, info, warning or error.
        stream: Standard error when left out, since standard output belongs to a command's answer.
    """
    target = sys.stderr if stream is None else stream
    on_console = log_format == "console" or (log_format == "auto" and target.isatty())
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(on_console=on_console, colors=target.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def bind_task(*, task_id: str, task_name: str, correlation_id: str, **ids: str) -> None:
    """Put these ids on every line until clear_task, forgetting what an earlier task left."""
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(task_id=task_id, task_name=task_name, correlation_id=correlation_id, **ids)


def clear_task() -> None:
    """Forget the ids that bind_task put on every line."""
    structlog.contextvars.clear_contextvars()


def redact_event(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> MutableMapping[str, Any]:
    """Take everything secret out of one log line; a structlog processor."""
    return {name: redact_member(name, value) for name, value in event_dict.items()}


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _formatter(*, on_console: bool, colors: bool) -> logging.Formatter:
    # Exceptions become text before the redaction, also on a console: what an error says is where secrets leak.
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
        if on_console
        else structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=False)
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact_event,
            renderer,
        ],
    )
