"""Whatever PayTabs says, in whatever order and however often: one verdict, and its invariants."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain, pairwise

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from payments.assessment import CMS_STATUS, Assessment, assess
from payments.facts import Fact, TransactionObserved
from payments.payment import LIVE, Payment, State, fold
from tests.unit.payments.stories import PROFILE, after, overridden, page, seen, sums_of

REFS = [f"T{number}" for number in range(1, 7)]
TIMES = [None, "2026-08-06T10:00:00.000Z", "2026-08-06T11:00:00.000Z", "2026-08-07T10:00:00.000Z"]
TYPES = ["sale", "auth", "register", "payment request", "capture", "void", "release", "refund", "authext", "", "gift"]

#: Anything at all that a query, an answer or a notice could say, contradictions included.
ANYTHING = st.builds(
    TransactionObserved,
    tran_ref=st.sampled_from(REFS),
    tran_type=st.sampled_from(TYPES),
    status=st.sampled_from(["P", "H", "C", "X", "D", "E", "A", "A", "A", "V", "Z"]),
    amount=st.sampled_from([None, "0", "40", "40.00", "75.00", "115.0", "115.00", "115.00", "-1.00"]),
    currency=st.sampled_from(["SAR", "SAR", "SAR", None, "USD"]),
    code=st.sampled_from([None, "G1", "600", "300", "401", "4411"]),
    previous_tran_ref=st.sampled_from([None, None, *REFS, "T9"]),
    cart_id=st.sampled_from(["cart-1", "cart-1", "cart-2", "op-x", None]),
    profile_id=st.sampled_from([PROFILE, PROFILE, None, 1]),
    occurred_at=st.sampled_from(TIMES),
)

ROOTS = st.sampled_from([("sale", "A"), ("sale", "H"), ("auth", "A"), ("auth", "H"), ("auth", "V"), ("sale", "V"),
                         ("sale", "P"), ("sale", "D"), ("payment request", "P"), ("auth", "X")])  # fmt: skip
PARTS = st.sampled_from(["15.00", "40.00", "75.00", "115.00"])


@st.composite
def stories(draw: st.DrawFn) -> list[TransactionObserved]:
    """Draw what PayTabs could say of one page: an original, its earlier statuses, and what acted on it."""
    kind, status = draw(ROOTS)
    said = [seen("T1", kind, status, code="4411" if kind == "payment request" else "G1")]
    said += [seen("T1", kind, earlier, code="600") for earlier in draw(st.sets(st.sampled_from("PHD"), max_size=2))]
    for ref in REFS[1 : draw(st.integers(1, 5))]:
        act = draw(st.sampled_from(["capture", "both", "sale", "void", "release", "refund"]))
        amount, result = draw(PARTS), draw(st.sampled_from(["A", "A", "A", "P", "D", "E", "V"]))
        parent = draw(st.sampled_from([one.tran_ref for one in said]))
        said += [
            after(parent, ref, name, result, amount) for name in (("capture", "sale") if act == "both" else (act,))
        ]
        if result == "A" and draw(st.booleans()):
            said.append(after(parent, ref, said[-1].tran_type, "P", amount))
    return said


#: Sets of observations: sensible ones and arbitrary ones.
SAID = st.one_of(stories(), st.lists(ANYTHING, max_size=9))
BEFORE = st.sampled_from([page(), page("auth"), page("register"), [*page(), *page(number=2)],
                          [*page(), overridden()], [*page(), overridden(), *page(number=2)]])  # fmt: skip
MANY = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def judged(before: Sequence[Fact], said: Sequence[Fact]) -> Assessment:
    """Return the verdict over facts told in this order."""
    return assess(fold([*before, *said]))


class TestOrder:
    """The payment is a function of the set of observations."""

    @MANY
    @given(before=BEFORE, said=SAID, data=st.data())
    def test_any_telling(self, before: list[Fact], said: list[Fact], data: st.DataObject) -> None:
        """Any order, repetition, interleaving with our own facts and split into folds gives the same verdict."""
        repeated = data.draw(st.lists(st.sampled_from(said), max_size=4)) if said else []
        told = data.draw(st.permutations([*said, *repeated]))
        cuts = sorted(data.draw(st.integers(0, len(told))) for _ in before)
        mixed = _interleave(before, told, cuts)
        payment = Payment()
        for piece in _split(mixed, data.draw(st.lists(st.integers(0, len(mixed)), max_size=3))):
            payment = fold(piece, payment)
        verdict = judged(before, said)
        event(verdict.state)
        assert assess(payment) == verdict

    @MANY
    @given(before=BEFORE, said=SAID)
    def test_sums_hold(self, before: list[Fact], said: list[Fact]) -> None:
        """No more is captured and freed than authorised, none refunded than captured, unless a human is called."""
        verdict = judged(before, said)
        if verdict.state is State.REVIEW:
            return
        assert verdict.captured + verdict.released <= verdict.authorised
        assert verdict.refunded + verdict.refund_pending <= verdict.captured
        assert min(verdict.authorised, verdict.captured, verdict.released, verdict.refunded) >= 0

    @MANY
    @given(before=BEFORE, said=SAID)
    def test_paid_is_earned(self, before: list[Fact], said: list[TransactionObserved]) -> None:
        """What the CMS reads as paid has the money of one attempt, said to be authorised."""
        verdict = judged(before, said)
        if verdict.cms_status != "paid":
            return
        assert Decimal(0) < verdict.captured
        assert any(one.status == "A" for one in said)
        assert sum(leg.state in LIVE for leg in verdict.legs) == 1

    @MANY
    @given(before=BEFORE, said=SAID)
    def test_failure_is_never_paid(self, before: list[Fact], said: list[TransactionObserved]) -> None:
        """A payment of which only D, E, H, X, C and P were said is never paid nor captured."""
        failures = [one for one in said if one.status not in ("A", "V", "Z")]
        verdict = judged(before, failures)
        assert verdict.captured == 0
        assert CMS_STATUS.get(verdict.base_state) not in ("paid", "refunded")

    @MANY
    @given(before=BEFORE, said=SAID)
    def test_parked_is_uncounted(self, before: list[Fact], said: list[TransactionObserved]) -> None:
        """What waits for its parent changes no sum."""
        verdict = judged(before, said)
        rest = [one for one in said if one.tran_ref not in verdict.parked]
        assert sums_of(judged(before, rest)) == sums_of(verdict)


class TestCircles:
    """Transactions that act upon each other act upon nothing that is known."""

    def test_through_the_page(self) -> None:
        """A page that is said to have acted upon what acted upon it counts for nothing, and is a human's to look at."""
        circle = [
            seen("T1", "sale", "H", "40"), seen("T1", "capture", "P", None, previous_tran_ref="T4"),
            seen("T4", "sale", "P", None, previous_tran_ref="T1"),
        ]  # fmt: skip
        verdict = judged(page(), circle)
        assert verdict.state is State.REVIEW
        assert verdict.authorised == 0
        assert verdict.parked == ("T1", "T4")
        assert any(reason.code == "circular_references" for reason in verdict.review)


