"""What one `tran_ref` amounts to: all that PayTabs ever said of it, merged without regard to order or repetition.

The rank of section 7 of the gateway contract decides which status stands; ties are broken by the content of the
observations, never by their arrival.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from payments.facts import TransactionObserved

#: P < H < C, X, D, E < A < V.
RANK = {"P": 0, "H": 1, "C": 2, "X": 2, "D": 2, "E": 2, "A": 3, "V": 4}

#: Statuses of an attempt that failed.
FAILED = frozenset("CXDE")

#: Transactions that act on another one.
FOLLOW_UPS = frozenset({"capture", "void", "release", "refund"})

#: Transactions that begin an attempt.
ORIGINALS = frozenset({"sale", "auth", "register", "payment request"})

#: A void and a release are one family: the gateway may carry out either as the other.
FREEING = frozenset({"void", "release"})

#: A capture is reported as `capture` or as `sale` with a previous reference; what was asked as a sale may be held.
_SAME_KIND = (frozenset({"capture", "sale"}), FREEING, frozenset({"sale", "auth", "payment request"}))

#: PayTabs says of a page nobody has paid yet that it awaits finalisation.
AWAITING_FINALISATION = "600"


@dataclass(frozen=True, kw_only=True)
class Movement:
    """One transaction at PayTabs as far as it is known; amounts in major units of `currency`."""

    tran_ref: str
    previous: str | None
    kind: str
    status: str
    statuses: frozenset[str]
    amount: Decimal
    code: str | None
    carts: frozenset[str]
    currencies: frozenset[str]
    profiles: frozenset[int]
    occurred_at: str
    expired_at: str
    problems: tuple[str, ...]

    @property
    def succeeded(self) -> bool:
        """Return whether the transaction stands as authorised."""
        return self.status == "A"

    @property
    def awaits_payer(self) -> bool:
        """Return whether this is a page that nobody has paid yet."""
        return self.status == "P" and self.kind != "payment request" and self.code == AWAITING_FINALISATION


def merge(observations: Iterable[TransactionObserved]) -> dict[str, Movement]:
    """Merge observations into one movement per `tran_ref`.

    Returns:
        Movements by `tran_ref`; the same for any order and any repetition of the observations.
    """
    ordered = sorted(set(observations), key=_content)
    return {ref: _merge_one(ref, list(group)) for ref, group in groupby(ordered, key=lambda seen: seen.tran_ref)}


def _content(seen: TransactionObserved) -> tuple[str, ...]:
    """Return a total order over observations that depends on their content alone, the latest last."""
    return (seen.tran_ref, seen.occurred_at or "", *(repr(value) for value in seen.to_data().items()))


def _merge_one(tran_ref: str, seen: list[TransactionObserved]) -> Movement:
    ranked = [one for one in seen if one.status in RANK]
    standing = max(ranked, key=lambda one: (RANK[one.status], _content(one))) if ranked else seen[-1]
    previous = sorted({one.previous_tran_ref for one in seen if one.previous_tran_ref})
    amounts = {Decimal(one.amount) for one in ranked if one.status == standing.status and one.amount is not None}
    return Movement(
        tran_ref=tran_ref,
        previous=previous[-1] if previous else None,
        kind=_kind({one.tran_type for one in seen}, standing.tran_type),
        status=standing.status if ranked else "?",
        statuses=frozenset(one.status for one in ranked),
        amount=max(amounts, default=Decimal(0)),
        code=standing.code,
        carts=frozenset(one.cart_id for one in seen if one.cart_id),
        currencies=frozenset(one.currency for one in seen if one.currency),
        profiles=frozenset(one.profile_id for one in seen if one.profile_id is not None),
        occurred_at=max((one.occurred_at or "" for one in ranked if one.status == "A"), default=""),
        expired_at=max((one.occurred_at or "" for one in ranked if one.status == "X"), default=""),
        problems=tuple(_problems(seen, previous, amounts, standing)),
    )


def _kind(types: set[str], standing: str) -> str:
    """Return what a transaction is: the follow-up named, else an original; `sale` beside `capture` is a capture."""
    named = sorted(types & FOLLOW_UPS)
    if named:
        return named[0]
    if "auth" in types:
        return "auth"
    return standing


def _problems(
    seen: list[TransactionObserved], previous: list[str], amounts: set[Decimal], standing: TransactionObserved
) -> Iterable[str]:
    types = {one.tran_type for one in seen}
    if len(previous) > 1:
        yield f"{standing.tran_ref}: contradicting previous references"
    if len(amounts) > 1 and standing.status in ("A", "H"):
        yield f"{standing.tran_ref}: contradicting amounts"
    if unknown := sorted(types - FOLLOW_UPS - ORIGINALS):
        yield f"{standing.tran_ref}: unknown transaction type {unknown[0]!r}"
    elif len(types) > 1 and not any(types <= family for family in _SAME_KIND):
        yield f"{standing.tran_ref}: contradicting transaction types"
    if odd := sorted({one.status for one in seen} - RANK.keys()):
        yield f"{standing.tran_ref}: unknown status {odd[0]!r}"
    if standing.status in ("A", "H") and not amounts and "register" not in types:
        yield f"{standing.tran_ref}: amount missing"
