"""Why a server did not build an index, as one sentence; it repeats no value of a document."""

from collections.abc import Sequence

from pymongo.errors import OperationFailure

#: How many indexes MongoDB allows on one collection.
MOST_INDEXES = 64

#: The server's error codes that an operator can do something about, and what they mean; `{fields}` are the index's.
REASONS = {
    13: "the database user may not build or drop indexes: it needs the role readWrite or dbAdmin here",
    67: f"the collection has {MOST_INDEXES} indexes, as many as MongoDB allows: drop one that nobody uses "
    "('nestcms-workers indexes usage')",
    85: "another index has the same keys with other options: 'nestcms-workers indexes plan' names it",
    86: "another index has the same name: 'nestcms-workers indexes plan' names it",
    166: "the collection is a view, which has no indexes",
    171: "documents have lists in more than one of {fields}, and MongoDB cannot index parallel arrays",
    276: "somebody stopped the build",
    11000: "documents have the same value in {fields}, and it is to be unique",
    14031: "the disk is too full: MongoDB needs room for the index beside the data",
}


def why(
    error: OperationFailure, collection: str, name: str, keys: Sequence[tuple[str, int]] = (), *, act: str = "built"
) -> str:
    """Say in one sentence why an index was not built, or not dropped."""
    fields = ", ".join(field for field, _ in keys)
    known = REASONS.get(error.code or 0)
    named = str((error.details or {}).get("codeName", error.code))
    reason = known.format(fields=fields) if known else f"the server answered {named}; its log says more"
    return f"{collection}: {name} was not {act}: {reason}."
