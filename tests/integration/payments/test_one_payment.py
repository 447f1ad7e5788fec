from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from payments.errors import InvalidArgument, NotYet, StreamContended
from payments.events import Context
from payments.operations import Status
from payments.review import in_doubt
from payments.views import PaymentView
from tasks.wiring import World
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.support.sandbox import SandboxError

AMOUNT = Decimal("115.00")
DAY = 86_400.0
OPERATOR = Context(correlation_id="desk", source="review", requested_by="omar")

AMOUNTS = st.one_of(st.none(), st.integers(1, 12_000).map(lambda cents: f"{Decimal(cents) / 100:.2f}"))
ACTIONS = st.sampled_from(["capture", "capture", "release", "void", "refund", "refund", "refund"])
FAULTS = st.sampled_from([None, None, None, "cut_after_accept", "http_500", "html_200"])


class OnePayment(RuleBasedStateMachine):
    """One payment through anything that callers, PayTabs' staff, a bad line and time can do to it."""

    stage: ClassVar[Stage]
    worlds: ClassVar[list[World]]

    def __init__(self) -> None:
        super().__init__()
        self.stage.sandbox.reset()
        self.seeded: SeededPayment = seed_payment(self.stage.database)
        self.tran_ref = ""
        self.asked = 0

    @initialize(transaction=st.sampled_from(["auth", "auth", "sale"]))
    def pay(self, transaction: str) -> None:
        """The payer pays."""
        self.tran_ref = self.stage.paid(self.seeded, transaction)

    @rule(action=ACTIONS, amount=AMOUNTS, fault=FAULTS)
    def ask(self, action: Any, amount: str | None, fault: str | None) -> None:
        """A caller asks for something, perhaps over a bad line; whatever is not allowed is refused before sending."""
        if fault:
            self.stage.sandbox.fault("/payment/request", fault)
        with suppress(InvalidArgument, NotYet):
            self.stage.follow_up(self.seeded, action, amount, operation_id=self.name())
        self.stage.sandbox.clear_faults()

    @rule(amounts=st.lists(AMOUNTS.filter(bool), min_size=4, max_size=4), action=st.sampled_from(["capture", "refund"]))
    def ask_at_once(self, amounts: list[str], action: Any) -> None:
        """Several callers ask at once, through two workers."""
        names = [self.name() for _ in amounts]

        def one(position: int) -> None:
            with suppress(InvalidArgument, NotYet, StreamContended):
                world, name = self.worlds[position % 2], names[position]
                self.stage.follow_up(self.seeded, action, amounts[position], operation_id=name, world=world)

        with ThreadPoolExecutor(len(amounts)) as pool:
            list(pool.map(one, range(len(amounts))))

    @rule(action=st.sampled_from(["capture", "release"]), amount=AMOUNTS.filter(bool))
    def staff_act(self, action: str, amount: str) -> None:
        """PayTabs' staff act in the dashboard; the notice of it comes or comes later."""
        with suppress(SandboxError):
            self.stage.sandbox.dashboard(self.tran_ref, action, amount=amount)

    @rule(seconds=st.sampled_from([5.0, 20.0, 400.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.stage.live(seconds)

    @rule(choice=st.integers(0, 50))
    def hear(self, choice: int) -> None:
        """A notice of some transaction arrives, again or late."""
        known = self.stage.sandbox.ledger()
        self.stage.notice(known[choice % len(known)]["tran_ref"])

    @precondition(lambda self: self.doubtful())
    @rule()
    def look_into_it(self) -> None:
        """A day later an operator closes what nobody could find."""
        self.stage.live(DAY)
        for operation_id in self.doubtful():
            self.stage.world.review.settle_operation(operation_id, "not in the dashboard", OPERATOR)

    @invariant()
    def within_bounds(self) -> None:
        """No more is taken than was authorised, no more given back than was taken: here and at PayTabs."""
        if not self.tran_ref:
            return
        view, theirs = self.stage.get(self.seeded), self.theirs()
        assert Decimal(view.captured) + Decimal(view.released) <= Decimal(view.authorised) == AMOUNT
        assert Decimal(view.refunded) + Decimal(view.refund_pending) <= Decimal(view.captured)
        assert theirs["captured"] + theirs["released"] <= AMOUNT
        assert theirs["refunded"] <= theirs["captured"]

    def teardown(self) -> None:
        """In the end every notice has come and every ladder has ended: both ledgers agree."""
        if self.tran_ref:
            self.stage.live(DAY + 3600)
            for entry in self.stage.sandbox.ledger():
                self.stage.notice(entry["tran_ref"])
            assert self.ours(self.stage.get(self.seeded)) == self.theirs()
            standing = {in_doubt(row).key for row in self.stage.rows(self.seeded) if row.open}
            assert set(self.stage.get(self.seeded).review) == standing

    def name(self) -> str:
        """Make up an operation id."""
        self.asked += 1
        return f"{self.seeded.payment_id}-{self.asked}"

    def doubtful(self) -> list[str]:
        """List the operations in doubt."""
        rows = self.stage.rows(self.seeded)
        return [row.operation_id for row in rows if row.open and row.status in (Status.UNKNOWN, Status.REVIEW)]

    def ours(self, view: PaymentView) -> dict[str, Decimal]:
        """Give the sums of our own events."""
        return {name: Decimal(getattr(view, name)) for name in ("captured", "released", "refunded")}

    def theirs(self) -> dict[str, Decimal]:
        """Give the sums of the sandbox's ledger."""
        done = [one for one in self.stage.sandbox.ledger() if one["status"] in ("A", "V")]

        def total(*types: str) -> Decimal:
            return sum((Decimal(one["amount"]) for one in done if one["tran_type"] in types), Decimal(0))

        return {
            "captured": total("Sale", "Capture"),
            "released": total("Void", "Release"),
            "refunded": total("Refund"),
        }


class TestOnePayment:
    """Whatever happens to a payment, no money moves twice and both ledgers agree in the end."""

    @pytest.mark.timeout(120)
    def test_anything(self, stage: Stage) -> None:
        """Callers, staff, a bad line and time, in any order."""
        bounded = settings(
            max_examples=6,
            stateful_step_count=10,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        OnePayment.stage, OnePayment.worlds = stage, [stage.world, stage.another_world()]
        run_state_machine_as_test(OnePayment, settings=bounded)
