"""A MongoDB that asks who one is, and an administrator who gives out users."""

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
        with MongoClient[Document](super().uri) as client:
            client.admin.command("createUser", ADMIN, pwd=ADMIN_PASSWORD, roles=["root"])
        self.stop()
        self._key.write_text("c2VjcmV0LW9mLXRoZS1zZXQ=")
        self._key.chmod(0o600)
        self._extra_arguments = ("--auth", "--keyFile", str(self._key))
        self.restart(0)
        return self

    def restart(self, member: int) -> None:
        """Start it again: whoever was let in has to be let in anew."""
        self.servers[member].stop()
        self.servers[member].start()
        self._await(lambda: is_primary(self.ports[member]))

    def as_user(self, name: str, password: str) -> str:
        """Give the address for a user."""
        return super().uri.replace("mongodb://", f"mongodb://{name}:{password}@") + "&authSource=admin"

    def admin(self) -> MongoClient[Document]:
        """Give the administrator's client."""
        return MongoClient(self.as_user(ADMIN, ADMIN_PASSWORD))


class RotatedMongo(GuardedMongo):
    """A guarded MongoDB with one user for the system, whose password may be another one all of a sudden.

    Args:
        directory: where its data and its key are.
    """

    USER, PASSWORD, ROTATED = "system", "the-systems", "another-one"

    def start(self) -> Self:
        """Start it, and make the system's user."""
        super().start()
        self._tell("createUser", pwd=self.PASSWORD, roles=["readWriteAnyDatabase", "clusterMonitor"])
        return self

    @property
    def uri(self) -> str:
        """The address that the system was given."""
        return self.as_user(self.USER, self.PASSWORD)

    @property
    def admin_uri(self) -> str:
        """The address for whoever looks at the system from outside."""
        return self.as_user(ADMIN, ADMIN_PASSWORD)

    def rotate(self) -> None:
        """Give the user another password, and let nobody in who has only the old one."""
        self._tell("updateUser", pwd=self.ROTATED)
        self.restart(0)

    def put_back(self) -> None:
        """Give the user the password that the system has."""
        self._tell("updateUser", pwd=self.PASSWORD)

    def _tell(self, command: str, **given: Any) -> None:
        with self.admin() as client:
            client.admin.command(command, self.USER, **given)
