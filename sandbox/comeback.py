"""How a payer's browser comes back to the merchant, where it was asked to."""

from typing import Any

from sandbox.members import NO_RETURN
from sandbox.tellings import return_fields
from sandbox.transactions import Transaction
from sandbox.world import World


def comeback(world: World, transaction: Transaction) -> dict[str, Any] | None:
    """Tell how the payer's browser comes back to the merchant.

    Args:
        world: The sandbox.
        transaction: A transaction with a result.

    Returns:
        `url`, `method` and the signed `fields`; None when no return was asked for.
    """
    url = transaction.request.get("return")
    if not url or url == NO_RETURN:
        return None
    if str(url).startswith("http://") and world.switches.now.url_rules == "strict":
        # Whoever comes back over http comes without a word of what happened.
        return {"url": url, "method": "GET", "fields": {}}
    method = "GET" if transaction.request.get("return_using_get") in (True, "true", 1) else "POST"
    return {"url": url, "method": method, "fields": return_fields(transaction, world.profile.server_key)}
