"""How the desk shows and turns time: which page and invoice ends when, and how long a test need not wait."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sandbox.desk_acts import read_order
from sandbox.errors import DeskRefusal, GatewayRefusal
from sandbox.identifiers import desk_time
from sandbox.pages import Page
from sandbox.world import World


class TimeOrder(BaseModel):
    """What `POST /sandbox/time` takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = Field(0, ge=0, le=1e9)
    minutes: float = Field(0, ge=0, le=1e7)
    tran_ref: str | None = None
    invoice_id: int | None = None


def show_time(world: World) -> dict[str, Any]:
    """Write what the clock of ages says, and how far it is ahead of the true time."""
    return {"now": desk_time(world.clock()), "ahead_seconds": world.clock.ahead.total_seconds()}


def pass_time(world: World, members: Mapping[str, Any]) -> dict[str, Any]:
    """Let time pass.

    Args:
        world: The sandbox.
        members: `seconds` and `minutes`; `tran_ref` or `invoice_id` for that page or invoice alone.

    Returns:
        The time after it.

    Raises:
        DeskRefusal: For an unknown page or invoice, or when no time was named.
    """
    order = read_order(TimeOrder, members)
    by = timedelta(seconds=order.seconds, minutes=order.minutes)
    if not by or (order.tran_ref is not None and order.invoice_id is not None):
        raise DeskRefusal("seconds or minutes above 0 were expected, and at most one of tran_ref and invoice_id")
    if order.tran_ref is not None:
        world.passing.age_page(order.tran_ref, by)
    elif order.invoice_id is not None:
        try:
            world.passing.age_invoice(order.invoice_id, by)
        except GatewayRefusal as refusal:
            raise DeskRefusal(f"invoice_id: {refusal.message}", 404) from None
    else:
        world.passing.advance(by)
    return show_time(world)


def visit(world: World, members: Mapping[str, Any]) -> dict[str, Any]:
    """Load a page as a payer's browser does, who does nothing yet.

    Args:
        world: The sandbox.
        members: `tran_ref`.

    Returns:
        The page, and whether it `shows_form`.
    """
    page = world.pages.of(str(members.get("tran_ref")))
    shows_form = world.pages.visit(page)
    return {**show_page(world, page), "shows_form": shows_form}


def show_pages(world: World, tran_ref: str | None) -> list[dict[str, Any]]:
    """Write every page, or the one of a transaction."""
    pages = world.pages.all()
    return [show_page(world, one) for one in pages if tran_ref in (None, one.tran_ref)]


def show_page(world: World, page: Page) -> dict[str, Any]:
    """Write how a page stands, by the clock of ages."""
    pages = world.pages
    if not pages.takes_acts(page):
        state = "closed" if page.closed else "paid"
    else:
        state = "dead" if pages.is_over(page) else "ended" if pages.is_ended(page) else "open"
    return {
        "tran_ref": page.tran_ref,
        "page_path": f"/payment/wr/{page.page_id}",
        "state": state,
        "opened_at": desk_time(page.opened_at),
        "ends_at": desk_time(page.ends_at),
        "last_moment": desk_time(page.last_moment(world.switches.now)),
        "visited_at": page.visited_at and desk_time(page.visited_at),
        "method": page.method,
    }
