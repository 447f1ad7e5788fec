"""What can have happened to a payment: one frozen class per fact, named in the past tense.

This file names them all. Each says what happened, who writes it, and what it carries. Facts carry ids, amounts, codes
and references only: no personal data and no raw bodies. Amounts are decimal text in major units, because a fact's
canonical bytes are hashed. What may change about a fact, and how, stands in `payments/upcasting.py`.
"""

from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, Self

from payments.reasons import Reason

#: The reason of a `CartRetired` that tells of the end of a page: programs before this one read it as a cart given up.
PAGE_ENDED = "page_ended"


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that happened; subclasses say what."""

    #: Raised by one whenever events stored before would not be read as they are; see `payments/upcasting.py`.
    SCHEMA_VERSION: ClassVar[int] = 1

    def to_data(self) -> dict[str, Any]:
        """Return the fact's fields as plain JSON values, absent ones left out."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Build the fact from what `to_data` gave; members this version does not know are ignored.

        Raises:
            TypeError: a member is missing that may not be absent.
        """
        known = _members(cls)  # type: ignore[arg-type] # mypy does not know that classes are hashable
        if data.keys() <= known:
            return cls(**data)
        return cls(**{name: value for name, value in data.items() if name in known})


@dataclass(frozen=True, kw_only=True)
class PaymentCreated(Fact):
    """The CMS asked for a payment for the first time.

    Written by `accepting`, with the payment's first operation. Carries the terms as the CMS's document had them:
    `amount` and `currency`, the PayTabs `profile_id`, and the ids `client_id` and `contract_id`. Everything PayTabs
    says later is compared with this copy, because the CMS may edit or delete its document.
    """

    amount: str
    currency: str
    profile_id: int
    client_id: str | None = None
    contract_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class PaymentAdopted(Fact):
    """A payment begun by the CMS's old code (a `transR`, no events) was taken over.

    Written by `adoption`, once and with what PayTabs' query says. Carries the terms as `PaymentCreated` does (`amount`,
    `currency`, `profile_id`, `client_id`, `contract_id`), the old `tran_ref`, and the `operation_id` of the row that
    stands for it.
    """

    amount: str
    currency: str
    profile_id: int
    tran_ref: str
    operation_id: str
    client_id: str | None = None
    contract_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class PaymentAmended(Fact):
    """The CMS changed the terms before a new attempt.

    Written by `accepting`, with that attempt's operation. Carries the new `amount` and `currency`.
    """

    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class AttemptStarted(Fact):
    """A page, a charge or an invoice is about to be asked for under a fresh cart.

    Written by `starting`, in the transaction that marks the operation as being sent, or that takes over a send which a
    restore of the database had made us forget. Carries the `operation_id`, the `cart_id` of this send,
    the kind of `transaction` (sale, auth, register), its `amount` and `currency`.
    """

    operation_id: str
    cart_id: str
    transaction: str
    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class FollowUpStarted(Fact):
    """A capture, void, release or refund is about to be sent under a fresh cart.

    Written by `starting`, in the transaction that marks the operation as being sent, or that takes over a send which a
    restore of the database had made us forget. Carries the `operation_id`, the `cart_id` of this send,
    the `action`, the `tran_ref` that it acts upon, its `amount` and `currency`.
    """

    operation_id: str
    cart_id: str
    action: str
    tran_ref: str
    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class PageOpened(Fact):
    """PayTabs answered with a hosted page; nothing is charged yet.

    Written by `booking`, and by `forgotten_facts` of a page that is taken over. Carries the `operation_id`, the
    `cart_id` and the page's `tran_ref`.
    """

    operation_id: str
    cart_id: str
    tran_ref: str


@dataclass(frozen=True, kw_only=True)
class InvoiceOpened(Fact):
    """PayTabs answered with an invoice, whose link leads the payer to a page; nothing is charged yet.

    Written by `booking`. Carries the `operation_id`, the `cart_id` and PayTabs' `invoice_id`.
    """

    operation_id: str
    cart_id: str
    invoice_id: int


@dataclass(frozen=True, kw_only=True)
class AttemptNotSent(Fact):
    """The call provably did not happen, or was refused for a key that is in doubt; the operation is to be sent again.

    Written by `booking`. Carries the `operation_id`, the `cart_id`, and why in a machine word: `detail`.
    """

    operation_id: str
    cart_id: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class AttemptRefused(Fact):
    """PayTabs answered with an error that ends the request: it was not executed, or made a page that nobody holds.

    Written by `booking`. Carries the `operation_id`, the `cart_id`, PayTabs' error `code`, the same as a machine word
    (`detail`), and for operators what PayTabs said with it, without anything about people: its `message`, and the
    `trace` under which PayTabs finds the call.
    """

    operation_id: str
    cart_id: str
    code: int
    detail: str
    message: str | None = None
    trace: str | None = None


@dataclass(frozen=True, kw_only=True)
class OutcomeUnknown(Fact):
    """Whether PayTabs executed the request is not known; it is reconciled by query.

    Written by `booking` when the answer does not say, by `reconcile` when a worker was lost over the call, and by
    `forgotten_facts` when a restore of the database has made us forget it. Carries
    the `operation_id`, the `cart_id`, why in a machine word (`detail`), the error `code` that came with it, known to us
    or not, and its `message` and `trace` as in `AttemptRefused`.
    """

    operation_id: str
    cart_id: str
    detail: str
    code: int | None = None
    message: str | None = None
    trace: str | None = None


@dataclass(frozen=True, kw_only=True)
class CartRetired(Fact):
    """A cart whose page nobody can pay any more, or nobody holds, was given up; it is watched for a day.

    Written by `reconcile` before the operation is sent again, by `invoicing` when an invoice was cancelled, and by
    `booking` when PayTabs' answer cannot be taken, and by `page_ends` when a page's time was over and PayTabs had said
    that nobody pays it: the `reason` is then `PAGE_ENDED`. Carries the `operation_id`, the `cart_id` (empty where the
    CMS's old code sent the page), and why in a machine word: `reason`; of a page that has ended also its `tran_ref`,
    where it has one, and what PayTabs said of it: `why`.
    """

    operation_id: str
    cart_id: str
    reason: str
    tran_ref: str | None = None
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class PageOverridden(Fact):
    """An operator set an open page aside, so that the payment can be asked for again; its payer may still hold it.

    Written by `overriding`, in the transaction that closes the page's operation. Carries that `operation_id`, the
    page's `cart_id` and `tran_ref` as far as they are known, and who decided (`by`) and why (`note`).
    """

    operation_id: str
    note: str
    by: str
    cart_id: str | None = None
    tran_ref: str | None = None


@dataclass(frozen=True, kw_only=True)
class TransactionObserved(Fact):
    """PayTabs said something of one transaction, by answer, notice or query.

    Written by whoever heard it: `booking`, `notices`, `reconcile` and `adoption`, all through `observing`. Carries in
    PayTabs' words the `tran_ref`, `tran_type` and `status`; what it moves, `amount` and `currency`; the response
    `code`; the transaction it acts upon, `previous_tran_ref` and `original_tran_type`; what it belongs to, `cart_id`
    and `profile_id`; when it was, `occurred_at`; and by what its payer is paying, while it is not paid:
    `payment_method`. Ours is `card_id`: the stored card whose token came with it.
    """

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
    payment_method: str | None = None
    card_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class CaseFact(Fact):
    """A fact about a case for a human: which reason it has, by `code`, `subject` and `params` (see `reasons`).

    `reason` are the words of it when it was written, for whoever reads the event itself; they decide nothing.
    """

    SCHEMA_VERSION: ClassVar[int] = 2

    code: str
    subject: str = ""
    params: tuple[str, ...] = ()
    reason: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", tuple(self.params))  # stored as a list

    @property
    def case(self) -> Reason:
        """Return the reason that the fact is about."""
        return Reason(self.code, self.subject, self.params)


@dataclass(frozen=True, kw_only=True)
class ReviewRaised(CaseFact):
    """Something claimed of the payment needs a human; the claim itself was not applied.

    Written by `notices` about a notice that contradicts the payment, by `reconcile` about an operation of which nothing
    was found, by `booking` about an answer that cannot be taken, by `corrections`, and by `adoption`. Carries the
    reason by `code`, `subject` and `params`, with its words of that time in `reason`; the `evidence`, references and
    status letters; and the inbox row it came in, `delivery_id`.
    """

    evidence: str
    delivery_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReviewSettled(CaseFact):
    """A human looked at a case and closed it.

    Written by `review` and `settling`, and by `cms_standing` when the CMS has taken back what the case was about.
    Carries the reason as `ReviewRaised` does (`code`, `subject`, `params`, `reason`), the operator's `note`, which must
    name nobody but staff, `by` whom it was closed, and, where an operation in doubt is declared not to have happened,
    its `operation_id`. Of a case about the CMS's own word, the `decision`: `ours`, `theirs` or `outside`; and where
    theirs is kept, the `kept` member of the document, its `status`, what ours was then (`ours`), and the transactions
    that held or took money by then (`known`).
    """

    note: str
    by: str
    operation_id: str | None = None
    decision: str | None = None
    kept: str | None = None
    status: str | None = None
    ours: str | None = None
    known: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "known", None if self.known is None else tuple(self.known))


@dataclass(frozen=True, kw_only=True)
class PaymentSettledOutside(Fact):
    """A human said that the payment was settled without PayTabs: in cash, by bank transfer, by the CMS's own hand.

    Written by `settling`, with the terms where nothing was known before. Carries the `status` that the CMS reads, who
    said so (`by`) and why (`note`), and the transactions that held or took money by then (`known`). A program that
    does not know this fact refuses the payment, and so charges nothing.
    """

    status: str
    by: str
    note: str
    known: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", tuple(self.known))  # stored as a list


@dataclass(frozen=True, kw_only=True)
class Milestone(Fact):
    """The payment's state changed; derived from the facts before it and ignored by the fold.

    Written by `store`, with the facts that changed the state. Carries the new `state`, the payment's `amount` and
    `currency`, and the `tran_ref` of the transaction that decides the state.
    """

    state: str
    amount: str
    currency: str
    tran_ref: str | None = None


class PaymentAuthorised(Milestone):
    """Money is held for us and not yet captured: state `AUTHORISED`; written and carrying as every `Milestone`."""


class PaymentHeld(Milestone):
    """Risk screening holds the payment, only the dashboard resolves it: `ON_HOLD`; as every `Milestone`."""


class PaymentDeferred(Milestone):
    """The payer got a reference and pays offline: `PENDING_OFFLINE`; as every `Milestone`."""


class PaymentPartCaptured(Milestone):
    """A part of what was authorised is captured: `PART_CAPTURED`; as every `Milestone`."""


class PaymentCompleted(Milestone):
    """The payment is paid: `PAID`; as every `Milestone`."""


class PaymentPartRefunded(Milestone):
    """A part of what was captured went back: `PART_REFUNDED`; as every `Milestone`."""


class PaymentRefunded(Milestone):
    """All that was captured went back: `REFUNDED`; as every `Milestone`."""


class PaymentVoided(Milestone):
    """What was authorised was freed, or a paid sale undone: `VOIDED`; as every `Milestone`.

    Also of a card that was registered, which PayTabs verifies and frees at once: then its state is `REGISTERED`.
    """


class PaymentDeclined(Milestone):
    """The last attempt was declined: `DECLINED`; as every `Milestone`."""


class PaymentErrored(Milestone):
    """The last attempt ended in an error: `ERROR`; as every `Milestone`."""


class PaymentCancelled(Milestone):
    """The payer cancelled the last attempt: `CANCELLED`; as every `Milestone`."""


class PaymentExpired(Milestone):
    """The last attempt expired: `EXPIRED`; as every `Milestone`."""


class PaymentFlagged(Milestone):
    """A human has to look at the payment: `REVIEW`; as every `Milestone`."""


def _all_kinds(root: type[Fact]) -> dict[str, type[Fact]]:
    kinds = {}
    for kind in root.__subclasses__():
        kinds[kind.__name__] = kind
        kinds.update(_all_kinds(kind))
    return kinds


@cache
def _members(kind: type[Fact]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind))


#: Every fact that may stand in `payment_events`, by its type name; without what some only have in common.
FACTS: dict[str, type[Fact]] = {
    name: kind for name, kind in _all_kinds(Fact).items() if kind not in (Milestone, CaseFact)
}
