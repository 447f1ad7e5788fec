"""A copy of a database and its return, as an operator who restores a backup brings it about."""

from typing import Any

from pymongo.client_session import ClientSession
from pymongo.database import Database

Document = dict[str, Any]


class DatabaseCopy:
    """All that stood in a database at one moment.

    Args:
        database: Where nobody writes meanwhile, or else with a session.
        session: One of snapshots, which all show the same moment.
    """

    def __init__(self, database: Database[Document], session: ClientSession | None = None) -> None:
        self._database = database
        self._kept = {name: list(database[name].find(session=session)) for name in database.list_collection_names()}

    def restore(self) -> None:
        """Put everything back as it was; indexes stay."""
        for name in self._database.list_collection_names():
            self._database[name].delete_many({})
            if self._kept.get(name):
                self._database[name].insert_many(self._kept[name])
