"""Planting a person where the CMS keeps people, and looking for traces of them where we keep things."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import redis
from bson import ObjectId
from pymongo.database import Database

from tests.support.cms import SeededPayment

Document = dict[str, Any]

#: What the CMS knows of the planted person, by where it stands in a user's document.
PERSON: Mapping[str, str] = {
    "fullName": "Zwilhelmina Quixotrix",
    "email": "zw.quixotrix@planted.example",
    "phone": "+966598761234",
    "address.street": "77 Sycamorette Lane",
    "address.city": "Plantopolis",
}

#: Words by which the person is found, and the part of a masked card that no other text has.
TRACES = ("Zwilhelmina", "Quixotrix", "quixotrix", "598761234", "Sycamorette", "Plantopolis", "11## ####")

#: The CMS's own collections: people belong there.
CMS = frozenset({"users", "payments", "contracts", "projects"})


def plant(database: Database[Document], seeded: SeededPayment) -> None:
    """Make the person the client of a payment, the contract's employee, and part of the payment's title."""
    database["users"].update_many({"_id": {"$in": [seeded.client, seeded.employee]}}, {"$set": dict(PERSON)})
    words = {"title": "Instalment of Zwilhelmina Quixotrix", "content": "To 77 Sycamorette Lane"}
    database["payments"].update_one({"_id": seeded.payment}, {"$set": words})


def traces_in(text: str) -> list[str]:
    """List the traces that a text has."""
    return [trace for trace in TRACES if trace in text]


def collections_with_traces(database: Database[Document]) -> set[str]:
    """Name our collections in which a trace stands, those that nobody has thought of included."""
    ours = [name for name in database.list_collection_names() if name not in CMS]
    return {name for name in ours if any(traces_in(text) for row in database[name].find() for text in texts(row))}


def traces_in_redis(url: str) -> list[str]:
    """List the traces that a Redis database has, in keys, texts, lists and hashes."""
    readers: dict[str, Callable[[redis.Redis, bytes], Any]] = {
        "string": lambda client, key: [client.get(key)], "list": lambda client, key: client.lrange(key, 0, -1),
        "hash": lambda client, key: [part for pair in client.hgetall(key).items() for part in pair],
        "set": lambda client, key: client.smembers(key), "zset": lambda client, key: client.zrange(key, 0, -1),
    }  # fmt: skip
    with redis.Redis.from_url(url) as client:
        keys = list(client.scan_iter())
        kept = [*keys, *(part for key in keys for part in readers[client.type(key).decode()](client, key))]
    return [trace for part in kept for trace in traces_in(bytes(part).decode(errors="replace"))]


def texts(value: object) -> Iterator[str]:
    """Give every text in a document: names and values, bytes included, at any depth."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            yield str(name)
            yield from texts(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from texts(member)
    elif isinstance(value, bytes):
        yield value.decode(errors="replace")
    elif not isinstance(value, ObjectId):
        yield str(value)
