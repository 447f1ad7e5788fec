"""Whether the seals in the database are those outside of it; what the copy has not got yet is no difference."""

from typing import Any

from pymongo.database import Database

from payments.audit_seals import Copies
from payments.errors import SealsDiffer
from payments.seal_file import SealFile
from payments.seal_store import SealStore


def seals_apart(database: Database[dict[str, Any]], file: SealFile | None) -> str | None:
    """Name the first seal that is another one in the database than in the file; None when none is, or without a file.

    Args:
        database: where the seals are.
        file: their copy outside.
    """
    if file is None or not file.path.exists():
        return None
    store = SealStore(database)
    try:
        with file.still():
            size = file.size()
        newest = max((seal.n for _, seal in file.lines(size) if seal is not None), default=0)
        found = (one for _, found in Copies(store, newest, file, size).together() for one in found)
        first = next(found, None)
    except (OSError, SealsDiffer) as error:
        return f"the seals' copy {file.path} cannot be read: {error}"
    return str(first) if first else None
