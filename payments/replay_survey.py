"""A survey: many payments' events folded in one go, and compared with the CMS's documents in bulk.

It only names suspects, and may be wrong about one that is being changed at the moment: who mends looks again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo.read_preferences import ReadPreference

from payments.cms_fields import OURS, shows_page
from payments.replay import Replayed, is_same, replayed
from payments.replay_pieces import ReplayParts, Survey
from payments.replay_scan import SLICE, EventScan, History, Span, decoded, sliced
from payments.stored_cards import CardStore

Document = dict[str, Any]

#: What is read of a document.
READ = dict.fromkeys(OURS, 1)


class Surveyor:
    """Makes surveys, one after the other."""

    def __init__(self, parts: ReplayParts) -> None:
        """Read the CMS's database."""
        self._ledger, self._scan = parts.ledger, EventScan(parts.database)
        self._cards = CardStore(parts.database)
        self._payments = parts.database.get_collection("payments", read_preference=ReadPreference.PRIMARY)

    def surveys(self, queries: Iterable[Document], left_out: Span) -> Iterator[Survey]:
        """Give a survey of the payments that each query finds, but for those with an event in a span."""
        return (self.survey(query, left_out) for query in queries)

    def survey(self, query: Document, left_out: Span | None = None, within: Span | None = None) -> Survey:
        """Survey the payments that a query finds.

        Args:
            query: Finds whole histories.
            left_out: Payments with an event in this span are passed over.
            within: Payments without an event in this span are passed over.
        """
        last: ObjectId | None = None
        payments = events = 0
        suspects: list[ObjectId] = []
        for some in sliced(self._scan.histories(query), SLICE):
            last = some[-1][0]["payment_id"]
            histories = [
                history
                for history in some
                if not (left_out and left_out.meets(history)) and (within is None or within.meets(history))
            ]
            payments, events = payments + len(histories), events + sum(map(len, histories))
            suspects += self._suspects(histories)
        return Survey(last, payments, events, tuple(suspects))

    def _suspects(self, histories: Sequence[History]) -> list[ObjectId]:
        """Return the payments whose documents are not what their events come to, or cannot be told."""
        suspects: list[ObjectId] = []
        known: list[Replayed] = []
        for history in histories:
            try:
                known.append(replayed(history))
            except KeyError:
                suspects.append(history[0]["payment_id"])
        documents = self._documents([one.payment_id for one in known])
        pages = self._ledger.open_pages([one.payment_id for one in known if shows_page(one.verdict)])
        cards = self._cards.shown(one.card_id for one in known)
        for one in known:
            document = documents.get(one.payment_id)
            expected = one.fields(pages.get(one.payment_id), cards.get(one.card_id or ""))
            if document is None or not is_same(expected, document):
                suspects.append(one.payment_id)
        return suspects

    def _documents(self, payment_ids: Sequence[ObjectId]) -> Mapping[ObjectId, Document]:
        wanted = {"_id": {"$in": list(payment_ids)}}
        batches = self._payments.find_raw_batches(wanted, READ, batch_size=SLICE, comment="replay: documents")
        return {found["_id"]: found for batch in batches for found in decoded(batch)}
