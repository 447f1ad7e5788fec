"""What one `tran_ref` amounts to: all that PayTabs ever said of it, merged without regard to order or repetition.

The rank of section 7 of the gateway contract decides which status stands; ties are broken by the content of the
observations, never by their arrival. What an observation leaves out (entries of a query by cart are thin) contradicts
nothing.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from payments.facts import TransactionObserved
from payments.reasons import Reason, ReasonCode
from payments.values import named_value

#: P < H < C, X, D, E < A < V.
RANK = {"P": 0, "H": 1, "C": 2, "X": 2, "D": 2, "E": 2, "A": 3, "V": 4}

#: Statuses of an attempt that failed.
FAILED = frozenset("CXDE")

#: Transactions that act on another one; `authext` only prolongs a hold.
FOLLOW_UPS = frozenset({"capture", "void", "release", "refund", "authext"})

#: Transactions that begin an attempt.
ORIGINALS = frozenset({"sale", "auth", "register", "payment request"})

#: A void and a release are one family: the gateway may carry out either as the other.
FREEING = frozenset({"void", "release"})

#: Transactions whose success moves no money.
MOVES_NOTHING = frozenset({"register", "authext"})

#: A capture is reported as `capture` or as `sale` with a previous reference; what was asked as a sale may be held.
_SAME_KIND = (frozenset({"capture", "sale"}), FREEING, frozenset({"sale", "auth", "payment request"}))

#: PayTabs says of a page nobody has paid yet that it awaits finalisation.
AWAITING_FINALISATION = "600"

#: Response codes after which the acquirer may have taken money all the same (section 6 of the gateway contract).
BANK_CHECK = frozenset({("E", "400"), ("E", "401"), ("D", "300")})

ZERO = Decimal(0)


@named_value
class Movement:
    """One transaction at PayTabs as far as it is known; amounts in major units of its currency.

    `codes` pairs every status that was ever said with its code; `occurred_at` and `expired_at` are the latest times of
    an `A` and of an `X`, empty when none was said.
    """

    tran_ref: str
    previous: str | None
    kind: str
    status: str
    codes: frozenset[tuple[str, str | None]]
    amount: Decimal
    carts: frozenset[str]
    currencies: frozenset[str]
    profiles: frozenset[int]
    occurred_at: str
    expired_at: str
    problems: tuple[Reason, ...]

    @property
    def succeeded(self) -> bool:
        """Return whether the transaction stands as authorised."""
        return self.status == "A"

    @property
    def standing(self) -> str:
        """Return the status that stands, an authorisation's expiry included."""
        return "X" if self.lapsed else self.status

    @property
    def statuses(self) -> frozenset[str]:
        """Return every status that was ever said of it."""
        return frozenset(status for status, _ in self.codes)

    @property
    def awaits_payer(self) -> bool:
        """Return whether this is a page that nobody has paid yet."""
        said = {code for status, code in self.codes if status == "P" and code is not None}
        return self.status == "P" and self.kind != "payment request" and said == {AWAITING_FINALISATION}

    @property
    def needs_bank_check(self) -> bool:
        """Return whether it failed and the acquirer may have taken money all the same."""
        return self.status in FAILED and bool(self.codes & BANK_CHECK)

    @property
    def lapsed(self) -> bool:
        """Return whether an authorisation expired later than it was given."""
        return self.kind == "auth" and self.succeeded and self.expired_at > self.occurred_at


def is_same_kind(one: Movement, other: Movement) -> bool:
    """Return whether two accounts of a transaction call it the same, or by two names that PayTabs has for it."""
    kinds = {one.kind, other.kind}
    return len(kinds) == 1 or any(kinds <= family for family in _SAME_KIND)


def merge(observations: Iterable[TransactionObserved]) -> dict[str, Movement]:
    """Merge observations into one movement per `tran_ref`.

    Returns:
        Movements by `tran_ref`; the same for any order and any repetition of the observations.
    """
    by_ref: dict[str, list[TransactionObserved]] = {}
    for one in frozenset(observations):
        by_ref.setdefault(one.tran_ref, []).append(one)
    return {ref: said_of(by_ref[ref]) if len(by_ref[ref]) > 1 else said_once(*by_ref[ref]) for ref in sorted(by_ref)}


def _content(seen: TransactionObserved) -> tuple[str, ...]:
    """Return a total order over observations that depends on their content alone, the latest last."""
    return (seen.tran_ref, seen.occurred_at or "", *(repr(value) for value in seen.to_data().items()))


