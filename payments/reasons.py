"""Why a human is needed: a code of a closed enumeration, what it is about, and its parameters; never a sentence.

Cases are compared, stored and settled by these values. Their words are made from one table, `payments.reason_kinds`,
and may be changed at any time; how versions before this one wrote them stands in `payments.reasons_before`.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from payments.reasons_before import sentence_before
from payments.values import value


class ReasonCode(StrEnum):
    """Every reason that this version raises or judges; a code keeps its meaning for ever."""

    # What PayTabs says of a transaction contradicts itself or is not understood.
    CONTRADICTING_PREVIOUS = "contradicting_previous_references"
    TYPE_MISSING = "transaction_type_missing"
    TYPE_UNKNOWN = "unknown_transaction_type"
    CONTRADICTING_TYPES = "contradicting_transaction_types"
    STATUS_UNKNOWN = "unknown_status"
    AMOUNT_BELOW_ZERO = "amount_below_zero"
    CONTRADICTING_AMOUNTS = "contradicting_amounts"
    AMOUNT_MISSING = "amount_missing"
    REQUEST_AUTHORISED = "payment_request_authorised"
    CIRCULAR = "circular_references"
    # Sums that cannot be.
    SETTLED_TWICE = "settled_more_than_once"
    REFUNDED_THOUGH_FAILED = "refunded_although_failed"
    CAPTURES_EXCEED = "captures_exceed_authorised"
    REFUNDS_EXCEED = "refunds_exceed_captured"
    CAPTURE_UNDONE = "capture_undone"
    PAID_TWICE = "paid_twice"
    # What was done is not what was asked.
    PROFILE_DIFFERS = "profile_differs"
    CURRENCY_DIFFERS = "currency_differs"
    AMOUNT_DIFFERS = "amount_differs"
    CART_DIFFERS = "cart_differs"
    ATTEMPT_UNKNOWN = "attempt_unknown"
    KIND_DIFFERS = "kind_differs"
    ACTS_ON_ANOTHER = "acts_on_another_transaction"
    GIVEN_UP_HAPPENED = "given_up_and_happened"
    NOTHING_FOUND = "nothing_found"
    # What our ledger has forgotten is not what is asked for now.
    FORGOTTEN_DIFFERS = "forgotten_send_differs"
    # A signed notice that contradicts the payment, or that nothing confirms.
    NOTICE_PROFILE = "notice_from_another_profile"
    NOTICE_CURRENCY = "notice_in_another_currency"
    NOTICE_CART = "notice_for_another_cart"
    NOTICE_AMOUNT = "notice_with_another_amount"
    NOTICE_QUERY_CART = "notice_query_names_another_cart"
    NOTICE_UNCONFIRMED = "notice_not_confirmed"
    # An answer to a request of ours whose own terms cannot be taken.
    ANSWER_NOT_TAKEN = "answer_not_taken"
    # The CMS's word against PayTabs'.
    CMS_PAID_UNKNOWN = "cms_paid_reference_unknown"
    CMS_STATUS_CHANGED = "cms_status_changed"
    CMS_REFERENCE_CHANGED = "cms_reference_changed"
    CMS_NOT_CONFIRMED = "cms_settled_not_confirmed"
    CMS_SETTLED_UNKNOWN = "cms_settled_reference_unknown"
    CMS_REFERENCE_UNREADABLE = "cms_reference_unreadable"
    PAID_OUTSIDE_TOO = "paid_outside_too"
    # Two ledgers compared.
    NOT_SHOWN = "not_shown_by_paytabs"
    LEDGER_DIFFERS = "ledger_differs"
    # A sentence that no version is known to have written; its words stand as its subject.
    UNRECOGNISED = "unrecognised"


#: The members of the CMS's document that stay as they are while a case of a code is open: what the CMS says there is
#: for a person to settle, as ours, as theirs or as settled outside.
LEAVES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        ReasonCode.CMS_STATUS_CHANGED: frozenset({"status"}),
        ReasonCode.CMS_REFERENCE_CHANGED: frozenset({"transR"}),
        ReasonCode.CMS_NOT_CONFIRMED: frozenset({"status"}),
        ReasonCode.CMS_SETTLED_UNKNOWN: frozenset({"status", "transR"}),
        ReasonCode.CMS_REFERENCE_UNREADABLE: frozenset({"status", "transR"}),
    }
)

#: Cases that stand beside a payment's state: what money did is known, and only the CMS's document is in question.
BESIDE = frozenset(
    {
        ReasonCode.CMS_STATUS_CHANGED,
        ReasonCode.CMS_REFERENCE_CHANGED,
        ReasonCode.CMS_NOT_CONFIRMED,
        ReasonCode.PAID_OUTSIDE_TOO,
    }
)


@value
class Reason:
    """One reason why a human is needed.

    Attributes:
        code: A `ReasonCode`; a code of a newer version is kept as it is.
        subject: What it is about: a `tran_ref`, a `cart_id`, an `operation_id`; empty for the payment as a whole.
        params: What else tells it from others of its code, in the order that its kind names them.
    """

    code: str
    subject: str = ""
    params: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return what identifies it, the same in every version: reasons are sorted, and cases named, by it."""
        return sentence_before(self.code, self.subject, self.params) or "\n".join(
            (self.code, self.subject, *self.params)
        )


def in_order(reasons: set[Reason]) -> tuple[Reason, ...]:
    """Return reasons in the order in which everybody shows them."""
    return tuple(sorted(reasons, key=lambda reason: reason.key)) if len(reasons) > 1 else tuple(reasons)
