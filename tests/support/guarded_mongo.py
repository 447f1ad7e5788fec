"""A MongoDB that asks who one is, and an administrator who gives out users."""

import time
from pathlib import Path
from typing import Any, Self

from pymongo import MongoClient

from workers.stack import EmbeddedMongo
from workers.stack_replica_set import is_primary

Document = dict[str, Any]

ADMIN, ADMIN_PASSWORD = "admin", "a-long-password"


class GuardedMongo(EmbeddedMongo):
    """One node that lets nobody do anything without a user.

    Args:
        directory: where its data and its key are.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "mongo")
        self._key = directory / "set.key"

    def start(self) -> Self:
        """Start it open to everybody, make the administrator, and start it again guarded."""
        super().start()
        with MongoClient[Document](self.uri) as client:
            client.admin.command("createUser", ADMIN, pwd=ADMIN_PASSWORD, roles=["root"])
        self.stop()
        self._key.write_text("c2VjcmV0LW9mLXRoZS1zZXQ=")
        self._key.chmod(0o600)
        self._extra_arguments = ("--auth", "--keyFile", str(self._key))
        self._start_nodes()
        while not is_primary(self.ports[0]):
            time.sleep(0.02)
        return self

    def as_user(self, name: str, password: str) -> str:
        """Give the address for a user."""
        return self.uri.replace("mongodb://", f"mongodb://{name}:{password}@") + "&authSource=admin"

    def admin(self) -> MongoClient[Document]:
        """Give the administrator's client."""
        return MongoClient(self.as_user(ADMIN, ADMIN_PASSWORD))
