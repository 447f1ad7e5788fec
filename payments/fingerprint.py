"""Which ledger this is: replica set, database and profile, by which copies of it kept elsewhere are told apart.

The database's own id is no part of it: a copy of before that id would get another one, and no copy outside would know
it, so that nobody noticed the restore.
"""

from typing import Any

from pymongo.database import Database


def fingerprint(database: Database[dict[str, Any]], profile_id: int) -> str:
    """Return the name of the ledger that a profile has in a database; asks the server for the name of its set."""
    replica_set = database.client.admin.command("hello").get("setName", "")
    return f"{replica_set}/{database.name}/{profile_id}"