class TestThinEntries:
    """An entry of a query by cart says less than other sources and contradicts none of them."""

    @MANY
    @given(before=BEFORE, said=stories(), data=st.data())
    def test_beside_full_ones(self, before: list[Fact], said: list[TransactionObserved], data: st.DataObject) -> None:
        """Thin copies of what is known change nothing, whatever they leave out and however they write amounts.

        Times of failures stay: between two failures of one transaction the later one is the one that tells.
        """
        thin = [
            replace(
                one,
                previous_tran_ref=data.draw(st.sampled_from([None, one.previous_tran_ref])),
                profile_id=None,
                code=data.draw(st.sampled_from([None, one.code])),
                currency=data.draw(st.sampled_from([None, one.currency])),
                cart_id=data.draw(st.sampled_from([None, one.cart_id])),
                tran_type=data.draw(st.sampled_from(["", one.tran_type])),
                amount=data.draw(st.sampled_from([None, one.amount, _rewritten(one.amount)])),
                occurred_at=data.draw(st.sampled_from(TIMES)) if one.status in "PHAV" else None,
            )
            for one in data.draw(st.lists(st.sampled_from(said), min_size=1, max_size=5))
        ]
        assert judged(before, [*said, *thin]) == judged(before, said)


class TestOneTransaction:
    """Several statuses and reports of one `tran_ref`."""

    @given(failure=st.sampled_from("DEXC"), first=st.booleans(), kind=st.sampled_from(["sale", "auth"]))
    def test_late_success(self, failure: str, first: bool, kind: str) -> None:
        """(D, A) and (A, D) are the same payment, and the money counts."""
        said = [seen("T1", kind, "A"), seen("T1", kind, failure)]
        verdict = judged(page(kind), said if first else said[::-1])
        assert verdict.state is (State.PAID if kind == "sale" else State.AUTHORISED)
        assert verdict.flags == ("late_success",)

    @given(others=st.lists(st.sampled_from("PHCXDEA"), max_size=7), at=st.integers(0, 7))
    def test_void_stands(self, others: list[str], at: int) -> None:
        """A void stands wherever it comes, first included."""
        statuses = [*others[:at], "V", *others[at:]]
        assert judged(page(), [seen("T1", "sale", status) for status in statuses]).state is State.VOIDED

    @given(
        reports=st.lists(st.sampled_from(["answer", "Capture", "Sale", "query", "by cart"]), min_size=1, max_size=9),
        amount=PARTS,
    )
    def test_capture_counts_once(self, reports: list[str], amount: str) -> None:
        """The direct answer, both notices and the queries of one capture add its amount once."""
        full = after("T1", "T2", "capture", "A", amount, code="G2", occurred_at=TIMES[1])
        told = {
            "answer": full,
            "Capture": replace(full, occurred_at=TIMES[2]),
            "Sale": replace(full, tran_type="sale", cart_id="cart-1"),
            "query": replace(full, original_tran_type="capture"),
            "by cart": replace(full, profile_id=None, amount=_rewritten(amount)),
        }
        verdict = judged(page("auth"), [seen("T1", "auth", "A"), *(told[name] for name in reports)])
        assert sums_of(verdict) == {"authorised": Decimal(115), "captured": Decimal(amount)}
        assert verdict.state is (State.PAID if amount == "115.00" else State.PART_CAPTURED)
        assert verdict.review == ()


@pytest.mark.parametrize("cents", range(1, 4))
def test_no_rounding(cents: int) -> None:
    """Amounts are exact: three fils too little is a mismatch."""
    verdict = judged(page(), [seen("T1", "sale", "A", f"114.99{10 - cents}")])
    assert verdict.state is State.REVIEW


def _rewritten(amount: str | None) -> str | None:
    return None if amount is None else f"{Decimal(amount):.4f}"


def _interleave(before: Sequence[Fact], told: Sequence[Fact], cuts: Sequence[int]) -> list[Fact]:
    """Return both lists merged: the n-th fact of ours comes after `cuts[n]` of what is told."""
    bounds = [0, *cuts, len(told)]
    pieces = [told[low:high] for low, high in pairwise(bounds)]
    own = [[fact] for fact in before]
    return [*pieces[0], *chain.from_iterable([*fact, *piece] for fact, piece in zip(own, pieces[1:], strict=True))]


def _split(facts: list[Fact], cuts: list[int]) -> list[list[Fact]]:
    bounds = [0, *sorted(cuts), len(facts)]
    return [facts[low:high] for low, high in pairwise(bounds)]
