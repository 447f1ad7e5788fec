"""Whether the work of a task is done, as its row says, and what whoever asks for it again would hear.

A task's result may be lost and its run be killed; its row is neither. So before anything is said of a task that did not
come to its own end, and before a letter about it is kept or stays open, its row is asked here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bson import ObjectId

from payments.inbox import COLLECTION as INBOX
from payments.operations import Operation, Status
from payments.outbox import COLLECTION as OUTBOX
from payments.outbox import delivery_id
from payments.stored_cards import CardState
from tasks.wiring import World

Json = dict[str, Any]
Given = Mapping[str, Any]

#: Rows whose request is still under way: whoever asks for them again is told to wait.
UNDER_WAY: Final = frozenset({Status.NEW, Status.SENDING, Status.UNKNOWN})


@dataclass(frozen=True)
class Work:
    """What a row says.

    Attributes:
        known: Whether there is a row, so that what was asked for was accepted.
        done: Whether nothing is left to be done.
        answer: What whoever asks again would hear, where it is done.
    """

    known: bool = False
    done: bool = False
    answer: Any = None


NOTHING: Final = Work()

Look = Callable[[World, Given], Work]
View = Callable[[World, Operation], Json]


def work_of(world: World, task: str | None, given: Given) -> Work:
    """Ask the row of a task about its work; NOTHING where there is none.

    Args:
        world: where the rows are.
        task: its public name.
        given: its arguments by name, right or not: anybody may have written them.
    """
    look = _LOOKS.get(task or "")
    return look(world, given) if look else NOTHING


def _operation(kind: str, view: View, world: World, given: Given) -> Work:
    row = world.ledger.get(str(given.get("operation_id")))
    if row is None or (row.kind, row.payment_id) != (kind, _payment_id(given)):
        return NOTHING
    return _standing(row, view, world)


def _standing(row: Operation, view: View, world: World) -> Work:
    done = row.status not in UNDER_WAY
    return Work(known=True, done=done, answer=view(world, row) if done else None)


def _page(world: World, given: Given) -> Work:
    """Look at the page of an operation, else at the one that a payment has open: whoever asks is given that one."""
    if given.get("operation_id"):
        return _operation("create_page", _payment_view, world, given)
    payment_id = _payment_id(given)
    row = world.ledger.last_attempt_of(payment_id) if payment_id else None
    if row is None or row.kind != "create_page" or not (row.open or row.status is Status.SUCCEEDED):
        return NOTHING
    return _standing(row, _payment_view, world)


def _poll(world: World, given: Given) -> Work:
    row = world.ledger.get(str(given.get("operation_id")))
    if row is None:
        return NOTHING
    return Work(known=True, done=row.due_at is None, answer={"operation_id": row.operation_id, "status": row.status})


def _invoice_act(verb: str, world: World, given: Given) -> Work:
    payment_id = _payment_id(given)
    answer = world.invoices.done(verb, payment_id, str(given.get("operation_id"))) if payment_id else None
    return Work(known=True, done=True, answer=answer) if answer else NOTHING


def _card(world: World, given: Given) -> Work:
    card = world.cards.store.get(str(given.get("card_id")))
    if card is None or card.kept is not CardState.FORGOTTEN:
        return NOTHING
    return Work(known=True, done=True, answer={"card_id": card.card_id, "state": str(CardState.FORGOTTEN)})


def _delivery(world: World, given: Given) -> Work:
    row = world.db[INBOX].find_one({"_id": str(given.get("delivery_id"))}, {"status": 1, "result": 1})
    return NOTHING if row is None else Work(known=True, done=row["status"] == "done", answer=row.get("result"))


def _reaction(world: World, given: Given) -> Work:
    named = delivery_id(str(given.get("event_id")), str(given.get("handler")))
    row = world.db[OUTBOX].find_one({"_id": named}, {"status": 1})
    return NOTHING if row is None else Work(known=True, done=row["status"] == "done")


def _follow_up_view(world: World, row: Operation) -> Json:
    return world.money.view(row).to_json()


def _payment_view(world: World, row: Operation) -> Json:
    return world.service.answer(row).to_json()


def _invoice_view(world: World, row: Operation) -> Json:
    return world.invoices.made(world.service.answer(row), row)


def _payment_id(given: Given) -> str | None:
    named = given.get("payment_id")
    return named.lower() if isinstance(named, str) and ObjectId.is_valid(named) else None


#: How to see whether a task's work is done: those that have a row.
_LOOKS: Final[Mapping[str, Look]] = {
    **{
        f"payments.{kind}": partial(_operation, kind, _follow_up_view)
        for kind in ("capture", "void", "release", "refund")
    },
    **{
        f"payments.{kind}": partial(_operation, kind, _payment_view)
        for kind in ("charge_token", "charge_card", "managed_form")
    },
    "payments.create_page": _page,
    "payments.poll": _poll,
    "invoices.create": partial(_operation, "create_invoice", _invoice_view),
    **{f"invoices.{verb}": partial(_invoice_act, verb) for verb in ("cancel", "send_sms", "mark_paid")},
    "cards.forget": _card,
    "webhooks.process": _delivery,
    "events.handle": _reaction,
}
