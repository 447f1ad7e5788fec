"""What Celery's request of a task lacks: its ids when a hard time limit ends it, discretion, and a count of deaths."""

from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined] # the stubs are of an earlier version
from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import Request

from config.redaction import REDACTED, is_secret_name, redact_text
from tasks.broker_clock import told_here
from tasks.deliveries import note_lost_child

#: What ends a request whose child process is gone.
LOST = (WorkerLostError, SystemExit, KeyboardInterrupt)


class DomainRequest(Request):
    """A request whose task can be asked about it while its failure is announced, as for every other failure.

    A caller may send the text of its arguments along, which Flower shows and keeps: a token does not stay in it. When
    it is due and until when it is good is told by the broker's clock.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Celery's own
        super().__init__(*args, **kwargs)
        whole: Any = self  # the stubs know of no texts
        fields = getattr(getattr(self.task, "arguments", None), "model_fields", {})
        if whole._argsrepr and any(is_secret_name(name) for name in fields):  # noqa: SLF001 - Celery's only place for it
            whole._argsrepr = REDACTED  # noqa: SLF001 - as above
        whole._kwargsrepr = redact_text(whole._kwargsrepr or "")  # noqa: SLF001 - as above
        url = str(whole._app.conf.broker_url)  # noqa: SLF001 - as above
        whole._eta, whole._expires = told_here(whole._eta, url), told_here(whole._expires, url)  # noqa: SLF001 - as above
        told = {"argsrepr": whole._argsrepr, "kwargsrepr": whole._kwargsrepr}  # noqa: SLF001 - as above
        whole._request_dict.update(told)  # noqa: SLF001 - what the pool is given

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Announce the end by a time limit."""
        whole: Any = self  # the stubs know of no context
        self.task.request_stack.push(whole._context)  # noqa: SLF001 - Request itself does so for every other failure
        try:
            super().on_timeout(soft, timeout)
        finally:
            self.task.request_stack.pop()

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:  # noqa: ANN401 - Celery's
        """Count a child that was lost, then do as Celery does; the end by a time limit is announced once."""
        whole: Any = self  # the stubs know of no cancelling
        error = exc_info.exception.exc if isinstance(exc_info.exception, ExceptionWithTraceback) else exc_info.exception
        if isinstance(error, TimeLimitExceeded):
            return  # `on_timeout` follows
        stopping = whole._already_cancelled or whole._already_revoked or state.should_terminate is not None  # noqa: SLF001 - Celery's only place for it
        if isinstance(error, LOST) and not stopping:
            note_lost_child(str(whole.app.conf.broker_url), whole.id, whole.worker_pid)
        super().on_failure(exc_info, send_failed_event, return_ok)
