"""What the demo's steps have in common: asking by task name, paying as a payer does, and seeing what the CMS sees."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from celery import Celery

from config.settings import Settings
from workers.cli_enqueue import answer, send
from workers.demo_cms import CmsEyes, SeededCms
from workers.demo_desk import SandboxDesk
from workers.demo_outside import Outside
from workers.demo_payer import Page, Payer
from workers.demo_report import Report

Json = dict[str, Any]

#: How long a task may take to answer, in seconds.
ANSWER_SECONDS = 25.0


@dataclass(frozen=True)
class Scene:
    """A stack that serves, and the eyes and hands for it."""

    report: Report
    settings: Settings
    app: Celery
    cms: CmsEyes
    desk: SandboxDesk
    seeded: SeededCms
    told: Outside

    @property
    def receiver(self) -> str:
        """Where the receiver is."""
        return f"http://{self.settings.receiver_host}:{self.settings.receiver_port}"

    def ask(self, task: str, correlation_id: str | None = None, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        """Enqueue a task by its public name and wait for its answer in the result store."""
        return answer(self.app, task, send(self.app, task, arguments, correlation_id), ANSWER_SECONDS)

    def open_page(self, payment: ObjectId, correlation_id: str | None = None, **terms: Any) -> Json:  # noqa: ANN401 - JSON
        """Have a hosted page made for a payment."""
        asked = {"payment_id": str(payment), "language": "en", "requested_by": "demo", **terms}
        page: Json = self.ask("payments.create_page", correlation_id, **asked)
        promise = "payments.create_page answers AWAITING_PAYER with the hosted page's address"
        self.report.check(promise, page["state"] == "AWAITING_PAYER" and page["redirect_url"], page)
        return page

    def visit(self, url: str, card: str, act: Callable[[Payer, Page], Page]) -> Page:
        """Open the hosted page as its payer, act on it, and come back to the receiver."""
        with Payer(card) as payer:
            page = payer.open(url)
            self.report.tell(f"the payer sees “{page.texts.get('amount', '?')}” on the hosted page")
            end = act(payer, page)
        came_back = end.url.startswith(f"{self.receiver}/payments/return")
        self.report.check(f"the payer's browser is led back to the receiver: “{end.heading}”", came_back, end.url)
        return end

    def await_status(self, payment: ObjectId, status: str, state: str) -> Json:
        """Wait until the CMS reads a status in its document."""
        promise = f"the CMS's document reads status “{status}”, gateway.state {state}"
        document = self.report.wait(promise, lambda: self._reading(payment, status, state))
        self.report.check(promise, document)
        return document

    def settle(self) -> None:
        """Wait until every delivery is applied, and every callback that is on its way has arrived."""
        self.report.wait("an empty inbox", lambda: not self.cms.busy_deliveries())

    def _reading(self, payment: ObjectId, status: str, state: str) -> Json | None:
        document = self.cms.payment(payment)
        reads = document.get("status") == status and document.get("gateway", {}).get("state") == state
        return document if reads else None
