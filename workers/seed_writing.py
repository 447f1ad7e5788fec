"""Writes seeded data: in chunks that any process can make, unordered and without waiting for the disk.

A chunk draws from a generator of its own, so that the documents are the same however many processes there are.
"""

import multiprocessing
import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from random import Random
from typing import Any

from pymongo import MongoClient, WriteConcern
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from config.connections import database, mongo_client
from config.settings import Settings
from workers.seed_families import of_family
from workers.seed_people import Made, of_org, of_user
from workers.seed_plan import SeedPlan

Document = dict[str, Any]

#: What makes the documents of each subject, and how many of the subject make a chunk of some ten thousand documents.
MAKERS: Mapping[str, tuple[Callable[[SeedPlan, int, Random], Iterator[Made]], int]] = {
    "users": (of_user, 1_000),
    "families": (of_family, 400),
    "orgs": (of_org, 25),
}

#: How many documents go to the server at once.
BATCH = 2_000

#: How long the server may take for one batch, in seconds: a busy one is waited for.
BATCH_SECONDS = 120.0

#: The server's code for a document that is there already.
DUPLICATE = 11_000

#: As few documents as are not worth a second process.
SMALL = 20_000


@dataclass(frozen=True)
class Chunk:
    """Some of one subject: `first` up to and without `end`."""

    subject: str
    first: int
    end: int


def chunks(plan: SeedPlan) -> list[Chunk]:
    """Cut a plan into chunks."""
    return [
        Chunk(subject, first, min(first + size, getattr(plan, subject)))
        for subject, (_, size) in MAKERS.items()
        for first in range(0, getattr(plan, subject), size)
    ]


def documents(plan: SeedPlan, chunk: Chunk) -> Iterator[Made]:
    """Make a chunk's documents, each with its collection."""
    make, _ = MAKERS[chunk.subject]
    random = Random(f"{plan.seed}:{chunk.subject}:{chunk.first}")  # noqa: S311 - data, not secrets
    for number in range(chunk.first, chunk.end):
        yield from make(plan, number, random)


#: What is acknowledged so is seen by every later read.
DURABLE = WriteConcern(w="majority", j=True)

#: The id of no document of the CMS's, whose are ObjectIds.
_NOBODY = "nobody"


def write_chunk(db: Database[Document], plan: SeedPlan, chunk: Chunk) -> Counter[str]:
    """Write a chunk and count what was new, by collection; what is there already stays as it is."""
    quick = WriteConcern(w=1, j=False)
    waiting: dict[str, list[Document]] = defaultdict(list)
    written: Counter[str] = Counter()

    def send(name: str) -> None:
        try:
            db.get_collection(name, write_concern=quick).insert_many(waiting[name], ordered=False)
        except BulkWriteError as error:
            failed = error.details["writeErrors"]
            if any(one["code"] != DUPLICATE for one in failed):
                raise
            written[name] -= len(failed)
        written[name] += len(waiting.pop(name))

    for name, document in documents(plan, chunk):
        waiting[name].append(document)
        if len(waiting[name]) == BATCH:
            send(name)
    for name in list(waiting):
        send(name)
    _wait_for_majority(db)
    return written


def _wait_for_majority(db: Database[Document]) -> None:
    """Wait until a majority has what was written, as who reads afterwards sees no more than that has.

    A write that changes nothing is acknowledged only once a majority has everything before it.
    """
    db.get_collection("contracts", write_concern=DURABLE).update_one({"_id": _NOBODY}, {"$set": {"__v": 0}})


def write(
    settings: Settings, plan: SeedPlan, *, processes: int, tell: Callable[[int], None] = lambda _: None
) -> Counter[str]:
    """Write all of a plan.

    Args:
        settings: Where to.
        plan: What.
        processes: How many make and send documents at once; a small plan is written by this one.
        tell: Told how many documents of the plan are done with each step.

    Returns:
        How many were new, by collection.
    """
    written: Counter[str] = Counter()
    if processes == 1 or plan.families * 30 < SMALL:
        with mongo_client(settings, timeout_seconds=BATCH_SECONDS) as client:
            for chunk in chunks(plan):
                one = write_chunk(database(client, settings), plan, chunk)
                written.update(one)
                tell(one.total())
        return written
    # Started afresh instead of forked: a MongoDB client does not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_begin, initargs=(settings,)) as pool:
        for done in as_completed([pool.submit(_write_chunk, plan, chunk) for chunk in chunks(plan)]):
            written.update(done.result())
            tell(done.result().total())
    return written


_own: list[tuple[MongoClient[Document], Settings]] = []


def _begin(settings: Settings) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _own.append((mongo_client(settings, timeout_seconds=BATCH_SECONDS), settings))


def _write_chunk(plan: SeedPlan, chunk: Chunk) -> Counter[str]:
    [(client, settings)] = _own
    return write_chunk(database(client, settings), plan, chunk)


def _end_with_parent() -> None:
    """End this process as soon as the command is gone: killed outright, it tells its pool nothing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
