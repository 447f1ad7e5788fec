"""The stage of every act here: a whole system on servers of its own, of which any may be killed or frozen."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import requests
from pymongo import MongoClient
from pymongo.database import Database

from config.connections import mongo_client
from config.settings import Settings
from tests.support.clocks import MovedClock
from tests.support.cms import SeededPayment, seed_payment
from tests.support.guarded_mongo import RotatedMongo
from tests.support.notices import sign
from tests.support.sandbox import Sandbox
from tests.support.system import MONEY, SHORT_TIMES, System, system_settings
from workers.stack import EmbeddedMongo, EmbeddedValkey

Json = dict[str, Any]

#: Set to "earnest" to see the times that a system in production has; what heals with time then takes ten times longer.
TIMES = {} if os.environ.get("NESTCMS_CHAOS_TIMES") == "earnest" else SHORT_TIMES

#: The longest that anything here may take to heal, in seconds; the promise made for a lost worker.
HEALS_WITHIN_SECONDS = 60.0

#: A card that the sandbox accepts.
GOOD_CARD = "4111111111111111"


@dataclass
class Stage:
    """A running system, the servers under it, and the acts of the CMS, the payer and PayTabs."""

    system: System
    mongo: EmbeddedMongo
    valkey: EmbeddedValkey
    sandbox: Sandbox
    client: MongoClient[Json] = field(repr=False)
    #: The settings of whoever looks at the system from outside: an administrator's where the database is guarded.
    desk: Settings = field(repr=False)

    @property
    def database(self) -> Database[Json]:
        """The system's database."""
        return self.client[self.system.settings.mongo_database]

    def page(self) -> tuple[SeededPayment, str]:
        """Seed a payment and have its page made: the payment and the page's reference."""
        payment = seed_payment(self.database)
        return payment, self.system.run("payments.create_page", payment_id=payment.payment_id)["tran_ref"]

    def pay(self, tran_ref: str) -> bytes:
        """Have the payer pay while the notice gets lost, and give the body that it would have had."""
        self.sandbox.fault("notifications", "none", times=0)
        self.sandbox.pay(tran_ref, GOOD_CARD)
        self.sandbox.clear_faults()
        nowhere = "http://127.0.0.1:1/"
        return str(self.sandbox.notify(tran_ref, url=nowhere)["body"]).encode()

    def deliver(self, body: bytes) -> requests.Response:
        """Post a signed notice to the receiver, as PayTabs does."""
        url = f"{self.system.receiver_url}/webhooks/paytabs"
        return requests.post(url, data=body, headers=sign(body), timeout=15)

    def is_paid(self, payment: SeededPayment) -> bool:
        """Tell whether the CMS reads that a payment is paid."""
        found = self.database["payments"].find_one({"_id": payment.payment})
        return found is not None and found["status"] == "paid"

    def delivery(self, body: bytes) -> Json | None:
        """Give the inbox's row of a notice."""
        return self.database["webhook_inbox"].find_one({"_id": sha256(body).hexdigest()})

    def is_applied(self, body: bytes) -> bool:
        """Tell whether a notice has been applied."""
        row = self.delivery(body)
        return row is not None and row["status"] == "done" and row["result"]["result"] == "applied"

    def charges(self, payment: SeededPayment) -> list[Json]:
        """List what PayTabs has charged for a payment, over all of its carts."""
        rows = self.database["payment_operations"].find({"payment_id": payment.payment})
        carts = {send["cart_id"] for row in rows for send in row["sends"]}
        return [one for one in self.sandbox.ledger() if one["cart_id"] in carts and one["status"] == "A"]


def staged(
    directory: Path,
    sandbox: Sandbox,
    members: int,
    *,
    workers: int = 1,
    times: Json = TIMES,
    processes: Sequence[str] = MONEY,
    clocks: Mapping[str, MovedClock] = MappingProxyType({}),
    broker: Callable[[Path], EmbeddedValkey] = EmbeddedValkey,
    guarded: bool = False,
    **changes: Any,
) -> Iterator[Stage]:
    """Run a system of so many money workers, or of other processes, on a replica set of so many nodes.

    Args:
        directory: Where the servers keep their data.
        sandbox: Who answers for PayTabs.
        members: How many nodes.
        workers: How many money workers.
        times: The time chain.
        processes: Which processes, by their names.
        broker: What is started as the broker.
        guarded: Whether the database, of one node then, asks who one is.
        clocks: The clocks of those that are on machines of their own.
        **changes: Settings by name.
    """
    with (
        RotatedMongo(directory) if guarded else EmbeddedMongo(directory / "mongo", members=members) as mongo,
        broker(directory / "valkey") as valkey,
    ):
        settings = system_settings(
            mongo_uri=mongo.uri, redis_url=valkey.url, sandbox_url=sandbox.url, directory=directory, **times, **changes
        )
        desk = (
            settings.model_copy(update={"mongo_uri": mongo.admin_uri}) if isinstance(mongo, RotatedMongo) else settings
        )
        with (
            System(settings, processes, workers=workers, clocks=clocks) as system,
            mongo_client(desk, timeout_seconds=10) as client,
        ):
            yield Stage(system, mongo, valkey, sandbox, client, desk)
