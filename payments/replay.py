"""What a payment's stored events come to: the CMS's fields, exactly as they are written together with the events.

Pure: nothing is read, written or sent here. Nothing that reacts to events can be reached from here either; the house's
import contracts see to that.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
from bson import ObjectId

from payments.assessment import Assessment, assess
from payments.cms_compare import last_reference
from payments.cms_fields import ADDED, cms_fields
from payments.events import fact_of
from payments.facts import Milestone
from payments.page_times import ShownPage
from payments.paid_with import card_of
from payments.payment import Payment, fold

Document = dict[str, Any]

#: Events that the fold passes over; they need not even be read.
SILENT = frozenset(kind.__name__ for kind in Milestone.__subclasses__())

#: Stands for a member that is not there.
ABSENT = "(absent)"


@dataclass(frozen=True)
class Replayed:
    """What a payment's history comes to.

    Attributes:
        payment_id: Whose history it is.
        version: The version of its last event.
        payment: What is known.
        verdict: Its assessment.
        tran_ref: The last reference that the CMS was ever given, if it was given one.
    """

    payment_id: ObjectId
    version: int
    payment: Payment
    verdict: Assessment
    tran_ref: str | None

    @property
    def card_id(self) -> str | None:
        """Return the stored card that the payment is about."""
        return card_of(self.payment, self.verdict)

    def fields(self, page: ShownPage | None, card: Document | None = None) -> Document:
        """Return the CMS's fields, `updatedAt` apart.

        Args:
            page: What is shown of the page that the payment's open operation leads to, if it leads a payer anywhere.
            card: What everybody may know of the stored card that the payment is about, if it is about one.
        """
        fields = cms_fields(self.payment, self.verdict, self.version, page, card)
        shown = self.tran_ref and "transR" not in self.verdict.left
        return fields | ({"transR": self.tran_ref} if shown else {})


def replayed(history: Sequence[Mapping[str, Any]]) -> Replayed:
    """Fold a payment's history.

    Args:
        history: Its stored events in order, at least one.

    Raises:
        KeyError: An event is of a kind that this version does not know.
    """
    facts = [fact_of(event) for event in history if event["type"] not in SILENT]
    payment = fold(facts)
    verdict = assess(payment)
    tran_ref = verdict.tran_ref or last_reference(facts)
    return Replayed(history[-1]["payment_id"], history[-1]["version"], payment, verdict, tran_ref)


def is_same(expected: Document, found: Mapping[str, Any]) -> bool:
    """Tell whether a document has exactly these members, byte for byte as MongoDB keeps them.

    A member that earlier versions did not write may be absent where nothing is to be said in it.
    """
    there = bson.encode({name: found.get(name, ABSENT) for name in expected})
    return there == bson.encode(expected) or there == bson.encode(_as_of_before(expected, found, whatever=False))


def is_outdated(expected: Document, found: Mapping[str, Any]) -> bool:
    """Tell whether a document only lacks what earlier versions did not write, and something is to be said in it."""
    there = bson.encode({name: found.get(name, ABSENT) for name in expected})
    return not is_same(expected, found) and there == bson.encode(_as_of_before(expected, found, whatever=True))


def _as_of_before(expected: Document, found: Mapping[str, Any], *, whatever: bool) -> Document:
    """Return the fields without the members that a document lacks since an earlier version has written it."""
    gateway, wanted = found.get("gateway"), expected.get("gateway")
    if not isinstance(gateway, Mapping) or not isinstance(wanted, Mapping):
        return expected
    lacking = {name for name in ADDED - gateway.keys() if name in wanted and (whatever or not wanted[name])}
    return {**expected, "gateway": {name: value for name, value in wanted.items() if name not in lacking}}


def differences(expected: Document, found: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Name each member that differs, such as `gateway.captured`, with what is found and what is expected."""
    if is_same(expected, found):
        return {}
    wanted = _flat(_as_of_before(expected, found, whatever=False))
    there = _flat({name: found.get(name, ABSENT) for name in expected})
    differing = {
        name: (there.get(name, ABSENT), wanted.get(name, ABSENT))
        for name in dict.fromkeys((*wanted, *there))
        if not _equal(there.get(name, ABSENT), wanted.get(name, ABSENT))
    }
    return differing or {"gateway": ("its members in another order", "in the order they are written in")}


def _flat(fields: Mapping[str, Any]) -> Document:
    return dict(_leaves(fields))


def _leaves(fields: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in fields.items():
        if name == "gateway" and isinstance(value, Mapping):
            yield from ((f"gateway.{member}", within) for member, within in value.items())
        else:
            yield name, value


def _equal(one: object, other: object) -> bool:
    return bson.encode({"": one}) == bson.encode({"": other})
