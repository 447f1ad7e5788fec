"""The hosted page's addresses: the form, the bank's step and the stand-in for other methods."""

from flask import Blueprint
from werkzeug.wrappers import Response as AnyResponse

from sandbox.errors import UnknownTransaction
from sandbox.hosted_page import HostedPage, unknown_page
from sandbox.world import World


def page_blueprint(world: World) -> Blueprint:
    """Build the hosted page.

    Args:
        world: The sandbox.

    Returns:
        `/payment/wr/<page_id>`, its 3-D Secure step, and the stand-in for other methods.
    """
    blueprint = Blueprint("page", __name__)
    desk = HostedPage(world)
    _add_form(blueprint, world, desk)
    _add_steps(blueprint, world, desk)

    @blueprint.errorhandler(UnknownTransaction)
    def unknown(_: UnknownTransaction) -> AnyResponse:
        return unknown_page()

    return blueprint


def _add_form(blueprint: Blueprint, world: World, desk: HostedPage) -> None:

    @blueprint.get("/payment/wr/<page_id>")
    def show(page_id: str) -> AnyResponse:
        return desk.show(world.pages.find(page_id))

    @blueprint.post("/payment/wr/<page_id>")
    def submit(page_id: str) -> AnyResponse:
        return desk.submit(world.pages.find(page_id))


def _add_steps(blueprint: Blueprint, world: World, desk: HostedPage) -> None:
    @blueprint.get("/payment/wr/<page_id>/3ds")
    def show_three_ds(page_id: str) -> AnyResponse:
        return desk.show_three_ds(world.pages.find(page_id))

    @blueprint.post("/payment/wr/<page_id>/3ds")
    def submit_three_ds(page_id: str) -> AnyResponse:
        return desk.submit_three_ds(world.pages.find(page_id))

    @blueprint.get("/payment/wr/<page_id>/method")
    def show_method(page_id: str) -> AnyResponse:
        return desk.show_method(world.pages.find(page_id))

    @blueprint.post("/payment/wr/<page_id>/method")
    def submit_method(page_id: str) -> AnyResponse:
        return desk.submit_method(world.pages.find(page_id))
