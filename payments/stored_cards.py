"""What is kept of a stored card, and where: `payment_cards`, one row per card of the profile, its token encrypted.

A card's id is made from its profile and token, so that however often and in whatever order PayTabs tells of a card, it
is one row. What a row says of itself is masked; the token leaves it for PayTabs only.
"""

import hashlib
import re
from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from pymongo import ASCENDING, IndexModel
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.read_preferences import ReadPreference

from paytabs.resilience import spread
from paytabs.transactions import Transaction

Document = dict[str, Any]

#: The collection.
COLLECTION = "payment_cards"

#: A card is good until the end of its month, wherever in the world that ends last.
EXPIRY_MARGIN = timedelta(days=1)

_ID_LENGTH = 24
_LAST_FOUR = re.compile(r"([0-9]{4})\D*$")
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class CardState(StrEnum):
    """Whether a card can be charged: `waiting` ones have no token yet, for want of a key when it came."""

    ACTIVE = "active"
    WAITING = "waiting"
    FORGOTTEN = "forgotten"
    EXPIRED = "expired"


@dataclass(frozen=True)
class StoredCard:
    """One card; `locked` is its encrypted token, `expires` its last month, `agreement` what its holder agreed to.

    `tran_ref` is the transaction that made it, `payment_id` that transaction's payment.
    """

    card_id: str
    client_id: str | None
    payment_id: str
    tran_ref: str
    scheme: str | None
    masked: str | None
    expires: str | None
    kept: CardState
    created_at: datetime
    locked: bytes | None = field(default=None, repr=False)
    agreement: Document | None = None
    forgotten_at: datetime | None = None

    def state(self, now: datetime) -> CardState:
        """Return whether it can be charged at a moment."""
        ended = expires_at(self.expires)
        over = ended is not None and now > ended and self.kept is not CardState.FORGOTTEN
        return CardState.EXPIRED if over else self.kept

    def shown(self) -> Document:
        """Return what everybody may know of it."""
        return {
            "card_id": self.card_id, "scheme": self.scheme, "masked": self.masked, "last4": last_four(self.masked),
            "expires": self.expires,
        }  # fmt: skip


def pause_after(asked: int, pauses: Sequence[timedelta]) -> timedelta:
    """Draw the pause after a question for a token: a lost key has all cards wait from one moment on.

    Args:
        asked: how many questions came before it.
        pauses: the shortest ones; the last one is repeated.
    """
    return timedelta(seconds=spread(pauses[min(asked, len(pauses) - 1)].total_seconds()))


def card_id_of(profile_id: int, token: str) -> str:
    """Return a card's id: 24 hexadecimal digits that say nothing of its token."""
    return hashlib.sha256(f"card\n{profile_id}\n{token}".encode()).hexdigest()[:_ID_LENGTH]


def expires_at(month: str | None) -> datetime | None:
    """Return the moment after which a card is over, if its month is known."""
    found = _MONTH.fullmatch(month or "")
    if found is None:
        return None
    year, number = int(found[1]), int(found[2])
    if year == 0:
        return None
    return datetime(year, number, monthrange(year, number)[1], 23, 59, 59, tzinfo=UTC) + EXPIRY_MARGIN


def last_four(masked: str | None) -> str | None:
    """Return the digits at the end of a masked number."""
    found = _LAST_FOUR.search(masked or "")
    return found[1] if found else None


