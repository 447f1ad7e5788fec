"""What Celery's request of a task lacks: its ids, when a task is ended by its hard time limit."""

from typing import Any

from celery.worker.request import Request


class DomainRequest(Request):
    """A request whose task can be asked about it while its failure is announced, as for every other failure."""

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Announce the end by a time limit."""
        whole: Any = self  # the stubs know of no context
        self.task.request_stack.push(whole._context)  # noqa: SLF001 - Request itself does so for every other failure
        try:
            super().on_timeout(soft, timeout)
        finally:
            self.task.request_stack.pop()
