"""Two ledgers side by side after a run: the sandbox's, which is what happened, and ours, read from our events."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from bson import ObjectId

from tests.chaos.fire.stories import Story
from tests.chaos.stage import Json, Stage

#: What a transaction does, whatever it is called: a capture may be told as a sale, a void be carried out as a release.
FAMILY = {
    "sale": "charge", "capture": "charge", "auth": "auth", "void": "free", "release": "free", "refund": "refund",
    "payment request": "deferred", "register": "register",
}  # fmt: skip

#: Of all that was ever said of a transaction, what stands: P < H < C, X, D, E < A < V.
RANK = {"P": 0, "H": 1, "C": 2, "X": 2, "D": 2, "E": 2, "A": 3, "V": 4}

#: Movements of the sandbox that add to each of a payment's sums, and those that take away from it.
SUMS = {
    "captured": (("charge",), ("reverse",)),
    "released": (("release", "reverse"), ()),
    "refunded": (("refund",), ()),
}  # fmt: skip

#: One transaction: reference, family, status, amount, currency.
Entry = tuple[str, str, str, Decimal, str]


@dataclass(frozen=True)
class Books:
    """Everything that was written down, here and at PayTabs."""

    stories: Sequence[Story]
    transactions: Sequence[Json]
    movements: Sequence[Json]
    requests: Sequence[Json]
    observed: Sequence[Json]
    rows: Sequence[Json]
    documents: dict[ObjectId, Json]
    views: dict[ObjectId, Json]

    def document(self, story: Story) -> Json:
        """Give what the CMS reads of a payment; of a document that it has deleted, what a task tells of the payment."""
        view = self.views.get(story.payment, {})
        return self.documents.get(story.payment, {"gateway": view, "status": view.get("status")})

    @property
    def owners(self) -> dict[str, Json]:
        """Give the operation of every cart."""
        return {send["cart_id"]: row for row in self.rows for send in row["sends"]}

    def theirs(self) -> dict[str, Entry]:
        """Give the sandbox's transactions by reference, pages that nobody used left out."""
        done = [one for one in self.transactions if one["status"]]
        return {one["tran_ref"]: _entry(one, one["currency"]) for one in done}

    def ours(self) -> dict[str, set[Entry]]:
        """Give what stands of each transaction by our events: several answers may rank alike."""
        said: dict[str, set[Entry]] = defaultdict(set)
        for one in self.observed:
            said[one["tran_ref"]].add(_entry(one, one.get("currency", "")))
        highest = {ref: max(RANK[entry[2]] for entry in entries) for ref, entries in said.items()}
        return {ref: {one for one in said[ref] if RANK[one[2]] == rank} for ref, rank in highest.items()}

    def moved(self) -> dict[ObjectId, dict[str, Decimal]]:
        """Add up the sandbox's movements of every payment."""
        by_kind: dict[tuple[ObjectId, str], Decimal] = defaultdict(Decimal)
        owners = self.owners
        for move in self.movements:
            if move["cart_id"] in owners:
                by_kind[owners[move["cart_id"]]["payment_id"], move["kind"]] += Decimal(move["amount"])
        return {story.payment: {name: _sum(story.payment, name, by_kind) for name in SUMS} for story in self.stories}

    def twice(self) -> list[str]:
        """Name every operation that moved money more than once in the same way."""
        owners = self.owners
        kinds = Counter((owners.get(move["cart_id"], {}).get("_id"), move["kind"]) for move in self.movements)
        return [f"{times} times {kind} by {name}" for (name, kind), times in kinds.items() if times > 1]


def read_books(stage: Stage, stories: Sequence[Story]) -> Books:
    """Read both ledgers whole."""
    database = stage.database
    observed = database["payment_events"].find({"type": "TransactionObserved"}, {"data": True})
    return Books(
        stories=stories,
        transactions=stage.sandbox.ledger(),
        movements=stage.sandbox.movements(),
        requests=stage.sandbox.requests(),
        observed=[event["data"] for event in observed],
        rows=list(database["payment_operations"].find()),
        documents={one["_id"]: one for one in database["payments"].find()},
        views={one.payment: one.seen_by_task() for one in stories if one.plan.shape.cms == "delete"},
    )


def unlike(books: Books) -> list[str]:
    """Name every entry that only one ledger has, or that differs."""
    ours, theirs = books.ours(), books.theirs()
    pages = {one["tran_ref"] for one in books.transactions if not one["status"]}
    found = [f"only theirs: {theirs[ref]}" for ref in theirs.keys() - ours.keys()]
    found += [f"only ours: {ours[ref]}" for ref in ours.keys() - theirs.keys() - pages]
    found += [
        f"theirs {theirs[ref]}, ours {ours[ref]}"
        for ref in theirs.keys() & ours.keys()
        if not _agree(ours[ref], theirs[ref])
    ]
    return found


def _agree(ours: Iterable[Entry], theirs: Entry) -> bool:
    """Tell whether our best knowledge of a transaction is theirs; what only waits may have been told in stages."""
    known = set(ours)
    return theirs in known and (theirs[2] == "P" or all(one[2:] == theirs[2:] for one in known))


def _entry(one: Json, currency: str) -> Entry:
    kind = FAMILY.get(str(one["tran_type"]).lower(), str(one["tran_type"]))
    return one["tran_ref"], kind, one["status"], Decimal(one.get("amount") or 0), currency


def _sum(payment: ObjectId, name: str, by_kind: dict[tuple[ObjectId, str], Decimal]) -> Decimal:
    adds, takes = SUMS[name]
    total = sum((by_kind[payment, kind] for kind in adds), Decimal(0))
    return total - sum((by_kind[payment, kind] for kind in takes), Decimal(0))
