"""The life of one payment of a run, as a story that many live at once: it goes on whenever what it waits for has come.

A story is told by generators that yield wherever they wait. It decides by what the CMS can see: documents and
operations, never by what PayTabs knows.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

from bson import ObjectId

from tests.chaos.fire.hours import CALM_SECONDS
from tests.chaos.fire.people import PASSING, People, Request, Surprise
from tests.chaos.fire.plans import Plan
from tests.chaos.fire.plants import PLANTS
from tests.chaos.stage import Json
from tests.support.cms import seed_payment

Steps = Iterator[None]

#: Where a payment stands after what its payer did; a good card takes or holds the money.
STATE_AFTER = {
    "declined": "DECLINED", "declined_doubtful": "DECLINED", "error_doubtful": "ERROR", "cancel": "CANCELLED",
    "leave": "AWAITING_PAYER", "held": "ON_HOLD", "pending": "PENDING_OFFLINE", "voucher": "PENDING_OFFLINE",
    "register": "REGISTERED",
}  # fmt: skip

#: What a query may say of a page that is dead, by turns: every one of them must lead on.
DEAD_PAGES = ("expired", "code_113", "code_2", "pending")

#: For how many minutes a page is dead that nobody paid in time, and one that somebody is in the middle of.
LONG_DEAD, JUST_DEAD = 300, 21

#: The currency of those who had asked for one that the profile does not have.
CORRECTED = "SAR"

#: What the CMS writes into its own document under way, by the shape's word for it.
CMS_CHANGES: dict[str, Json] = {
    "edit": {"amount": "1.00", "title": "Edited", "currency": "EUR"},
    "paid": {"status": "paid"},
}

#: Ends of an operation that nothing follows by itself.
_ENDED = ("succeeded", "refused", "failed")


class Story:
    """One payment from the CMS's document to its intended end.

    Args:
        people: Callers and operator.
        plan: What the payment is meant to come to.
    """

    def __init__(self, people: People, plan: Plan) -> None:
        self.people, self.plan = people, plan
        self.board, self.sandbox = people.board, people.sandbox
        self.seeded = seed_payment(people.stage.database, amount=str(plan.part(10)), currency=plan.currency)
        self.refs: list[str] = []
        #: What the story waits for, for whoever finds it stuck.
        self.waits_for = "its turn"

    @property
    def payment(self) -> ObjectId:
        """The payment's id in the database."""
        return self.seeded.payment

    def whole(self) -> Steps:
        """Live all of it."""
        yield from self.pay()
        yield from self.follow()

    def pay(self) -> Steps:
        """Have the payment made, and have payer and staff do what they are meant to do."""
        shape = self.plan.shape
        for number, act in enumerate(shape.pages, 1):
            yield from self._acts.get(act, self._page)(number, act)
        if shape.staff:
            self.sandbox.dashboard(self.refs[-1], shape.staff)

    def follow(self) -> Steps:
        """Ask for everything that follows, plant what is to be planted, and wait for the intended end."""
        shape = self.plan.shape
        for place, (action, tenths) in enumerate(shape.steps, 1):
            yield from self._follow_up(place, action, tenths)
        if shape.plant:
            yield from PLANTS[shape.plant](self)
        yield from self.until(lambda: self.state() == shape.state, f"state {shape.state}")
        if shape.state == "VOIDED":
            yield from self._see_voided()

    def until(self, reached: Callable[[], object], what: str) -> Steps:
        """Wait for something; who waits long has time and the operator help."""
        self.waits_for = what
        began = time.monotonic()
        while not reached():
            if time.monotonic() - began > CALM_SECONDS:
                self.people.help(self.board.rows(self.payment))
            yield

    def state(self) -> str:
        """Tell the payment's state as the CMS reads it, or, when it has deleted the document, as a task would say."""
        if self.plan.shape.cms == "delete" and not self.board.has(self.payment):
            with suppress(*PASSING):
                return self.people.world.service.get(self.seeded.payment_id).state
        return self.board.state(self.payment)

    def seen_by_task(self) -> Json:
        """Give what a task tells of the payment."""
        return self.people.world.service.get(self.seeded.payment_id).to_json()

    @property
    def _acts(self) -> dict[str, Callable[[int, str], Steps]]:
        """What is no page that a payer simply pays, by its name in a shape."""
        return {"form": self._charge, "card": self._charge_card, "refuse": self._refused, "register": self._register}

    def rows(self, *statuses: str) -> list[Json]:
        """List the payment's operations of some statuses."""
        return [row for row in self.board.rows(self.payment) if row["status"] in statuses]

    def _page(self, number: int, act: str) -> Steps:
        """Have a page made, and do on it what the payer does."""
        operation_id = f"page-{number}-of-{self.seeded.payment_id}"
        terms = {"transaction": self.plan.shape.transaction}
        yield from self._ask("payments.create_page", operation_id, **terms)
        yield from self.until(lambda: self._link(operation_id), f"a link of page {number}")
        self.refs.append(self._link(operation_id))
        if number == 1:
            yield from self.until(self._as_the_cms, "the CMS's own act")
        if act == "die":
            self._die(operation_id, LONG_DEAD)
            return
        if act == "cancel":
            self.sandbox.cancel(self.refs[-1])
        elif act == "late":
            self.sandbox.visit(self.refs[-1])
            self._die(operation_id, JUST_DEAD)
            self.sandbox.pay(self.refs[-1], "authorised")
        elif act != "leave":
            self.sandbox.pay(self.refs[-1], "pending" if act == "voucher" else act)
        held = {"sale": "PAID", "auth": "AUTHORISED"}[self.plan.shape.transaction]
        expected = STATE_AFTER.get(act, held)
        if self.plan.shape.staff and self.plan.number % 2:
            return  # staff are quicker than the news
        yield from self.until(lambda: self.state() == expected, f"{act} to be known")
        if act == "voucher":
            yield from self._outlive(operation_id)

    def _as_the_cms(self) -> bool:
        """Do to the document what the CMS does under way; tell whether it was there, or nothing is to be done."""
        payments, named = self.people.stage.database["payments"], {"_id": self.payment}
        if self.plan.shape.cms == "delete":
            return payments.delete_one(named).deleted_count == 1
        if changes := CMS_CHANGES.get(self.plan.shape.cms):
            return payments.update_one(named, {"$set": changes}).matched_count == 1
        return True

    def _die(self, operation_id: str, minutes: int) -> None:
        """Let the last page die, there and here."""
        self.sandbox.switch(query_dead_page=DEAD_PAGES[self.plan.number % len(DEAD_PAGES)])
        self.sandbox.pass_time(minutes=minutes, tran_ref=self.refs[-1])
        if minutes == LONG_DEAD:
            self.people.hours.end_page(operation_id)

    def _outlive(self, operation_id: str) -> Steps:
        """Let a voucher's page die, and see that no page is made beside the voucher."""
        self._die(operation_id, LONG_DEAD)
        named = {"payment_id": self.seeded.payment_id, "operation_id": f"beside-{operation_id}"}
        asked, self.waits_for = None, "the same page, and no other beside a voucher"
        while True:
            asked = asked or self.people.ask("payments.create_page", **named)
            yield
            if self.board.row(self.payment, named["operation_id"]):
                raise Surprise(f"{named['operation_id']}: a page beside a voucher that can be paid")
            told = self.people.answer(asked) if asked else None
            if told and told.get("tran_ref") == self.refs[-1]:
                return
            if told or (asked and self.people.failure(asked)):
                asked = None  # PayTabs could not be asked

    def _refused(self, number: int, act: str) -> Steps:
        """Ask for a page in a currency that the profile does not have, and correct the document."""
        del act
        operation_id = f"page-{number}-of-{self.seeded.payment_id}"
        yield from self._ask("payments.create_page", operation_id)
        yield from self.until(lambda: self._end(operation_id), f"the refusal of {operation_id}")
        yield from self.until(self._correct, "the currency to be corrected")

    def _correct(self) -> bool:
        """Ask for a currency that the profile has; tell whether the document was there."""
        corrected, named = {"$set": {"currency": CORRECTED}}, {"_id": self.payment}
        return self.people.stage.database["payments"].update_one(named, corrected).matched_count == 1

    def _register(self, number: int, act: str) -> Steps:
        """Have the payer's card kept."""
        operation_id = f"page-{number}-of-{self.seeded.payment_id}"
        yield from self._ask("payments.create_page", operation_id, transaction="register", tokenise=2)
        yield from self.until(lambda: self._link(operation_id), f"a link of page {number}")
        self.refs.append(self._link(operation_id))
        self.sandbox.pay(self.refs[-1], "authorised")
        yield from self.until(lambda: self.board.card(self.payment), "the card to be known")
        yield from self.until(lambda: self.state() == STATE_AFTER[act], f"{act} to be known")

    def _charge_card(self, number: int, act: str) -> Steps:
        """Have the kept card charged; what did not happen is asked for under another id."""
        del act
        for again in count(1):
            operation_id = f"card-{number}-{again}-of-{self.seeded.payment_id}"
            card_id = self.board.card(self.payment) or ""
            yield from self._ask("payments.charge_card", operation_id, card_id=card_id, payer_present=False)
            if (yield from self._ended(operation_id)):
                return

    def _link(self, operation_id: str) -> str:
        row = self.board.row(self.payment, operation_id)
        if row and row["status"] in _ENDED:
            raise Surprise(f"{operation_id} is {row['status']} before its payer has come: {row['error']}")
        return str(row["result"]["tran_ref"]) if row and row["status"] == "pending" else ""

    def _charge(self, number: int, act: str) -> Steps:
        """Have what a payer typed into PayTabs' fields charged; what did not happen is asked for with another token."""
        del act
        for again in count(1):
            operation_id = f"charge-{number}-{again}-of-{self.seeded.payment_id}"
            token = self.sandbox.payment_token("authorised")
            yield from self._ask("payments.managed_form", operation_id, payment_token=token)
            if (yield from self._ended(operation_id)):
                return

    def _follow_up(self, place: int, action: str, tenths: int) -> Steps:
        """Capture, void, release or refund; what the operator says did not happen is asked for under another id."""
        amount = str(self.plan.part(tenths))
        for again in count(1):
            operation_id = f"{action}-{place}-{again}-of-{self.seeded.payment_id}"
            if self.plan.shape.unlisted and again == place == 1:
                about = {"tran_type": action, "tran_ref": self.refs[-1]}
                self.sandbox.fault("/payment/request", "code", code=777, match=about)
            yield from self._ask(f"payments.{action}", operation_id, amount=amount)
            if (yield from self._ended(operation_id)):
                return

    def _ended(self, operation_id: str) -> Any:
        """Wait for an operation's end and tell whether it succeeded; what was given up did not happen."""
        yield from self.until(lambda: self._end(operation_id), f"the end of {operation_id}")
        row = self._end(operation_id) or {}
        if row["status"] == "refused":
            raise Surprise(f"{operation_id} was refused: {row['error']}")
        return row["status"] == "succeeded"

    def _end(self, operation_id: str) -> Json | None:
        row = self.board.row(self.payment, operation_id)
        return row if row and row["status"] in _ENDED else None

    def _ask(self, task: str, operation_id: str, **arguments: Any) -> Steps:
        """Ask for an operation until there is a row of it."""
        members = {"payment_id": self.seeded.payment_id, "operation_id": operation_id, **arguments}
        request = Request(self.people, task, members)
        self.waits_for = f"a row of {operation_id}"
        while not self.board.row(self.payment, operation_id):
            request.go_on()
            yield

    def _see_voided(self) -> Steps:
        """Ask once more after a void: PayTabs turns the original to V and tells nobody."""
        (original,) = self.sandbox.ledger(tran_ref=self.refs[-1])
        named = {"payment_id": self.seeded.payment_id}
        request = Request(self.people, "payments.verify", named, patience_seconds=5.0)
        self.waits_for = "the original seen as voided"
        while original["status"] == "V" and not self._seen_voided():
            request.go_on()
            yield

    def _seen_voided(self) -> bool:
        seen = {"data.tran_ref": self.refs[-1], "data.status": "V"}
        with suppress(*PASSING):
            return self.people.stage.database["payment_events"].find_one(seen) is not None
        return False
