"""Reading a whole collection in the order of an index, a page at a time.

Each page is an operation of its own, so that its time limit says something and an election in between does no harm.
Documents of any form are read, since whoever audits must see what others would not find.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from bson import MinKey
from pymongo.collection import Collection

Document = dict[str, Any]

#: How many documents are read at once.
PAGE = 1_000


def in_order(rows: Collection[Document], index: tuple[str, ...], name: str) -> Iterator[Document]:
    """Give every document in the order of an index.

    Args:
        rows: The collection.
        index: The index's fields, ascending; together they are unique.
        name: The index's name.
    """
    last: Document | None = None
    while True:
        found = rows.find().hint(name).min(_place(index, last)).limit(PAGE + 1)
        page = [document for document in found if last is None or document["_id"] != last["_id"]]
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1]


def _place(index: tuple[str, ...], document: Mapping[str, Any] | None) -> list[tuple[str, Any]]:
    if document is None:
        return [(field, MinKey()) for field in index]
    return [(field, document.get(field)) for field in index]
