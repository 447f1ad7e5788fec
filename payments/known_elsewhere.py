"""Payments and carts of which somebody else knows more than our ledger: whom a comparison has to ask about besides.

After a restore the CMS's documents, the inbox, the audit trail and the file of seals may tell of operations that no row
tells of. Their carts can be made from their ids; those of our own rows' forgotten sends from their numbers.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from bson import ObjectId
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from payments.carts import cart_of, payment_in
from payments.epochs import Epoch
from payments.forgotten import OTHERS_GAP, PAGES_GAP
from payments.forgotten_known import possible_carts
from payments.operations import Operation
from payments.seal_copy import SealCopy, sent_in
from payments.seals import Seal
from payments.sent_elsewhere import SentElsewhere

Document = dict[str, Any]


@dataclass(frozen=True)
class KnownElsewhere:
    """Looks for them.

    Attributes:
        epoch: Tells which epoch of the ledger it is.
        copy: The file of seals, where there is one.
        is_behind: Whether the database may have forgotten sends though nobody has said so.
        named: Payments of which others know more than our events say, once they were looked for.
    """

    database: Database[Document]
    profile_id: int
    epoch: Callable[[], Epoch]
    sent: SentElsewhere
    copy: SealCopy | None
    is_behind: bool
    named: set[str] = field(default_factory=set)

    def payments(self, since: datetime, until: datetime) -> set[str]:
        """Return the payments of which the CMS, the inbox or the file of seals knows more than our events say."""
        sealed = {payment_id for seal in self._beyond for payment_id in seal.head_marks}
        self.named.update(sealed, self._sealed_sends, self.sent.payments())
        self.named.update(self._told(since, until), self._shown(since, until))
        return self.named

    def carts(self, payment_id: str, rows: Sequence[Operation]) -> set[str]:
        """Return carts under which PayTabs may have something of a payment that our rows do not tell of.

        Args:
            payment_id: 24 hexadecimal digits.
            rows: its operations.
        """
        epoch = self.epoch()
        epochs = range(epoch.number + 1)
        known = {row.operation_id for row in rows}
        named = [*self.sent.of(payment_id), *self._sealed_sends.get(payment_id, ())]
        found = {
            cart
            for name in dict.fromkeys(named)
            if name not in known
            for cart in possible_carts(self.profile_id, payment_id, name, epochs)
        }
        if self.is_behind or payment_id in self.named or epoch.past(ObjectId(payment_id).generation_time):
            found.update(self._further(payment_id, rows, epochs))
        return found

    def _further(self, payment_id: str, rows: Sequence[Operation], epochs: Iterable[int]) -> Iterator[str]:
        """Give the carts of sends of our rows, and of pages without an id, that come after those that we know."""
        firsts = {row.operation_id: len(row.sends) + 1 for row in rows if row.kind != "adopt"}
        for number in range(1, len(rows) + 1 + PAGES_GAP):
            firsts.setdefault(f"page-{payment_id}-{number}", 1)
        for epoch in epochs:
            for name, first in firsts.items():
                for number in range(first, first + OTHERS_GAP):
                    yield cart_of(self.profile_id, payment_id, name, epoch=epoch, number=number)

    @cached_property
    def _beyond(self) -> list[Seal]:
        """Return the seals that the file has and the database has not."""
        return list(self.copy.beyond()) if self.copy else []

    @cached_property
    def _sealed_sends(self) -> dict[str, list[str]]:
        """Return the operations that those seals name, by payment."""
        named: dict[str, list[str]] = {}
        for seal in self._beyond:
            for payment_id, operation_id in sent_in(seal):
                named.setdefault(payment_id, []).append(operation_id)
        return named

    def _told(self, since: datetime, until: datetime) -> Iterator[str]:
        """Give the payments whose derived cart a delivery names that was applied to nothing."""
        rows = self.database.get_collection("webhook_inbox", read_preference=ReadPreference.PRIMARY)
        unknown = {"redacted_at": None, "received_at": {"$gte": since, "$lt": until}, "result.payment_id": None}
        for row in rows.find(unknown, {"body": True}):
            payment_id = payment_in(_cart_in(row.get("body")))
            if payment_id is not None:
                yield payment_id

    def _shown(self, since: datetime, until: datetime) -> Iterator[str]:
        """Give the payments whose document knows of more events than there are."""
        within = {"updatedAt": {"$gte": since, "$lt": until}, "gateway.version": {"$type": "number"}}
        documents = self.database.get_collection("payments", read_preference=ReadPreference.PRIMARY)
        events = self.database.get_collection("payment_events", read_preference=ReadPreference.PRIMARY)
        for row in documents.find(within, {"gateway.version": True}):
            event = {"payment_id": row["_id"], "version": int(row["gateway"]["version"])}
            if event["version"] > 0 and events.find_one(event, {"_id": True}) is None:
                yield str(row["_id"])


def _cart_in(body: object) -> str | None:
    try:
        cart_id = json.loads(body)["cart_id"] if isinstance(body, bytes) else None
    except (ValueError, KeyError, TypeError):
        return None
    return cart_id if isinstance(cart_id, str) else None
