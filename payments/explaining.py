"""Why a payment stands as it does: each fact with who asked for it and how it was learnt, and which one decided.

Raw deliveries are named by their row and never shown: they are about people. Whether a delivery's signature is right is
checked again as long as its body is kept.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pymongo.collection import Collection

from payments.audit_entries import AuditEntries
from payments.cases import Case
from payments.events import Event, timestamp
from payments.operations import Operation, OperationsLedger
from payments.reason_kinds import words
from payments.review import ReviewDesk
from payments.store import PaymentStore
from payments.story import decided_by, learnt, verdicts
from payments.wording import words_for
from paytabs.signature import verify_body

Document = dict[str, Any]


@dataclass(frozen=True)
class ExplainerParts:
    """What explaining reads; `keys` are the server keys that deliveries are signed with."""

    store: PaymentStore
    ledger: OperationsLedger
    review: ReviewDesk
    entries: AuditEntries
    inbox: Collection[Document]
    reactions: Collection[Document]
    keys: Sequence[str]


class Explainer:
    """Tells the story of a payment."""

    def __init__(self, parts: ExplainerParts) -> None:
        """Keep what explaining reads."""
        self._parts = parts

    def explain(self, payment_id: str) -> dict[str, Any]:
        """Return everything that led to a payment's state, as plain JSON; its `events` are empty when nothing did."""
        history = self._parts.store.load(payment_id)
        deliveries = [self._delivery(row) for row in self._told(payment_id, history)]
        found = verdicts(history)
        reactions = self._parts.reactions.find({"payment_id": payment_id}).sort("created_at", 1)
        return {
            "payment_id": payment_id,
            "decided_by": decided_by(history, found),
            "events": [_event(event, verdict.state, deliveries) for event, verdict in zip(history, found, strict=True)],
            "reviews": [_case(case) for case in self._parts.review.cases(payment_id)],
            "operations": [_operation(row) for row in self._parts.ledger.of_payment(payment_id)],
            "deliveries": deliveries,
            "reactions": [_reaction(row) for row in reactions],
            "acts": [_act(entry) for entry in self._parts.entries.of_payment(payment_id)],
        }

    def _told(self, payment_id: str, history: Sequence[Event]) -> list[Document]:
        """Return the inbox's rows about a payment, oldest first: what was applied to it and what contradicted it."""
        named = [event.content["data"].get("delivery_id") for event in history]
        query = {"$or": [{"result.payment_id": payment_id}, {"_id": {"$in": [one for one in named if one]}}]}
        return list(self._parts.inbox.find(query).sort("received_at", 1))

    def _delivery(self, row: Document) -> dict[str, Any]:
        known = {name: row.get(name) for name in ("seen", "status", "reason", "correlation_id")}
        told = {"received_at": _moment(row.get("received_at")), "signature": self._signature(row)}
        return {"id": row["_id"], **told, **known, "result": (row.get("result") or {}).get("result")}

    def _signature(self, row: Document) -> str:
        """Say what is known of a delivery's signature; only what was signed rightly ever got a row."""
        body, signature = row.get("body"), (row.get("headers") or {}).get("signature")
        if row.get("was_cut"):
            return "verified when it came; a stored card's token was taken out of it since"
        if not isinstance(body, bytes) or not body or not signature:
            return "verified when it came; it is not kept whole any more"
        if verify_body(body, signature, self._parts.keys):
            return "verified when it came, and again now"
        return "verified when it came; not by the keys that are set here"


def _case(case: Case) -> dict[str, Any]:
    return {**asdict(case), "code": case.reason.code, "reason": words(case.reason)}


def _event(event: Event, state: str, deliveries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    content = event.content
    delivery_id = next((str(one["id"]) for one in deliveries if _led_to(one, event)), None)
    who = {name: content.get(name) for name in ("requested_by", "source", "correlation_id", "operation_id")}
    return {
        "version": event.version, "type": event.type, "recorded_at": content["recorded_at"], "state": state,
        "words": words_for(event.type, content["data"]), "learnt": learnt(event, delivery_id), **who,
        "delivery_id": delivery_id, "task_id": None if content.get("causation_id") == delivery_id else
        content.get("causation_id"),
    }  # fmt: skip


def _led_to(delivery: dict[str, Any], event: Event) -> bool:
    """Tell whether a fact was written while a delivery was applied; the version before gave it the delivery's id."""
    named = event.content["data"].get("delivery_id"), event.context.causation_id
    return delivery["id"] in named or bool(event.context.correlation_id == delivery["correlation_id"])


def _operation(row: Operation) -> dict[str, Any]:
    sends = [
        {"cart_id": one.cart_id, "sent_at": _moment(one.sent_at), "retired_at": _moment(one.retired_at)}
        for one in row.sends
    ]
    return {
        "operation_id": row.operation_id, "kind": row.kind, "status": row.status, "open": row.open,
        "amount": row.params.get("amount"), "currency": row.params.get("currency"), "tran_ref": row.tran_ref,
        "error": row.error, "requested_by": row.requested_by, "correlation_id": row.correlation_id,
        "created_at": _moment(row.created_at), "sends": sends,
    }  # fmt: skip


def _reaction(row: Document) -> dict[str, Any]:
    names = ("event_id", "type", "handler", "status", "attempts", "error", "note")
    return {**{name: row.get(name) for name in names}, "done_at": _moment(row.get("done_at"))}


def _act(entry: Document) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in ("_id", "prev_hash", "hash")}


def _moment(value: datetime | None) -> str | None:
    return timestamp(value) if value else None
