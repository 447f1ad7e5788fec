"""What each kind of case means and what an operator does with it: the table of docs/operations.md, and of the CLI.

A kind is known by how its reasons read; `…` stands for anything. A reason that no row knows is still a case: it comes
from a newer version, and its words say what is the matter.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class CaseKind:
    """One row: how the reasons read, what that means, and what to do."""

    reasons: tuple[str, ...]
    means: str
    to_do: str

    def matches(self, reason: str) -> bool:
        """Tell whether a reason is of this kind."""
        return any(re.fullmatch(re.escape(text).replace("…", ".*"), reason) for text in self.reasons)


CASE_KINDS: tuple[CaseKind, ...] = (
    CaseKind(
        ("…: nothing found within a day",),
        "the request may or may not have been executed; PayTabs shows nothing under the cart in the evidence",
        "look for the cart and the amount in PayTabs' dashboard. There: `payments.verify` with its `tran_ref`, the "
        "operation ends by itself, then settle the case. Not there: settle it with `--not-happened`, then ask again "
        "under a new `operation_id`",
    ),
    CaseKind(
        ("…: a … that was given up and happened all the same",),
        "PayTabs shows what was settled as not happened",
        "compare the sums with what was intended; refund or release what is too much; settle",
    ),
    CaseKind(
        ("paid twice: … and … both stand",),
        "two attempts succeeded: an overridden page and a new one, for example",
        "run the proposed `payments.refund`, or `payments.release` for an authorisation; the case closes by itself. "
        "Without a proposal the money is on hold: free it in PayTabs' dashboard",
    ),
    CaseKind(
        ("…: amount differs from the …",),
        "PayTabs moved another amount than was asked",
        "find out why (a discount, another currency); refund the difference or settle",
    ),
    CaseKind(
        (
            "…: currency differs from the payment's",
            "…: profile differs from the payment's",
            "…: cart differs from the attempt's",
        ),
        "the transaction is not the one that was asked for",
        "do not deliver; ask PayTabs; refund if the money is ours, then settle",
    ),
    CaseKind(
        ("…: a … where a … was asked", "…: acts on another transaction than the … named"),
        "PayTabs carried out something else than was asked",
        "compare with PayTabs' dashboard; undo there what was not intended; settle",
    ),
    CaseKind(
        (
            "a notice with another amount",
            "a notice in another currency",
            "a notice from another profile",
            "a notice for another cart",
            "a notice whose query names another cart",
        ),
        "a correctly signed notice contradicts the payment; it was not applied",
        "check whether the server key has leaked (rotate it) or the profile is shared with another system; "
        "`payments.verify`; settle",
    ),
    CaseKind(
        ("a signed notice that no query confirms",),
        "PayTabs announced money that its query does not show",
        "`payments.verify` with the `tran_ref` later; ask PayTabs; settle when the query agrees",
    ),
    CaseKind(
        ("…: a transaction of no known attempt",),
        "money under one of our payments that we did not ask for",
        "look it up in the dashboard; refund there or settle",
    ),
    CaseKind(
        (
            "…: captured and released exceed authorised",
            "…: refunds exceed captured",
            "…: refunded although it failed",
            "…: settled more than once",
            "…: a capture was undone; whether its hold stands is not known",
        ),
        "the sums are impossible or not known, usually because staff and the system acted at the same time",
        "compare with the dashboard, entry by entry; correct there; settle",
    ),
    CaseKind(
        ("…: unknown status …", "…: unknown transaction type …", "…: transaction type missing"),
        "PayTabs uses a word that nobody here knows, or leaves one out",
        "do not deliver; ask PayTabs what it means; the next release knows it",
    ),
    CaseKind(
        (
            "…: contradicting …",
            "…: previous references run in a circle",
            "…: amount missing",
            "…: amount below zero",
            "…: a payment request cannot be authorised itself",
        ),
        "what PayTabs says of a transaction cannot be true as a whole",
        "`payments.verify`; if it stays, ask PayTabs with the `tran_ref`; settle",
    ),
    CaseKind(
        ("the CMS says paid, PayTabs does not know the reference",),
        "an old payment whose reference is wrong",
        "find the right transaction in the dashboard; correct the CMS; settle",
    ),
    CaseKind(
        ("…: PayTabs does not show it",),
        "a comparison found something in our events that PayTabs does not know",
        "look the reference up in PayTabs' dashboard, of this profile and region; ask PayTabs; settle when it is "
        "explained",
    ),
    CaseKind(
        ("…: PayTabs' ledger differs",),
        "a comparison found a status or a sum that PayTabs' answer could not mend; the evidence has both",
        "compare with the dashboard; refund, release or correct there; settle",
    ),
)


def kind_of(reason: str) -> CaseKind | None:
    """Return the kind of a case, the first that matches; None when this version does not know it."""
    return next((kind for kind in CASE_KINDS if kind.matches(reason)), None)
