from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest

from payments.assessment import CMS_STATUS, Assessment, assess
from payments.handlers import EVENT_HANDLERS
from payments.milestones import MILESTONES, milestone
from payments.payment import Payment, Snapshot, State, fold
from payments.showing import follows
from tests.unit.payments.stories import CREATED, page, seen

STATES = [state for state in State if state is not State.SETTLED_OUTSIDE]

#: What a contract, the reads and the CMS are told by.
CONTRACT, READS, CMS = "recount_contract", "invalidate_reads", "notify_cms"

SUMS = ("authorised", "captured", "released", "refunded", "refund_pending")


def standing(state: State, **more: object) -> Assessment:
    """Return a verdict of a state."""
    outside = {"stands_for": "paid"} if state is State.SETTLED_OUTSIDE else {}
    return replace(assess(Payment()), state=state, base_state=state, **(outside | more))  # type: ignore[arg-type]


def all_that_follows(before: Assessment, after: Assessment, *, first: bool = False) -> set[str]:
    """Return every reaction to a change, those to its milestone included."""
    payment = Payment(snapshot=Snapshot(Decimal(1), "SAR", 1, None, None))
    reached = [one for kind in milestone(before, after, payment) for one in EVENT_HANDLERS[type(kind).__name__]]
    return {*reached, *follows(before, after, first=first)}


class TestPairs:
    """What follows from every change of what is shown, state by state."""

    @pytest.mark.parametrize("before", State, ids=lambda state: state.name)
    def test_pair(self, before: State) -> None:
        """Contract and reads follow every change of the status, the CMS those and today's milestones."""
        for after in State:
            one, other = standing(before), standing(after)
            status = one.cms_status != other.cms_status
            reached = after in MILESTONES and before is not after
            found = all_that_follows(one, other)
            for reaction in (CONTRACT, READS, CMS):
                assert (reaction in found) == (status or reached), (after, reaction)
            assert ("email_client" in found) == (after is State.PAID and before is not State.PAID), after

    @pytest.mark.parametrize("name", SUMS)
    def test_sums(self, name: str) -> None:
        """The CMS is told of every change of every sum, whatever the states are."""
        for before, after in product(STATES, STATES):
            changed = standing(after, **{name: Decimal("0.01")})
            assert {CMS, READS} <= all_that_follows(standing(before), changed), (before, after)

    @pytest.mark.parametrize("state", State, ids=str)
    def test_first(self, state: State) -> None:
        """Contract and reads follow the first showing, whatever is shown."""
        assert {CONTRACT, READS} <= all_that_follows(standing(State.NEW), standing(state), first=True)

    @pytest.mark.parametrize("state", State, ids=str)
    def test_nothing_new(self, state: State) -> None:
        """Where neither state, status nor sums have changed, nothing follows."""
        assert all_that_follows(standing(state), standing(state)) == set()

    @pytest.mark.parametrize("left", [True, False])
    def test_left_to_the_cms(self, *, left: bool) -> None:
        """Whether the status is ours or the CMS's own is a change of it."""
        ours, theirs = standing(State.DECLINED), standing(State.DECLINED, left=frozenset({"status"}))
        assert {CONTRACT, READS, CMS} <= all_that_follows(*((ours, theirs) if left else (theirs, ours)))

    def test_kept(self) -> None:
        """So is a word that a person has put in the place of ours."""
        kept = standing(State.DECLINED, stands_for="paid")
        assert {CONTRACT, READS, CMS} <= all_that_follows(standing(State.DECLINED), kept)

    def test_pending_states(self) -> None:
        """Steps on the way that the CMS reads as the same are nobody's news."""
        assert {state for state in STATES if state not in CMS_STATUS} >= {State.NEW, State.SENT, State.AWAITING_PAYER}
        assert all_that_follows(standing(State.SENT), standing(State.AWAITING_PAYER)) == set()

    def test_real_facts(self) -> None:
        """A declined payment that is given a new page is pending again: everybody hears of it."""
        declined = assess(fold([*page(), seen("T1", "sale", "D")]))
        again = assess(fold([*page(), seen("T1", "sale", "D"), *page(number=2)]))
        assert {CONTRACT, READS, CMS} == all_that_follows(declined, again)
        assert all_that_follows(assess(Payment()), assess(fold([CREATED])), first=True) == {CONTRACT, READS}
