"""Tasks about payments: pages, charges without one, captures, voids, releases, refunds, looks, and the ladder's `poll`.

A task that moves money is accepted once per `operation_id`; sent again under the same id it answers how that stands.
"""

from contextlib import suppress
from typing import Any

from payments.accepting import ChargeTerms, PageTerms
from payments.allowance import Action
from payments.card_terms import CardTerms
from payments.errors import NotYet
from payments.events import Context
from payments.ordering import FollowUpTerms
from tasks.arguments import CreatePage, OfOperation, OfPayment, Verify
from tasks.arguments_cards import ChargeCard
from tasks.arguments_money import ChargeToken, FollowUp, ManagedForm, Refund
from tasks.base import domain_task
from tasks.wiring import World


@domain_task("payments.create_page", CreatePage)
def create_page(world: World, asked: CreatePage, context: Context) -> dict[str, Any]:
    """Open a hosted page for a payment of the CMS; while one is open, give the same one."""
    terms = PageTerms(
        transaction=asked.transaction,
        callback_url=asked.callback_url,
        return_url=asked.return_url,
        language=asked.language,
        methods=tuple(asked.methods),
        tokenise=asked.tokenise,
        agreement=asked.agreement.to_document() if asked.agreement else None,
    )
    return world.service.create_page(asked.payment_id, terms, context, asked.operation_id).to_json()


@domain_task("payments.verify", Verify)
def verify(world: World, asked: Verify, context: Context) -> dict[str, Any]:
    """Ask PayTabs what became of a payment and apply the answer."""
    payment_id = asked.payment_id or world.service.payment_of(asked.tran_ref or "", context)
    if asked.payer_returned:
        world.service.payer_returned(payment_id)
    return world.service.verify(payment_id, context, tran_ref=asked.tran_ref).to_json()


@domain_task("payments.capture", FollowUp)
def capture(world: World, asked: FollowUp, context: Context) -> dict[str, Any]:
    """Take what is authorised, or a part of it."""
    return _follow_up(world, "capture", asked, context)


@domain_task("payments.void", FollowUp)
def void(world: World, asked: FollowUp, context: Context) -> dict[str, Any]:
    """Undo an authorisation of which nothing is captured."""
    return _follow_up(world, "void", asked, context)


@domain_task("payments.release", FollowUp)
def release(world: World, asked: FollowUp, context: Context) -> dict[str, Any]:
    """Free what is authorised and not captured, or a part of it."""
    return _follow_up(world, "release", asked, context)


@domain_task("payments.refund", Refund)
def refund(world: World, asked: Refund, context: Context) -> dict[str, Any]:
    """Give back what was captured, or a part of it."""
    return _follow_up(world, "refund", asked, context)


@domain_task("payments.charge_token", ChargeToken)
def charge_token(world: World, asked: ChargeToken, context: Context) -> dict[str, Any]:
    """Charge a stored card, with its payer at hand or without."""
    terms = ChargeTerms(
        kind="charge_token", secret=asked.token, payer_present=asked.payer_present, transaction=asked.transaction,
        callback_url=asked.callback_url, return_url=asked.return_url, origin=asked.origin,
    )  # fmt: skip
    return world.money.charge(asked.payment_id, terms, asked.operation_id, context).to_json()


@domain_task("payments.charge_card", ChargeCard)
def charge_card(world: World, asked: ChargeCard, context: Context) -> dict[str, Any]:
    """Charge a card that is kept here for a payment of its own client, with its payer at hand or without."""
    terms = CardTerms(
        card_id=asked.card_id, payer_present=asked.payer_present, transaction=asked.transaction,
        callback_url=asked.callback_url, return_url=asked.return_url,
    )  # fmt: skip
    return world.money.charge(asked.payment_id, terms, asked.operation_id, context).to_json()


@domain_task("payments.managed_form", ManagedForm)
def managed_form(world: World, asked: ManagedForm, context: Context) -> dict[str, Any]:
    """Charge what the payer typed into PayTabs' fields on our page."""
    terms = ChargeTerms(
        kind="managed_form", secret=asked.payment_token, transaction=asked.transaction,
        callback_url=asked.callback_url, return_url=asked.return_url, tokenise=asked.tokenise,
    )  # fmt: skip
    return world.money.charge(asked.payment_id, terms, asked.operation_id, context).to_json()


def _follow_up(world: World, action: Action, asked: FollowUp, context: Context) -> dict[str, Any]:
    terms = FollowUpTerms(action=action, amount=asked.amount, tran_ref=asked.tran_ref, reason=asked.reason)
    return world.money.follow_up(asked.payment_id, terms, asked.operation_id, context, asked.audit_reason).to_json()


@domain_task("payments.get", OfPayment)
def get(world: World, asked: OfPayment, context: Context) -> dict[str, Any]:
    """Show a payment as it stands."""
    del context
    return world.service.get(asked.payment_id).to_json()


@domain_task("payments.history", OfPayment)
def history(world: World, asked: OfPayment, context: Context) -> list[dict[str, Any]]:
    """List a payment's events, oldest first."""
    del context
    return world.service.history(asked.payment_id)


@domain_task("payments.poll", OfOperation)
def poll(world: World, asked: OfOperation, context: Context) -> dict[str, Any]:
    """Ask PayTabs about one open operation, and send it when it is ready to be sent."""
    if world.reconciler.poll(asked.operation_id, context):
        # What may not be sent now stands in `due_at`: the sweep comes back to it.
        with suppress(NotYet):
            world.sender.send(asked.operation_id, context)
    row = world.ledger.get(asked.operation_id)
    return {"operation_id": asked.operation_id, "status": row.status if row else None}
