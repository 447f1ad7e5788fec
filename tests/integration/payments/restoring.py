"""A database that is put back while PayTabs goes on: what is sent in between, and what its caller asks for again."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from payments.accepting import ChargeTerms
from payments.errors import NotYet
from payments.ordering import FollowUpTerms
from payments.service import PageTerms
from tasks.restoring import Declared, declare_restored
from tasks.wiring import World
from tests.integration.payments.stage import PAID, Stage
from tests.support.cms import SeededPayment
from tests.support.copies import DatabaseCopy

#: Longer than PayTabs' duplicate window after a restore; longer than a forgotten page's life and its margin.
SETTLED, PAGES_OVER = 131.0, 30 * 60 + 1.0


@dataclass
class Scene:
    """One operation: how its payment comes to it, and how it is asked for, at first and again."""

    stage: Stage
    seeded: SeededPayment
    kind: str

    @property
    def operation_id(self) -> str:
        """Return its caller's id."""
        return f"op-{self.seeded.payment_id}"

    def prepare(self) -> None:
        """Bring the payment to where the operation begins."""
        if self.kind in ("refund", "part refund"):
            self.stage.paid(self.seeded)
        elif self.kind in ("capture", "part capture", "void", "release"):
            self.stage.paid(self.seeded, "auth")
        elif self.kind == "charge":
            self.token, _ = self.stage.sandbox.keep_card()

    def ask(self, world: World) -> Any:
        """Ask for the operation, as its caller does each time."""
        context, payment_id = self.stage.context(), self.seeded.payment_id
        if self.kind == "page":
            return world.service.create_page(payment_id, PageTerms(), context, self.operation_id)
        if self.kind == "page without id":
            return world.service.create_page(payment_id, PageTerms(), context)
        if self.kind == "charge":
            terms = ChargeTerms(kind="charge_token", secret=self.token, payer_present=False)
            return world.money.charge(payment_id, terms, self.operation_id, context)
        action: Any = self.kind.removeprefix("part ")
        amount = "40.00" if self.kind.startswith("part ") else None
        return world.money.follow_up(
            payment_id, FollowUpTerms(action, amount, None, "a reason"), self.operation_id, context
        )

    def carry_out(self) -> None:
        """Ask for it at first; a page's payer pays."""
        view = self.ask(self.stage.world)
        if self.kind.startswith("page"):
            self.stage.sandbox.pay(view.tran_ref, PAID)
            self.stage.verify(self.seeded)

    def money(self) -> list[tuple[str, str, str]]:
        """List what PayTabs has moved for anybody."""
        return [(one["tran_ref"], one["kind"], one["amount"]) for one in self.stage.sandbox.movements()]


def parked(ask: Callable[[], Any]) -> NotYet:
    """Ask for what is not done yet and return why."""
    try:
        view = ask()
    except NotYet as error:
        return error
    raise AssertionError(f"it was done at once: {view}")


def declare(stage: Stage, world: World | None = None) -> Declared:
    """Say that the database was restored."""
    return declare_restored(world or stage.world, None, by="omar", why="the disk was lost")


def copied(stage: Stage) -> DatabaseCopy:
    """Make a copy of the database."""
    return DatabaseCopy(stage.database)
