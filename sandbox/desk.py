"""The desk: what a test or a curious person may see, set and do, under `/sandbox/`. The real gateway has none of it.

| call | does |
| --- | --- |
| `GET /healthz` | `{"status": "ok"}` |
| `GET /sandbox/ledger` `?tran_ref=` `?cart_id=` | `transactions` with `history`, `movements`, `balances` by root |
| `GET /sandbox/invoices` | every invoice with its status, attempt and texts |
| `GET /sandbox/requests` `?path=` `?cart_id=` | every call to `/payment/...` |
| `GET /sandbox/notifications` `?tran_ref=` | every delivery attempt, what is `waiting`, `fates` |
| `GET`, `PUT /sandbox/switches` | see `sandbox/switches.py` |
| `GET`, `POST`, `DELETE /sandbox/faults` | see `sandbox/faults.py` |
| `POST /sandbox/pay` | the page's buttons without a browser |
| `GET /sandbox/pages` `?tran_ref=` | every page: when it ends, and how it stands |
| `POST /sandbox/visit` | load a page, and do nothing yet |
| `GET`, `POST /sandbox/time` | the clock of ages; let `seconds` or `minutes` pass, also for one page or invoice |
| `POST /sandbox/payment_token` | fill the card form of a browser: a one-use `payment_token` |
| `POST /sandbox/token` | keep a card, also a bad or expired one, under a `token`, with what was agreed |
| `POST /sandbox/sale` | a sale that no page of ours made: by hand, or of another shop of the profile |
| `POST /sandbox/notify` | one notice, genuine or altered, delivered at once |
| `POST /sandbox/dashboard` | what the merchant's staff do by hand |
| `POST /sandbox/reset` | forget everything |
"""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.desk_acts import notify, pay
from sandbox.desk_cards import fill_form, keep_card, sell_by_hand
from sandbox.desk_time import pass_time, show_pages, show_time, visit
from sandbox.desk_views import show_invoices, show_ledger, show_transaction
from sandbox.errors import DeskRefusal
from sandbox.switchboard import describe
from sandbox.world import World


def desk_blueprint(world: World) -> Blueprint:
    """Build the desk.

    Args:
        world: The sandbox.

    Returns:
        The calls of the module's table.
    """
    blueprint = Blueprint("desk", __name__)
    _add_views(blueprint, world)
    _add_settings(blueprint, world)
    _add_acts(blueprint, world)

    @blueprint.errorhandler(DeskRefusal)
    def refuse(refusal: DeskRefusal) -> tuple[Response, int]:
        return jsonify(error=refusal.message), refusal.http_status

    return blueprint


def _add_views(blueprint: Blueprint, world: World) -> None:
    @blueprint.get("/healthz")
    def health() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/sandbox/ledger")
    def ledger() -> Response:
        return jsonify(show_ledger(world.ledger, request.args.get("tran_ref"), request.args.get("cart_id")))

    @blueprint.get("/sandbox/invoices")
    def invoices() -> Response:
        return jsonify(invoices=show_invoices(world.invoices))

    @blueprint.get("/sandbox/pages")
    def pages() -> Response:
        return jsonify(pages=show_pages(world, request.args.get("tran_ref")))

    @blueprint.get("/sandbox/time")
    def time() -> Response:
        return jsonify(show_time(world))

    @blueprint.get("/sandbox/requests")
    def requests() -> Response:
        path, cart_id = request.args.get("path"), request.args.get("cart_id")
        found = [one for one in list(world.requests) if path in (None, one["path"])]
        return jsonify(requests=[one for one in found if cart_id is None or _cart_of(one) == cart_id])

    @blueprint.get("/sandbox/notifications")
    def notifications() -> Response:
        tran_ref = request.args.get("tran_ref")
        found = [one for one in world.courier.log() if tran_ref in (None, one["tran_ref"])]
        fates = world.announcer.fates()
        return jsonify(notifications=found, waiting=world.courier.waiting(), fates=fates)


def _add_settings(blueprint: Blueprint, world: World) -> None:
    @blueprint.get("/sandbox/switches")
    def switches() -> Response:
        return jsonify(describe() if request.args.get("describe") else world.switches.now.model_dump())

    @blueprint.put("/sandbox/switches")
    def change_switches() -> Response:
        return jsonify(world.switches.change(_members()).model_dump())

    @blueprint.get("/sandbox/faults")
    def faults() -> Response:
        return jsonify(faults=world.faults.waiting())

    @blueprint.post("/sandbox/faults")
    def order_fault() -> tuple[Response, int]:
        return jsonify(world.faults.order(_members()).model_dump()), 201

    @blueprint.delete("/sandbox/faults")
    def clear_faults() -> Response:
        world.faults.clear()
        return jsonify(faults=[])


def _add_acts(blueprint: Blueprint, world: World) -> None:
    @blueprint.post("/sandbox/pay")
    def press() -> Response:
        return jsonify(pay(world, _members(parse_float=Decimal)))

    @blueprint.post("/sandbox/visit")
    def load() -> Response:
        return jsonify(visit(world, _members("tran_ref")))

    @blueprint.post("/sandbox/time")
    def advance() -> Response:
        return jsonify(pass_time(world, _members()))

    @blueprint.post("/sandbox/payment_token")
    def form() -> tuple[Response, int]:
        return jsonify(fill_form(world, _members("card"))), 201

    @blueprint.post("/sandbox/token")
    def keep() -> tuple[Response, int]:
        return jsonify(
            keep_card(world, _members("card", "expiry", "token_info", "customer_details", parse_float=Decimal))
        ), 201

    @blueprint.post("/sandbox/sale")
    def sell() -> tuple[Response, int]:
        members = _members("amount", "currency", "cart_id", "card", "customer_details", parse_float=Decimal)
        return jsonify(show_transaction(world.ledger, sell_by_hand(world, members))), 201

    @blueprint.post("/sandbox/notify")
    def send_notice() -> Response:
        return jsonify(notify(world, _members()))

    @blueprint.post("/sandbox/dashboard")
    def act() -> Response:
        members = _members("tran_ref", "action", "amount", parse_float=Decimal)
        done = world.dashboard.act(str(members.get("tran_ref")), str(members.get("action")), members.get("amount"))
        return jsonify(show_transaction(world.ledger, done))

    @blueprint.post("/sandbox/reset")
    def reset() -> Response:
        world.reset()
        return jsonify(status="ok")


def _members(*allowed: str, parse_float: Callable[[str], Any] = float) -> Mapping[str, Any]:
    try:
        members = json.loads(request.get_data(), parse_float=parse_float)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        raise DeskRefusal("a JSON object was expected")
    unknown = sorted(set(members) - set(allowed)) if allowed else []
    if unknown:
        raise DeskRefusal(f"unknown: {', '.join(unknown)}; known: {', '.join(allowed)}")
    return members


def _cart_of(record: Mapping[str, Any]) -> object:
    body = record["body"]
    return body.get("cart_id") if isinstance(body, dict) else None
