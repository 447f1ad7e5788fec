"""A stage for one payment's life: worlds that share a database, the sandbox and a clock that tests set."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import requests
from pymongo.database import Database

from aggregations.tokens import PREFIX
from config.connections import redis_client
from config.settings import Settings
from payments.allowance import Action
from payments.events import Context, broken_link
from payments.notices import Verdict
from payments.operations import Operation
from payments.ordering import FollowUpTerms
from payments.service import PageTerms
from payments.views import OperationView, PaymentView
from paytabs.breaker_rules import BreakerRules
from paytabs.client import PayTabsClient
from paytabs.responses import Answer, parse_notification
from tasks.gateway import make_gateway
from tasks.wiring import World, build_world, ensure_indexes
from tests.support.cms import SeededPayment
from tests.support.sandbox import Sandbox

Document = dict[str, Any]

#: Cards by what they come to.
PAID, DECLINED, HELD, PENDING, ERROR, EXPIRED = "authorised", "declined", "held", "pending", "error", "expired"

#: From the send to the moment at which "nothing found" counts: the lease and PayTabs' duplicate window, in seconds.
SETTLED_SECONDS = 30 + 130


#: The breaker lives by the real clock, and so stays out of tests that set theirs: no failure opens it, and what a
#: refused key has opened closes with the next answer.
ALOOF = BreakerRules(
    failures_in_a_row=1_000_000, least_calls=1_000_000, open_seconds=0.001, probes_to_close=1, jitter_seconds=0
)


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.now = now.replace(microsecond=now.microsecond // 1000 * 1000)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


class Interrupted(BaseException):
    """Raised where a worker is killed: nothing catches it."""


class BetweenAnswerAndBooking(PayTabsClient):
    """The real gateway client, and something that happens when it has answered a request and nobody has read it yet."""

    def __init__(self, settings: Settings, happening: Callable[[], None]) -> None:
        vars(self).update(vars(make_gateway(settings)))
        self._happening = happening

    def request_page(self, *args: Any, **kwargs: Any) -> Answer:
        """Ask, let it happen, and answer."""
        answer = super().request_page(*args, **kwargs)
        self._happening()
        return answer

    def charge(self, *args: Any, **kwargs: Any) -> Answer:
        """Charge, let it happen, and answer."""
        answer = super().charge(*args, **kwargs)
        self._happening()
        return answer

    def follow_up(self, *args: Any, **kwargs: Any) -> Answer:
        """Act upon a transaction, let it happen, and answer."""
        answer = super().follow_up(*args, **kwargs)
        self._happening()
        return answer


class Stage:
    """What a test does and sees."""

    def __init__(self, settings: Settings, database: Database[Document], sandbox: Sandbox) -> None:
        self.sandbox, self.database = sandbox, database
        self.clock = SetClock()
        pace = {"paytabs_calls_per_second": 1000.0, "paytabs_calls_at_once": 100}
        self.settings = settings.model_copy(update={"paytabs_base_url": sandbox.url, **pace})
        self._worlds: list[World] = []
        #: What was enqueued: the task's name and its arguments.
        self.messages: list[tuple[str, Document]] = []
        self.broker_is_up = True
        self.world = self.another_world()
        if "payment_operations" not in database.list_collection_names():
            ensure_indexes(self.world)

    def another_world(
        self, happening: Callable[[], None] | None = None, *, breaker: BreakerRules = ALOOF, **settings: Any
    ) -> World:
        """Build one more world, as another worker process has it; settings differ as given."""
        changed = self.settings.model_copy(update=settings)
        gateway = BetweenAnswerAndBooking(changed, happening) if happening else None
        built = build_world(
            changed, clock=self.clock, database_clock=self.clock, gateway=gateway, breaker=breaker, send=self._send
        )
        self._worlds.append(built)
        return built

    def _send(self, task_name: str, *, correlation_id: str, countdown: float = 0, **arguments: Any) -> bool:
        del correlation_id, countdown
        if self.broker_is_up:
            self.messages.append((task_name, arguments))
        return self.broker_is_up

    def close(self) -> None:
        """Close every world."""
        for built in self._worlds:
            built.close()

    def context(self, source: str = "test") -> Context:
        """Return a context of this test's."""
        return Context(correlation_id="corr-1", source=source, requested_by="tests")

    def create(
        self, seeded: SeededPayment, world: World | None = None, *, operation_id: str | None = None, **terms: Any
    ) -> PaymentView:
        """Ask for a page."""
        service = (world or self.world).service
        return service.create_page(seeded.payment_id, PageTerms(**terms), self.context(), operation_id)

    def open_page(self, seeded: SeededPayment, **terms: Any) -> str:
        """Ask for a page and return its reference."""
        view = self.create(seeded, **terms)
        assert view.redirect_url is not None
        assert view.tran_ref is not None
        return view.tran_ref

    def follow_up(
        self, seeded: SeededPayment, action: Action, amount: str | None = None, *, operation_id: str = "",
        world: World | None = None, tran_ref: str | None = None,
    ) -> OperationView:  # fmt: skip
        """Capture, void, release or refund."""
        terms = FollowUpTerms(action, amount, tran_ref, "a reason")
        name = operation_id or f"{action}-{len(self.rows(seeded))}"
        return (world or self.world).money.follow_up(seeded.payment_id, terms, name, self.context())

    def paid(self, seeded: SeededPayment, transaction: str = "sale") -> str:
        """Have a page made and paid, or authorised, and return its reference."""
        tran_ref = self.open_page(seeded, transaction=transaction)
        self.sandbox.pay(tran_ref, PAID)
        self.verify(seeded)
        return tran_ref

    def desk(self, path: str, **members: Any) -> Document:
        """Ask something of the sandbox's desk for which its client has no method."""
        answer = requests.post(f"{self.sandbox.url}/sandbox/{path}", json=members, timeout=15)
        answer.raise_for_status()
        return dict(answer.json())

    def verify(self, seeded: SeededPayment) -> PaymentView:
        """Ask PayTabs about a payment."""
        return self.world.service.verify(seeded.payment_id, self.context())

    def get(self, seeded: SeededPayment) -> PaymentView:
        """Look at a payment."""
        return self.world.service.get(seeded.payment_id)

    def state(self, seeded: SeededPayment) -> str:
        """Return a payment's state."""
        return str(self.get(seeded).state)

    def cms(self, seeded: SeededPayment) -> Document:
        """Return the CMS's document of a payment."""
        found = self.database["payments"].find_one({"_id": seeded.payment})
        assert found is not None
        return found

    def rows(self, seeded: SeededPayment) -> list[Operation]:
        """List a payment's operations, oldest first."""
        return self.world.ledger.of_payment(seeded.payment_id)

    def row(self, seeded: SeededPayment) -> Operation:
        """Return a payment's last operation."""
        return self.rows(seeded)[-1]

    def facts(self, seeded: SeededPayment) -> list[str]:
        """List the names of a payment's events; their chain has to be whole."""
        history = self.world.store.load(seeded.payment_id)
        assert broken_link(history) is None
        return [event.type for event in history]

    def tags(self) -> set[str]:
        """List the tags that were made out of date in the cache."""
        with redis_client(str(self.settings.cache_url)) as cache:
            return {str(key).removeprefix(PREFIX) for key in cache.keys(f"{PREFIX}*")}

    def forget_tags(self) -> None:
        """Empty the cache."""
        with redis_client(str(self.settings.cache_url)) as cache:
            cache.flushdb()

    def alerts(self) -> dict[str, str]:
        """Return what operators were told: detail by name."""
        return {row["name"]: row["detail"] for row in self.database["alerts"].find()}

    def open_alerts(self) -> dict[str, str]:
        """Return what operators still have to look at: detail by name."""
        return {row["name"]: row["detail"] for row in self.database["alerts"].find({"closed_at": None})}

    def sent(self) -> list[Document]:
        """List the bodies of the requests for pages that reached the sandbox."""
        return [row["body"] for row in self.sandbox.requests("/payment/request")]

    def queries(self) -> list[Document]:
        """List the bodies of the queries that reached the sandbox."""
        return [row["body"] for row in self.sandbox.requests("/payment/query")]

    def notice(self, tran_ref: str, *, wait_seconds: float | None = 1.0, **changes: Any) -> Verdict:
        """Apply the sandbox's signed notice of a transaction, altered as asked, as a worker would."""
        body = self.sandbox.notify(tran_ref, url="http://127.0.0.1:9/nobody", **changes)["body"].encode()
        delivery_id = f"{len(body)}-{abs(hash(body))}"
        return self.world.notices.apply(parse_notification(body), delivery_id, wait_seconds, self.context("notice"))

    def poll(self, seeded: SeededPayment) -> None:
        """Do what the task `payments.poll` does for the payment's last operation."""
        self._poll(self.row(seeded).operation_id)

    def live(self, seconds: float) -> None:
        """Let time pass, and let the sweep and its polls do at every due time what they do."""
        end = self.clock.now + timedelta(seconds=seconds)
        while (due := self._next_due()) and due <= end:
            self.clock.now = max(self.clock.now, due)
            for row in self.world.ledger.claim_due(self.clock.now, 100):
                self._poll(row.operation_id)
        self.clock.now = end

    def _poll(self, operation_id: str) -> None:
        if self.world.reconciler.poll(operation_id, self.context("poll")):
            self.world.sender.send(operation_id, self.context("poll"))

    def _next_due(self) -> datetime | None:
        found = self.database["payment_operations"].find_one({"due_at": {"$type": "date"}}, sort=[("due_at", 1)])
        due: datetime | None = found["due_at"].replace(tzinfo=UTC) if found else None
        return due
