import pytest

from payments.assessment import assess
from payments.facts import Fact, Milestone, ReviewRaised
from payments.milestones import MILESTONES, milestone
from payments.payment import State, fold
from tests.support.reasons import about
from tests.unit.payments.stories import after, opened, page, seen, sent

CLAIM = ReviewRaised(**about("a notice with another amount"), evidence="T1 sale A")


def announced(before: list[Fact], *new: Fact) -> list[Milestone]:
    """Return what new facts announce."""
    payment = fold([*before, *new])
    return milestone(assess(fold(before)), assess(payment), payment)


class TestMilestones:
    """The fact that announces a change of state."""

    def test_completed(self) -> None:
        """A paid page announces the payment with its terms and the reference to refund."""
        found = announced(page(), seen("T1", "sale", "A"))
        assert [(type(one).__name__, one.state, one.amount, one.currency, one.tran_ref) for one in found] == [
            ("PaymentCompleted", "PAID", "115.00", "SAR", "T1")
        ]

    def test_once(self) -> None:
        """The same said again announces nothing."""
        assert announced([*page(), seen("T1", "sale", "A")], seen("T1", "sale", "A", profile_id=None)) == []

    @pytest.mark.parametrize(
        ("before", "new"),
        [
            ([*page(), seen("T1", "sale", "D")], sent(2)),
            (page(), seen("T1", "sale", "P", "0", code="600")),
            ([*page(), seen("T1", "sale", "D"), sent(2)], opened(2)),
        ],
    )
    def test_silent(self, before: list[Fact], new: Fact) -> None:
        """A step on the way announces nothing."""
        assert announced(before, new) == []

    def test_declined_again(self) -> None:
        """A second attempt that is declined is announced as the first was."""
        before = [*page(), seen("T1", "sale", "D"), *page(number=2)]
        assert [type(one).__name__ for one in announced(before, seen("T2", "sale", "D", cart_id="cart-2"))] == [
            "PaymentDeclined"
        ]

    def test_claim_flags(self) -> None:
        """A claim on an open payment calls a human; the genuine success after it is announced all the same."""
        assert [type(one).__name__ for one in announced(page(), CLAIM)] == ["PaymentFlagged"]
        assert [type(one).__name__ for one in announced([*page(), CLAIM], seen("T1", "sale", "A"))] == [
            "PaymentCompleted"
        ]

    def test_claim_on_paid(self) -> None:
        """A claim on a paid payment announces nothing: its state stands."""
        assert announced([*page(), seen("T1", "sale", "A")], CLAIM) == []

    def test_held_is_not_completed(self) -> None:
        """A held payment is announced as held, and as completed only when captured."""
        held = seen("T1", "sale", "H")
        assert [type(one).__name__ for one in announced(page(), held)] == ["PaymentHeld"]
        assert [type(one).__name__ for one in announced([*page(), held], after("T1", "T2", "capture", "A"))] == [
            "PaymentCompleted"
        ]

    def test_ignored_by_the_fold(self) -> None:
        """What is announced changes nothing of what is known."""
        told = [*page(), seen("T1", "sale", "A")]
        assert fold([*told, *announced(page(), told[-1])]) == fold(told)

    def test_registered(self) -> None:
        """A card that was registered is told by the type that workers of the version before know, in its own state."""
        (found,) = announced(page("register"), seen("T1", "register", "A", "1.00"))
        assert (type(found).__name__, found.state) == ("PaymentVoided", "REGISTERED")

    def test_distinct(self) -> None:
        """Every state that is announced has a fact of its own, a registration apart; others are steps on the way."""
        alone = {state: kind for state, kind in MILESTONES.items() if state is not State.REGISTERED}
        assert len(set(alone.values())) == len(alone)
        assert set(State) - set(MILESTONES) == {State.NEW, State.SENT, State.AWAITING_PAYER, State.SETTLED_OUTSIDE}
