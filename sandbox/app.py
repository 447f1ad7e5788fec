"""The application: gateway, hosted page and desk of one sandbox, behind the wire that faults befall."""

from typing import TYPE_CHECKING

from flask import Flask

from sandbox.desk import desk_blueprint
from sandbox.gateway import Gateway, gateway_blueprint
from sandbox.invoice_calls import invoice_blueprint
from sandbox.page import page_blueprint
from sandbox.token_calls import token_blueprint
from sandbox.wire import Wire
from sandbox.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def create_application(world: World) -> "WSGIApplication":
    """Assemble the application.

    Args:
        world: The sandbox.

    Returns:
        A WSGI application; it needs werkzeug's server, which lends it the socket.
    """
    app = Flask("sandbox", static_url_path="/payment/static")
    app.json.sort_keys = False  # type: ignore[attr-defined] # the default provider has it; its base class does not say so
    gateway = Gateway(world)
    app.register_blueprint(gateway_blueprint(gateway))
    app.register_blueprint(token_blueprint(world, gateway))
    app.register_blueprint(invoice_blueprint(world, gateway))
    app.register_blueprint(page_blueprint(world))
    app.register_blueprint(desk_blueprint(world))
    return Wire(app, world)
