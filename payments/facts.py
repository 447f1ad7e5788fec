"""What can have happened to a payment: one frozen class per fact, named in the past tense.

Facts carry ids, amounts, codes and references only: no personal data and no raw bodies. Amounts are decimal text,
because a fact's canonical bytes are hashed.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that happened; subclasses say what."""

    #: Raised by one whenever the meaning of a stored field changes.
    SCHEMA_VERSION: ClassVar[int] = 1

    def to_data(self) -> dict[str, Any]:
        """Return the fact's fields as plain JSON values, absent ones left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class PaymentCreated(Fact):
    """The CMS asked for a payment for the first time; written by `payments.create_page`.

    Everything PayTabs says later is compared with this copy, because the CMS may edit or delete its document.
    """

    amount: str
    currency: str
    profile_id: int
    client_id: str | None = None
    contract_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class PaymentAdopted(Fact):
    """A payment begun by the CMS's old code (a `transR`, no events) was taken over; written once."""

    amount: str
    currency: str
    profile_id: int
    tran_ref: str
    operation_id: str
    client_id: str | None = None
    contract_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class PaymentAmended(Fact):
    """The CMS changed the amount or currency before a new attempt; written with that attempt's operation."""

    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class AttemptStarted(Fact):
    """An operation is about to be sent under a fresh cart; written in the transaction that marks it `sending`."""

    operation_id: str
    cart_id: str
    transaction: str
    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class FollowUpStarted(Fact):
    """A capture, void, release or refund is about to be sent under a fresh cart; `tran_ref` is what it acts upon."""

    operation_id: str
    cart_id: str
    action: str
    tran_ref: str
    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class PageOpened(Fact):
    """PayTabs answered with a hosted page; nothing is charged yet."""

    operation_id: str
    cart_id: str
    tran_ref: str


@dataclass(frozen=True, kw_only=True)
class InvoiceOpened(Fact):
    """PayTabs answered with an invoice, whose link leads the payer to a page; nothing is charged yet."""

    operation_id: str
    cart_id: str
    invoice_id: int


@dataclass(frozen=True, kw_only=True)
class AttemptNotSent(Fact):
    """The call provably did not happen (no byte of the request was written); the operation is to be sent again."""

    operation_id: str
    cart_id: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class AttemptRefused(Fact):
    """PayTabs answered with a listed error: the request was not executed."""

    operation_id: str
    cart_id: str
    code: int
    detail: str


@dataclass(frozen=True, kw_only=True)
class OutcomeUnknown(Fact):
    """Whether PayTabs executed the request is not known; it is reconciled by query.

    `code` is the error code that came with it, known to us or not.
    """

    operation_id: str
    cart_id: str
    detail: str
    code: int | None = None


@dataclass(frozen=True, kw_only=True)
class CartRetired(Fact):
    """A cart whose page nobody holds was given up; it is watched for a day."""

    operation_id: str
    cart_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class PageOverridden(Fact):
    """An operator set an open page aside, so that the payment can be asked for again; its payer may still hold it."""

    operation_id: str
    note: str
    by: str
    cart_id: str | None = None
    tran_ref: str | None = None


@dataclass(frozen=True, kw_only=True)
class TransactionObserved(Fact):
    """PayTabs said something of one `tran_ref`, by answer, notice or query."""

    tran_ref: str
    tran_type: str
    status: str
    amount: str | None = None
    currency: str | None = None
    code: str | None = None
    previous_tran_ref: str | None = None
    original_tran_type: str | None = None
    cart_id: str | None = None
    profile_id: int | None = None
    occurred_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReviewRaised(Fact):
    """Something claimed of the payment needs a human; the claim itself was not applied."""

    reason: str
    evidence: str
    delivery_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReviewSettled(Fact):
    """A human looked at a case and closed it; with `operation_id`, an operation in doubt that did not happen."""

    reason: str
    note: str
    by: str
    operation_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Milestone(Fact):
    """The payment's state changed; derived from the facts before it and ignored by the fold."""

    state: str
    amount: str
    currency: str
    tran_ref: str | None = None


class PaymentAuthorised(Milestone):
    """Money is held for us and not yet captured."""


class PaymentHeld(Milestone):
    """Risk screening holds the payment; only the dashboard resolves it."""


class PaymentDeferred(Milestone):
    """The payer got a reference and pays offline."""


class PaymentPartCaptured(Milestone):
    """A part of what was authorised is captured."""


class PaymentCompleted(Milestone):
    """The payment is paid."""


class PaymentPartRefunded(Milestone):
    """A part of what was captured went back."""


class PaymentRefunded(Milestone):
    """All that was captured went back."""


class PaymentVoided(Milestone):
    """What was authorised was freed, or a paid sale undone."""


class PaymentDeclined(Milestone):
    """The last attempt was declined."""


class PaymentErrored(Milestone):
    """The last attempt ended in an error."""


class PaymentCancelled(Milestone):
    """The payer cancelled the last attempt."""


class PaymentExpired(Milestone):
    """The last attempt expired."""


class PaymentFlagged(Milestone):
    """A human has to look at the payment."""


def _all_kinds(root: type[Fact]) -> dict[str, type[Fact]]:
    kinds = {}
    for kind in root.__subclasses__():
        kinds[kind.__name__] = kind
        kinds.update(_all_kinds(kind))
    return kinds


#: Every fact that may stand in `payment_events`, by its type name.
FACTS: dict[str, type[Fact]] = _all_kinds(Fact)


def fact_from(type_name: str, data: dict[str, Any]) -> Fact:
    """Build the fact that was stored under a type name.

    Args:
        type_name: the event's `type`.
        data: the event's `data`; members this version does not know are ignored.

    Raises:
        KeyError: the type is not one of `FACTS`.
    """
    kind = FACTS[type_name]
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in data.items() if name in known})