class CardStore:
    """Reads and writes `payment_cards`; each `_id` is a card's id."""

    INDEXES: Final = (
        IndexModel([("client_id", ASCENDING), ("created_at", ASCENDING)], name="client_id_created_at"),
        IndexModel([("ask_at", ASCENDING)], name="ask_at", sparse=True),
    )

    def __init__(self, database: Database[Document]) -> None:
        """Use a database whose writes are acknowledged by a majority."""
        self.rows = database.get_collection(COLLECTION, read_preference=ReadPreference.PRIMARY)

    def ensure_indexes(self) -> None:
        """Create the collection's indexes; harmless when they are there."""
        self.rows.create_indexes(list(self.INDEXES))

    def get(self, card_id: str, session: ClientSession | None = None) -> StoredCard | None:
        """Return one card."""
        found = self.rows.find_one({"_id": card_id}, session=session)
        return read_card(found) if found else None

    def of_client(self, client_id: str) -> list[StoredCard]:
        """Return a client's cards, oldest first."""
        return [read_card(one) for one in self.rows.find({"client_id": client_id}).sort("created_at", ASCENDING)]

    def shown(self, card_ids: Iterable[str | None], session: ClientSession | None = None) -> dict[str, Document]:
        """Return what everybody may know of some cards, by their ids; of those that are not kept, nothing."""
        wanted = sorted({one for one in card_ids if one})
        found = self.rows.find({"_id": {"$in": wanted}}, session=session) if wanted else ()
        return {row["_id"]: read_card(row).shown() for row in found}

    def keep(self, card: StoredCard, now: datetime, session: ClientSession) -> None:
        """Keep a card; one that is there already stays as it is, a forgotten one forgotten."""
        asked = {"ask_at": now} if card.kept is CardState.WAITING else {}
        self.rows.update_one(
            {"_id": card.card_id}, {"$setOnInsert": {**_written(card), **asked}}, upsert=True, session=session
        )

    def complete(self, card_id: str, locked: bytes, session: ClientSession | None = None) -> None:
        """Give a card that waits for it its token."""
        self.rows.update_one(
            {"_id": card_id, "kept": CardState.WAITING},
            {"$set": {"kept": CardState.ACTIVE, "locked": locked}, "$unset": {"ask_at": "", "asked": ""}},
            session=session,
        )

    def forget(self, card_id: str, by: Document, now: datetime) -> None:
        """Take a card's token away for good; nothing when that is done."""
        self.rows.update_one(
            {"_id": card_id, "kept": {"$ne": CardState.FORGOTTEN}},
            {
                "$set": {"kept": CardState.FORGOTTEN, "forgotten_at": now, "forgotten_by": by},
                "$unset": {"locked": "", "ask_at": "", "asked": ""},
            },
        )

    def relocked(self, card_id: str, before: bytes, after: bytes) -> bool:
        """Replace an encrypted token by the same one encrypted anew; False when it has changed meanwhile."""
        return bool(
            self.rows.update_one({"_id": card_id, "locked": before}, {"$set": {"locked": after}}).modified_count
        )

    def lock_out(self, card_id: str, before: bytes, now: datetime) -> bool:
        """Have a card whose token no key opens wait for it once more."""
        waiting = {"$set": {"kept": CardState.WAITING, "ask_at": now}, "$unset": {"locked": "", "asked": ""}}
        return bool(self.rows.update_one({"_id": card_id, "locked": before}, waiting).modified_count)

    def locked(self) -> Iterable[tuple[str, bytes]]:
        """Give every encrypted token with its card's id."""
        found = self.rows.find({"locked": {"$exists": True}}, {"locked": 1})
        return ((row["_id"], bytes(row["locked"])) for row in found)

    def waiting(self) -> int:
        """Count the cards that wait for their token."""
        return self.rows.count_documents({"ask_at": {"$exists": True}})

    def claim_waiting(self, now: datetime, limit: int, pauses: Sequence[timedelta]) -> list[StoredCard]:
        """Return cards whose token is due to be asked for, each put off by the next of some pauses, or the last."""
        found = self.rows.find({"ask_at": {"$lte": now}}).sort("ask_at", ASCENDING).limit(limit)
        claimed = []
        for row in found:
            asked = int(row.get("asked", 0))
            later = {"$set": {"ask_at": now + pause_after(asked, pauses), "asked": asked + 1}}
            if self.rows.update_one({"_id": row["_id"], "ask_at": row["ask_at"]}, later).modified_count:
                claimed.append(read_card(row))
        return claimed

    def touch(self, card_id: str, session: ClientSession) -> None:
        """Change a card within a transaction, so that of two which decide upon it at once the later decides anew."""
        self.rows.update_one({"_id": card_id}, {"$inc": {"decisions": 1}}, session=session)


def card_from(seen: Transaction, *, card_id: str, client_id: str | None, payment_id: str, now: datetime) -> StoredCard:
    """Return the card that a transaction tells of, without its token yet."""
    return StoredCard(
        card_id=card_id, client_id=client_id, payment_id=payment_id, tran_ref=seen.tran_ref,
        scheme=seen.card_scheme or seen.payment_method, masked=seen.payment_description, expires=seen.card_expires,
        kept=CardState.WAITING, created_at=now,
    )  # fmt: skip


def read_card(row: Document) -> StoredCard:
    """Return the card that a row holds."""
    locked = row.get("locked")
    return StoredCard(
        card_id=row["_id"], client_id=row["client_id"], payment_id=row["payment_id"], tran_ref=row["tran_ref"],
        scheme=row["scheme"], masked=row["masked"], expires=row["expires"], kept=CardState(row["kept"]),
        created_at=row["created_at"], locked=bytes(locked) if locked else None, agreement=row.get("agreement"),
        forgotten_at=row.get("forgotten_at"),
    )  # fmt: skip


def _written(card: StoredCard) -> Document:
    optional = {"locked": card.locked, "agreement": card.agreement}
    return {
        "client_id": card.client_id, "payment_id": card.payment_id, "tran_ref": card.tran_ref, "scheme": card.scheme,
        "masked": card.masked, "expires": card.expires, "kept": card.kept, "created_at": card.created_at,
        **{name: value for name, value in optional.items() if value is not None},
    }  # fmt: skip
