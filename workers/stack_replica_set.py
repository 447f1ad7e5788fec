"""What is said to the nodes of an embedded replica set so that they are one, on whatever ports they stand."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

#: The replica set's name, part of its address.
REPLICA_SET = "nestcms"

#: After how long without a primary the secondaries elect one, in milliseconds: MongoDB's default is 10,000.
ELECTION_TIMEOUT_MS = 2000

#: How often the nodes look after each other, in milliseconds; the default of 2,000 makes the first start take 13 s.
HEARTBEAT_INTERVAL_MS = 500

#: How long one administrative command may take, in milliseconds.
COMMAND_TIMEOUT_MS = 10_000

#: How long a look at one node may take, in milliseconds.
LOOK_TIMEOUT_MS = 1000

#: MongoDB's error for a set that exists already.
ALREADY_INITIALIZED = 23

#: The member states of a node that serves: primary and secondary.
SERVING_STATES = {1, 2}

Command = Callable[..., dict[str, Any]]


def node_uri(port: int) -> str:
    """Give the address of one node alone."""
    return f"mongodb://127.0.0.1:{port}/?directConnection=true"


@contextlib.contextmanager
def node(port: int, timeout_ms: int = COMMAND_TIMEOUT_MS) -> Iterator[MongoClient[dict[str, Any]]]:
    """Give a short-lived client of one node, whatever its state."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        node_uri(port), serverSelectionTimeoutMS=timeout_ms, connectTimeoutMS=timeout_ms, socketTimeoutMS=timeout_ms
    )
    with client:
        yield client


def initiate(port: int, hosts: Sequence[str]) -> None:
    """Make nodes without a configuration one set; nothing happens when they are one already."""
    settings = {"electionTimeoutMillis": ELECTION_TIMEOUT_MS, "heartbeatIntervalMillis": HEARTBEAT_INTERVAL_MS}
    members = [{"_id": number, "host": host} for number, host in enumerate(hosts)]
    with node(port) as client:
        try:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members, "settings": settings})
        except OperationFailure as error:
            if error.code != ALREADY_INITIALIZED:
                raise


def relocate(port: int, hosts: Sequence[str]) -> None:
    """Write a set's new addresses into the stored configuration of one node, which runs outside the set meanwhile.

    A forced reconfiguration of the running node would do, but only after the node has asked its old address whether
    that is itself: half a minute when somebody silent listens there.
    """
    with node(port) as client:
        stored = client["local"]["system.replset"]
        new = {f"members.{number}.host": host for number, host in enumerate(hosts)}
        stored.update_one({"_id": REPLICA_SET}, {"$set": new, "$inc": {"version": 1}})


def step_up(port: int) -> None:
    """Ask a node to become primary at once; it may refuse while it is behind."""
    with contextlib.suppress(PyMongoError), node(port) as client:
        client.admin.command("replSetStepUp")


def is_primary(port: int) -> bool:
    """Tell whether a node answers and is the primary."""
    try:
        with node(port, LOOK_TIMEOUT_MS) as client:
            return bool(client.admin.command("hello")["isWritablePrimary"])
    except PyMongoError:
        return False


def is_serving(port: int) -> bool:
    """Tell whether a node answers and is primary or secondary."""
    try:
        with node(port, LOOK_TIMEOUT_MS) as client:
            return client.admin.command("replSetGetStatus")["myState"] in SERVING_STATES
    except PyMongoError:
        return False
