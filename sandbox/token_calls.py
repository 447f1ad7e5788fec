"""The calls about stored cards: what a token stands for, and forgetting it."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response

from sandbox.envelopes import token_answer
from sandbox.gateway import Gateway
from sandbox.lookups import not_found
from sandbox.world import World


def token_blueprint(world: World, gateway: Gateway) -> Blueprint:
    """Build the calls about tokens.

    Args:
        world: The sandbox.
        gateway: Who authenticates and answers.

    Returns:
        `POST /payment/token` and `POST /payment/token/delete`.
    """
    blueprint = Blueprint("tokens", __name__)

    def look_up(members: Mapping[str, Any]) -> object:
        stored = world.vault.find(members.get("token"))
        if stored is None:
            raise not_found(world.switches.now.not_found_code, "Token")
        return token_answer(world.ledger.get(stored.tran_ref))

    def forget(members: Mapping[str, Any]) -> object:
        if not world.vault.delete(members.get("token")):
            raise not_found(world.switches.now.not_found_code, "Token")
        return {"code": 0, "message": "Token deleted", "trace": world.mint.trace()}

    @blueprint.post("/payment/token")
    def query_token() -> Response:
        return gateway.answer(look_up)

    @blueprint.post("/payment/token/delete")
    def delete_token() -> Response:
        return gateway.answer(forget)

    return blueprint
