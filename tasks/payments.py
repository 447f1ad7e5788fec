"""Tasks about payments: `payments.create_page`, `verify`, `get`, `history` and the ladder's `poll`."""

from typing import Any

from payments.events import Context
from payments.service import PageTerms
from tasks.arguments import CreatePage, OfOperation, OfPayment, Verify
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
    )
    return world.service.create_page(asked.payment_id, terms, context, asked.operation_id).to_json()


@domain_task("payments.verify", Verify)
def verify(world: World, asked: Verify, context: Context) -> dict[str, Any]:
    """Ask PayTabs what became of a payment and apply the answer."""
    payment_id = asked.payment_id or world.service.payment_of(asked.tran_ref or "", context)
    if asked.payer_returned:
        world.service.payer_returned(payment_id)
    return world.service.verify(payment_id, context).to_json()


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
        world.sender.send(asked.operation_id, context)
    row = world.ledger.get(asked.operation_id)
    return {"operation_id": asked.operation_id, "status": row.status if row else None}
