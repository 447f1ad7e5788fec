"""The CMS beside a running system: it asks for pages by task, and reads what became of them in its own documents."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from config.connections import database, mongo_client
from config.settings import Settings
from tasks.wiring import build_world, ensure_indexes
from tests.support.system import System
from tests.support.waiting import eventually

Document = dict[str, Any]


class Cms:
    """What the CMS does around a payment.

    Args:
        system: The running processes.
        documents: The CMS's database.
    """

    def __init__(self, system: System, documents: Database[Document]) -> None:
        self.settings = system.settings
        self.database = documents
        self._system = system

    def page_for(self, payment: ObjectId, **arguments: Any) -> str:
        """Ask for a hosted page, in English unless told otherwise, and give its address."""
        asked = {"payment_id": str(payment), "language": "en", **arguments}
        return str(self._system.run("payments.create_page", **asked)["redirect_url"])

    def payment(self, payment: ObjectId) -> Document:
        """Read a payment's document."""
        found = self.database["payments"].find_one({"_id": payment})
        assert found is not None
        return found

    def settled(self, payment: ObjectId, status: str, state: str) -> Document:
        """Wait until a payment's document has a status and the state behind it."""

        def look() -> Document | None:
            found = self.payment(payment)
            return found if (found["status"], found["gateway"]["state"]) == (status, state) else None

        return eventually(look, what=f"{payment} {status} ({state})") or {}


@contextmanager
def running_cms(settings: Settings) -> Iterator[Cms]:
    """Run worker, beat and receiver during the block, on a database that is dropped after it."""
    world = build_world(settings)
    ensure_indexes(world)
    world.close()
    with mongo_client(settings) as client, System(settings) as system:
        yield Cms(system, database(client, settings))
        client.drop_database(settings.mongo_database)
