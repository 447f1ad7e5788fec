"""gunicorn's own lines and one line per request, through the same logs as everything else and without any query."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from gunicorn.config import Config  # type: ignore[import-untyped] # gunicorn has no types
from gunicorn.glogging import Logger  # type: ignore[import-untyped] # as above

from config.logs import configure_logs
from config.settings import load_settings

#: Asked for every few seconds by whoever watches the receiver; seen only at the level of debugging.
QUIET_PATH = "/healthz"


class StructuredLogger(Logger):  # type: ignore[misc] # gunicorn has no types
    """Takes gunicorn's lines over."""

    def setup(self, cfg: Config) -> None:
        """Replace gunicorn's handlers with ours."""
        self.cfg = cfg
        settings = load_settings()
        configure_logs(log_format=settings.log_format, level=settings.log_level)
        self.error_log.setLevel(settings.log_level.upper())
        self.access_log.setLevel(settings.log_level.upper())

    def access(self, resp: Any, _req: object, environ: Mapping[str, Any], request_time: timedelta) -> None:  # noqa: ANN401 - gunicorn has no types
        """Log one request: never its query, which holds a payer's e-mail address."""
        path = environ.get("PATH_INFO", "")
        log = structlog.get_logger("gunicorn.access")
        write = log.debug if path == QUIET_PATH else log.info
        write(
            "request",
            method=environ.get("REQUEST_METHOD"),
            path=path,
            status=int(str(resp.status).split(maxsplit=1)[0]),
            duration_ms=round(request_time / timedelta(milliseconds=1), 1),
            remote=environ.get("REMOTE_ADDR"),
        )

    def reopen_files(self) -> None:
        """Do nothing: there are no files, only standard error."""
