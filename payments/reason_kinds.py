"""Each reason in words, what it means and what an operator does: the table of docs/operations.md, and of the CLI.

Words may be changed at any time: nothing is compared, stored or settled by them. In words `{subject}` is what a reason
is about, and a parameter stands under the name that its kind gives it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from payments.reasons import Reason, ReasonCode


@dataclass(frozen=True)
class ReasonKind:
    """One row: a code, its parameters' names, its words, what it means and what to do.

    A name that ends in `…` takes all parameters from its place on, joined by "and".
    """

    code: ReasonCode
    params: tuple[str, ...]
    words: str
    means: str
    to_do: str

    def worded(self, reason: Reason) -> str:
        """Return the words of a reason of this kind."""
        named = dict(zip(self.params, reason.params, strict=False))
        if self.params and self.params[-1].endswith("…"):
            place = len(self.params) - 1
            named[self.params[-1]] = " and ".join(reason.params[place:])
        values = {name.removesuffix("…"): value for name, value in named.items()} | {"subject": reason.subject}
        return self.words.format_map(_Gaps(values))


class _Gaps(dict[str, str]):
    """Values of which some may be missing: a question mark stands for those."""

    def __missing__(self, name: str) -> str:
        return "?"


_NOT_APPLIED = "a correctly signed notice contradicts the payment; it was not applied"
_CHECK_KEY = (
    "check whether the server key has leaked (rotate it) or the profile is shared with another system; "
    "`payments.verify`; settle"
)
_NOT_OURS = "the transaction is not the one that was asked for"
_ASK_BEFORE_DELIVERY = "do not deliver; ask PayTabs; refund if the money is ours, then settle"
_OTHERWISE_DONE = "PayTabs carried out something else than was asked"
_UNDO = "compare with PayTabs' dashboard; undo there what was not intended; settle"
_IMPOSSIBLE = "the sums are impossible or not known, usually because staff and the system acted at the same time"
_ENTRY_BY_ENTRY = "compare with the dashboard, entry by entry; correct there; settle"
_STRANGE_WORD = "PayTabs uses a word that nobody here knows, or leaves one out"
_ASK_MEANING = "do not deliver; ask PayTabs what it means; the next release knows it"
_UNTRUE = "what PayTabs says of a transaction cannot be true as a whole"
_VERIFY = "`payments.verify`; if it stays, ask PayTabs with the `tran_ref`; settle"

_THREE_WAYS = (
    "ask whoever changed it. `review settle CASE_ID --as ours` writes ours over it, `--as theirs` keeps what the CMS "
    "says, `--as outside` says that it was settled without PayTabs, in cash for example; until then nothing new is "
    "charged"
)

_C = ReasonCode

_ROWS = (
    ReasonKind(
        _C.NOTHING_FOUND,
        ("kind",),
        "{kind} {subject}: nothing found within a day",
        "the request may or may not have been executed; PayTabs shows nothing under the cart in the evidence",
        "look for the cart and the amount in PayTabs' dashboard. There: `payments.verify` with its `tran_ref`, the "
        "operation ends by itself, then settle the case. Not there: settle it with `--not-happened`, then ask again "
        "under a new `operation_id`",
    ),
    ReasonKind(
        _C.GIVEN_UP_HAPPENED,
        ("action",),
        "{subject}: a {action} that was given up and happened all the same",
        "PayTabs shows what was settled as not happened",
        "compare the sums with what was intended; refund or release what is too much; settle",
    ),
    ReasonKind(
        _C.FORGOTTEN_DIFFERS,
        ("operation_id", "what"),
        "{subject}: PayTabs has it under {operation_id}, which asks for something else now: another {what}",
        "before the database was restored the same `operation_id` was sent with other terms, and PayTabs carried that "
        "out; nothing was sent again",
        "compare the transaction with what was intended; refund what is too much; settle, then ask for what is still "
        "wanted under a new `operation_id`",
    ),
    ReasonKind(
        _C.PAID_TWICE,
        ("tran_refs…",),
        "paid twice: {tran_refs} both stand",
        "two attempts succeeded: an overridden page and a new one, for example",
        "run the proposed `payments.refund`, or `payments.release` for an authorisation; the case closes by itself. "
        "Without a proposal the money is on hold: free it in PayTabs' dashboard",
    ),
    ReasonKind(
        _C.AMOUNT_DIFFERS,
        ("of",),
        "{subject}: amount differs from the {of}'s",
        "PayTabs moved another amount than was asked",
        "find out why (a discount, another currency); refund the difference or settle",
    ),
    ReasonKind(
        _C.CURRENCY_DIFFERS, (), "{subject}: currency differs from the payment's", _NOT_OURS, _ASK_BEFORE_DELIVERY
    ),
    ReasonKind(
        _C.PROFILE_DIFFERS, (), "{subject}: profile differs from the payment's", _NOT_OURS, _ASK_BEFORE_DELIVERY
    ),
    ReasonKind(_C.CART_DIFFERS, (), "{subject}: cart differs from the attempt's", _NOT_OURS, _ASK_BEFORE_DELIVERY),
    ReasonKind(
        _C.KIND_DIFFERS, ("kind", "asked"), "{subject}: a {kind} where a {asked} was asked", _OTHERWISE_DONE, _UNDO
    ),
    ReasonKind(
        _C.ACTS_ON_ANOTHER,
        ("action",),
        "{subject}: acts on another transaction than the {action} named",
        _OTHERWISE_DONE,
        _UNDO,
    ),
    ReasonKind(_C.NOTICE_AMOUNT, (), "a notice with another amount", _NOT_APPLIED, _CHECK_KEY),
    ReasonKind(_C.NOTICE_CURRENCY, (), "a notice in another currency", _NOT_APPLIED, _CHECK_KEY),
    ReasonKind(_C.NOTICE_PROFILE, (), "a notice from another profile", _NOT_APPLIED, _CHECK_KEY),
    ReasonKind(_C.NOTICE_CART, (), "a notice for another cart", _NOT_APPLIED, _CHECK_KEY),
    ReasonKind(_C.NOTICE_QUERY_CART, (), "a notice whose query names another cart", _NOT_APPLIED, _CHECK_KEY),
    ReasonKind(
        _C.NOTICE_UNCONFIRMED,
        (),
        "a signed notice that no query confirms",
        "PayTabs announced money that its query does not show",
        "`payments.verify` with the `tran_ref` later; ask PayTabs; settle when the query agrees",
    ),
    ReasonKind(
        _C.ATTEMPT_UNKNOWN,
        (),
        "{subject}: a transaction of no known attempt",
        "money under one of our payments that we did not ask for",
        "look it up in the dashboard; refund there or settle",
    ),
    ReasonKind(
        _C.CAPTURES_EXCEED, (), "{subject}: captured and released exceed authorised", _IMPOSSIBLE, _ENTRY_BY_ENTRY
    ),
    ReasonKind(_C.REFUNDS_EXCEED, (), "{subject}: refunds exceed captured", _IMPOSSIBLE, _ENTRY_BY_ENTRY),
    ReasonKind(_C.REFUNDED_THOUGH_FAILED, (), "{subject}: refunded although it failed", _IMPOSSIBLE, _ENTRY_BY_ENTRY),
    ReasonKind(_C.SETTLED_TWICE, (), "{subject}: settled more than once", _IMPOSSIBLE, _ENTRY_BY_ENTRY),
    ReasonKind(
        _C.CAPTURE_UNDONE,
        (),
        "{subject}: a capture was undone; whether its hold stands is not known",
        _IMPOSSIBLE,
        _ENTRY_BY_ENTRY,
    ),
    ReasonKind(_C.STATUS_UNKNOWN, ("status",), "{subject}: unknown status {status}", _STRANGE_WORD, _ASK_MEANING),
    ReasonKind(_C.TYPE_UNKNOWN, ("type",), "{subject}: unknown transaction type {type}", _STRANGE_WORD, _ASK_MEANING),
    ReasonKind(_C.TYPE_MISSING, (), "{subject}: transaction type missing", _STRANGE_WORD, _ASK_MEANING),
    ReasonKind(_C.CONTRADICTING_PREVIOUS, (), "{subject}: contradicting previous references", _UNTRUE, _VERIFY),
    ReasonKind(_C.CONTRADICTING_TYPES, (), "{subject}: contradicting transaction types", _UNTRUE, _VERIFY),
    ReasonKind(_C.CONTRADICTING_AMOUNTS, (), "{subject}: contradicting amounts", _UNTRUE, _VERIFY),
    ReasonKind(_C.CIRCULAR, (), "{subject}: previous references run in a circle", _UNTRUE, _VERIFY),
    ReasonKind(_C.AMOUNT_MISSING, (), "{subject}: amount missing", _UNTRUE, _VERIFY),
    ReasonKind(_C.AMOUNT_BELOW_ZERO, (), "{subject}: amount below zero", _UNTRUE, _VERIFY),
    ReasonKind(_C.REQUEST_AUTHORISED, (), "{subject}: a payment request cannot be authorised itself", _UNTRUE, _VERIFY),
    ReasonKind(
        _C.ANSWER_NOT_TAKEN,
        ("member",),
        "{subject}: PayTabs' answer was not taken for its {member}",
        "the answer to a page, a charge or another request names other terms than were asked for, or has a reference "
        "or an address that is none; nobody was sent there, and nothing of it was stored",
        "look for the cart in PayTabs' dashboard and ask PayTabs with the `trace` in the evidence. A page was given "
        "up, and its cart is watched for a day: settle, then a new one can be made. A charge, capture or refund is "
        "still found out by query: settle when its operation has ended",
    ),
    ReasonKind(
        _C.CMS_PAID_UNKNOWN,
        (),
        "the CMS says paid, PayTabs does not know the reference",
        "an old payment whose reference is wrong",
        "find the right transaction in the dashboard; correct the CMS; settle",
    ),
    ReasonKind(
        _C.CMS_STATUS_CHANGED,
        ("status",),
        "the CMS has set status to {status} itself",
        "somebody or something other than us has written `payments.status`, and not what the gateway says; it is left "
        "as it is and counted so",
        _THREE_WAYS,
    ),
    ReasonKind(
        _C.CMS_REFERENCE_CHANGED,
        ("reference",),
        "the CMS has set transR to {reference} itself",
        "somebody or something other than us has written `payments.transR`; it is left as it is",
        _THREE_WAYS,
    ),
    ReasonKind(
        _C.CMS_NOT_CONFIRMED,
        ("status", "theirs"),
        "the CMS says {status}, which PayTabs does not confirm: there it is {theirs}",
        "a payment of the CMS's old code that staff have settled, or given back, without PayTabs: in cash for example",
        _THREE_WAYS,
    ),
    ReasonKind(
        _C.CMS_SETTLED_UNKNOWN,
        ("status", "reference"),
        "the CMS says {status}, PayTabs does not know the reference {reference}",
        "an old payment whose reference is wrong, or of another profile",
        _THREE_WAYS,
    ),
    ReasonKind(
        _C.CMS_REFERENCE_UNREADABLE,
        ("reference",),
        "transR is no reference of PayTabs: {reference}",
        "the CMS's old code, or an import, has written something else there; it is left as it is",
        _THREE_WAYS,
    ),
    ReasonKind(
        _C.PAID_OUTSIDE_TOO,
        ("tran_refs…",),
        "settled outside, and PayTabs has taken money too: {tran_refs}",
        "the payer has paid twice, once without PayTabs: a page was left open, for example",
        "give one of the two back: `payments.refund` with the reference, or the cash; settle",
    ),
    ReasonKind(
        _C.NOT_SHOWN,
        (),
        "{subject}: PayTabs does not show it",
        "a comparison found something in our events that PayTabs does not know",
        "look the reference up in PayTabs' dashboard, of this profile and region; ask PayTabs; settle when it is "
        "explained",
    ),
    ReasonKind(
        _C.LEDGER_DIFFERS,
        (),
        "{subject}: PayTabs' ledger differs",
        "a comparison found a status or a sum that PayTabs' answer could not mend; the evidence has both",
        "compare with the dashboard; refund, release or correct there; settle",
    ),
    ReasonKind(
        _C.UNRECOGNISED,
        (),
        "{subject}",
        "an old case whose words no version is known to have written",
        "read it and its evidence; settle it when it has been cleared up",
    ),
)

#: Every kind of reason, by its code, in the order of docs/operations.md.
REASON_KINDS: Mapping[str, ReasonKind] = MappingProxyType({row.code: row for row in _ROWS})


def words(reason: Reason) -> str:
    """Return a reason in words; of a code that a newer version raised, the code and what it is about."""
    kind = REASON_KINDS.get(reason.code)
    if kind is None:
        return " ".join(text for text in (reason.code.replace("_", " "), reason.subject, *reason.params) if text)
    return kind.worded(reason)


def members(reason: Reason) -> dict[str, Any]:
    """Return the members by which a fact carries a reason, with its words of today."""
    return {"code": reason.code, "subject": reason.subject, "params": reason.params, "reason": words(reason)}


def all_words(reasons: Iterable[Reason]) -> list[str]:
    """Return reasons in words, in their order."""
    return [words(reason) for reason in reasons]