def said_once(one: TransactionObserved) -> Movement:
    """Return what one observation amounts to: what `said_of` would, without merging, since most stand alone."""
    known = one.status in RANK
    told = known and one.amount is not None
    amounts = [Decimal(one.amount)] if told and one.amount is not None else []
    if one.status == "V" and not any(amounts):
        amounts = []
    status = one.status if known else "?"
    previous = [one.previous_tran_ref] if one.previous_tran_ref else []
    problems = (*_contradictions([one], previous), *_amount_problems(one.tran_ref, one.tran_type, status, amounts))
    at = one.occurred_at or ""
    return Movement(
        tran_ref=one.tran_ref,
        previous=one.previous_tran_ref or None,
        kind=one.tran_type,
        status=status,
        codes=frozenset([(one.status, one.code)] if known else ()),
        amount=amounts[0] if amounts else ZERO,
        carts=frozenset([one.cart_id] if one.cart_id else ()),
        currencies=frozenset([one.currency] if one.currency else ()),
        profiles=frozenset(() if one.profile_id is None else [one.profile_id]),
        occurred_at=at if one.status == "A" else "",
        expired_at=at if one.status == "X" else "",
        problems=problems,
    )


def said_of(observations: Iterable[TransactionObserved]) -> Movement:
    """Return what observations of one transaction amount to."""
    seen = list(observations)
    tran_ref = seen[0].tran_ref
    ranked = [one for one in seen if one.status in RANK]
    standing = _standing(ranked or seen)
    status = standing.status if ranked else "?"
    previous = sorted({one.previous_tran_ref for one in seen if one.previous_tran_ref})
    amounts = _amounts(ranked, status)
    kind = _kind(seen, standing)
    problems = (*_contradictions(seen, previous), *_amount_problems(tran_ref, kind, status, amounts))
    return Movement(
        tran_ref=tran_ref,
        previous=previous[-1] if previous else None,
        kind=kind,
        status=status,
        codes=frozenset([(one.status, one.code) for one in ranked]),
        amount=amounts[-1] if amounts else ZERO,
        carts=frozenset([one.cart_id for one in seen if one.cart_id]),
        currencies=frozenset([one.currency for one in seen if one.currency]),
        profiles=frozenset([one.profile_id for one in seen if one.profile_id is not None]),
        occurred_at=max([one.occurred_at or "" for one in ranked if one.status == "A"], default=""),
        expired_at=max([one.occurred_at or "" for one in ranked if one.status == "X"], default=""),
        problems=problems,
    )


def _standing(seen: Sequence[TransactionObserved]) -> TransactionObserved:
    """Return an observation with the status and the type that stand: of equal rank, those of the latest in content."""
    most = max([RANK.get(one.status, -1) for one in seen])
    best = [one for one in seen if RANK.get(one.status, -1) == most]
    alike = len({(one.status, one.tran_type) for one in best}) == 1
    return best[0] if alike else max(best, key=_content)


def _amounts(ranked: Sequence[TransactionObserved], status: str) -> list[Decimal]:
    """Return the distinct amounts said with a status; a void may leave out what was voided, so an A or H tells it."""
    for telling in (status, *("AH" if status == "V" else "")):
        ones = [one for one in ranked if one.status == telling and one.amount is not None]
        if len({one.amount for one in ones}) > 1:
            # Of equal amounts that were written in different ways, the first in content is kept.
            ones.sort(key=_content)
        said = {Decimal(one.amount or 0) for one in ones}
        if any(said) or (said and status != "V"):
            return sorted(said)
    return []


def _kind(seen: Sequence[TransactionObserved], standing: TransactionObserved) -> str:
    """Return what a transaction is: the follow-up named, else an original; `sale` beside `capture` is a capture."""
    types = {one.tran_type for one in seen if one.tran_type}
    if named := sorted(types & FOLLOW_UPS):
        return named[0]
    if "auth" in types:
        return "auth"
    if "payment request" in types and standing.status == "P":
        return "payment request"
    return standing.tran_type or max(types, default="")


def _contradictions(seen: Sequence[TransactionObserved], previous: Sequence[str]) -> Iterable[Reason]:
    ref, types = seen[0].tran_ref, {one.tran_type for one in seen if one.tran_type}
    if len(previous) > 1:
        yield Reason(ReasonCode.CONTRADICTING_PREVIOUS, ref)
    if not types:
        yield Reason(ReasonCode.TYPE_MISSING, ref)
    if unknown := sorted(types - FOLLOW_UPS - ORIGINALS):
        yield Reason(ReasonCode.TYPE_UNKNOWN, ref, (repr(unknown[0]),))
    elif len(types) > 1 and not any(types <= family for family in _SAME_KIND):
        yield Reason(ReasonCode.CONTRADICTING_TYPES, ref)
    if odd := sorted({one.status for one in seen} - RANK.keys()):
        yield Reason(ReasonCode.STATUS_UNKNOWN, ref, (repr(odd[0]),))


def _amount_problems(ref: str, kind: str, status: str, amounts: Sequence[Decimal]) -> Iterable[Reason]:
    if amounts and amounts[0] < ZERO:
        yield Reason(ReasonCode.AMOUNT_BELOW_ZERO, ref)
    if status not in ("A", "H") or kind in MOVES_NOTHING:
        return
    if len(amounts) > 1:
        yield Reason(ReasonCode.CONTRADICTING_AMOUNTS, ref)
    if not any(amounts):
        yield Reason(ReasonCode.AMOUNT_MISSING, ref)
    if kind == "payment request":
        yield Reason(ReasonCode.REQUEST_AUTHORISED, ref)
