"""What the watcher looks at: collections of the CMS, the fields that say where a document belongs, and tags of reads.

A table per question; a collection that is in none of them is not watched.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from aggregations.earnings import OF_ORGS, OF_PROJECTS
from aggregations.view_keys import ids

#: The fields that a view's groups and the tags depend on, per collection.
KEPT: Mapping[str, tuple[str, ...]] = {
    "payments": ("createdAt", "status", "contractId", "client"),
    "notes": ("onId", "onModel"),
    OF_PROJECTS: ("project",),
    OF_ORGS: ("orgz",),
    "contracts": (),
    "projects": (),
}

#: Which fields list the ids of other documents, and where those are.
REFERENCES: Mapping[str, Mapping[str, str]] = {
    "contracts": {"paymentsIds": "payments"},
    "projects": {"designs": "designs", "steps": "projectsteps", "workers": "projectworkers"},
}

#: What a document of the collection is called in tags, and the tag of all of them.
TAGS: Mapping[str, tuple[str | None, str | None]] = {
    "payments": ("payment", "payments"),
    "contracts": ("contract", "contracts"),
    "projects": ("project", "projects"),
    "users": ("user", "users"),
    "orgzs": ("org", None),
    "designs": (None, "designs"),
    "projectsteps": (None, "steps"),
    "projectworkers": (None, "workers"),
    "notes": (None, "notes"),
    "permissions": (None, "permissions"),
    OF_PROJECTS: (None, "earnings"),
    OF_ORGS: (None, "earnings"),
}

#: What else a document is about: the field that names it, one of those that are kept, and what it is called in tags.
ABOUT: Mapping[str, Mapping[str, str]] = {
    "payments": {"contractId": "contract", "client": "client"},
    "notes": {"onId": "project"},
    OF_PROJECTS: {"project": "project"},
    OF_ORGS: {"orgz": "org"},
}

#: The longest text that the map keeps; no status, and no name of a model, is longer.
LONGEST = 64

#: Everything that is watched.
WATCHED: tuple[str, ...] = tuple(TAGS)

#: The collections whose documents others list.
REFERRED = frozenset(source for fields in REFERENCES.values() for source in fields.values())

#: The fields that a document is asked for; all else stays in the database.
SHOWN: tuple[str, ...] = tuple(
    sorted({name for table in (KEPT, REFERENCES, ABOUT) for fields in table.values() for name in fields})
)

#: The fields that an update is asked for. Lists of references are taken from the document: told twice, long ones would
#: be more than the database can send.
TOLD: tuple[str, ...] = tuple(sorted({name for fields in KEPT.values() for name in fields}))


def kept(collection: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a document that say where it belongs."""
    return {name: plain(document[name]) for name in KEPT.get(collection, ()) if name in document}


def plain(value: object) -> Any:  # noqa: ANN401 - whatever stands in a document
    """Return a value as the map keeps it: ids, times and short texts; of anything odd only that it was there.

    The ids of a list keep their places, since an update may name one.
    """
    if isinstance(value, list):
        places = [one if isinstance(one, ObjectId) else None for one in value]
        while places and places[-1] is None:
            places.pop()
        return places
    short = isinstance(value, str) and len(value) <= LONGEST
    return value if short or isinstance(value, ObjectId | datetime | None) else True


def is_kept(collection: str) -> bool:
    """Tell whether the map holds this collection's documents: those whose id alone does not say where they belong."""
    return bool(KEPT.get(collection)) or collection in REFERENCES


def tags_of(collection: str, one: object, fields: Mapping[str, Any]) -> Iterator[str]:
    """Return what is out of date once a document with these fields has changed."""
    single, all_of_them = TAGS[collection]
    if all_of_them:
        yield all_of_them
    if single and isinstance(one, ObjectId):
        yield f"{single}:{one}"
    if collection == "users" and isinstance(one, ObjectId):
        yield f"client:{one}"
    for name, called in ABOUT.get(collection, {}).items():
        yield from (f"{called}:{found}" for found in ids(fields.get(name)))
