"""Following the hash chain of every payment through documents as they are stored, whatever stands in them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bson import ObjectId

from payments.events import GENESIS_HASH, content_hash, stored_content
from payments.findings import Finding, of_event

Document = Mapping[str, Any]


class Chains:
    """Follows the chains of all payments; documents come by payment and version.

    Attributes:
        events: How many events were looked at.
        payments: Of how many payments.
    """

    def __init__(self) -> None:
        """Begin before the first payment."""
        self.events = self.payments = 0
        self._payment: object = None
        self._version, self._hash = 0, GENESIS_HASH

    def findings(self, documents: Iterable[Document]) -> Iterator[Finding]:
        """Give a finding for each event that does not follow from the one before."""
        for document in documents:
            yield from self._next(document)

    def _next(self, document: Document) -> Iterator[Finding]:
        payment, version = document.get("payment_id"), document.get("version")
        if self.events == 0 or payment != self._payment:
            self.payments += 1
            self._payment, self._version, self._hash = payment, 0, GENESIS_HASH
        self.events += 1
        expected = self._version + 1
        if type(version) is bool or not isinstance(version, int) or version < expected:
            yield of_event(str(payment), expected, f"a document stands here that is no event (_id {document['_id']})")
            return
        if version > expected:
            yield of_event(str(payment), expected, f"is missing: version {version} comes after version {self._version}")
        prev_hash = self._hash if version == expected else document.get("prev_hash")
        if (words := _why_it_is_broken(document, prev_hash)) is not None:
            yield of_event(str(payment), version, words)
        self._version, self._hash = version, str(document.get("hash"))


def _why_it_is_broken(document: Document, prev_hash: object) -> str | None:
    """Say in words why an event that has the right version is not the one that was written; None when it is."""
    if not isinstance(document.get("payment_id"), ObjectId):
        return "names its payment in a way in which no event does"
    if document["_id"] != f"{document['payment_id']}-{document['version']}":
        return f"is stored as {document['_id']}"
    if document.get("prev_hash") != prev_hash:
        return "does not follow from the event before it: that one is another, or this one was moved or put in"
    return None if _is_whole(document) else "its content does not give its hash: it was changed after it was written"


def _is_whole(document: Document) -> bool:
    """Return whether an event's hash is that of its content; what cannot be read was never written by us."""
    try:
        return content_hash(stored_content(document)) == document.get("hash")
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
