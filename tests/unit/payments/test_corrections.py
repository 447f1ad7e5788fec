from collections.abc import Iterable

import pytest

from payments.comparison import Kind
from payments.corrections import Correction, Standing, correct, judge
from payments.facts import Fact, ReviewRaised, ReviewSettled, TransactionObserved
from payments.ledgers import OurLedger, TheirLedger
from payments.payment import State, fold
from tests.support.reasons import about
from tests.unit.payments.stories import after, page, seen

PAID: list[Fact] = [*page(), seen("T1", "sale", "A")]
REFUND = after("T1", "T2", "refund", "A", "40.00", cart_id="cart-1")


def ours(history: Iterable[Fact]) -> OurLedger:
    """Return our ledger of a payment."""
    return OurLedger(fold(history))


def theirs(*said: TransactionObserved) -> TheirLedger:
    """Return what PayTabs shows."""
    return TheirLedger(frozenset(said))


def standings(correction: Correction) -> list[tuple[Kind, Standing | None]]:
    """Return what becomes of every finding."""
    return [(one.finding.kind, one.standing) for one in correction.results]


class TestMending:
    """What PayTabs shows is recorded."""

    def test_agreeing(self) -> None:
        """Where all agrees nothing is recorded."""
        correction = correct(ours(PAID), theirs(seen("T1", "sale", "A")))
        assert (correction.facts, standings(correction)) == ((), [(Kind.AGREEING, None)])

    def test_only_theirs(self) -> None:
        """A transaction that we lack becomes a fact, and what agrees is left alone."""
        correction = correct(ours(PAID), theirs(seen("T1", "sale", "A"), REFUND))
        assert correction.facts == (REFUND,)
        assert standings(correction) == [(Kind.AGREEING, None), (Kind.ONLY_THEIRS, Standing.CORRECTED)]
        assert ours([*PAID, *correction.facts]).verdict.state is State.PART_REFUNDED

    def test_differing(self) -> None:
        """A status that we missed becomes a fact."""
        correction = correct(ours(page()), theirs(seen("T1", "sale", "A")))
        assert standings(correction) == [(Kind.DIFFERING, Standing.CORRECTED)]
        assert ours([*page(), *correction.facts]).verdict.state is State.PAID

    def test_wakes_a_human(self) -> None:
        """What is on record now may be a case by itself, which is no second one of ours."""
        refunds = [after("T1", ref, "refund", "A", "115.00") for ref in ("T2", "T3")]
        correction = correct(ours([*PAID, refunds[0]]), theirs(seen("T1", "sale", "A"), *refunds))
        assert correction.facts == (refunds[1],)
        assert standings(correction)[-1] == (Kind.ONLY_THEIRS, Standing.REVIEW)


class TestHuman:
    """What no fact mends."""

    def test_only_ours(self) -> None:
        """A transaction that PayTabs does not show becomes a case, with what we have as its evidence."""
        correction = correct(ours([*PAID, REFUND]), theirs(seen("T1", "sale", "A")))
        assert correction.facts == (
            ReviewRaised(
                **about("T2: PayTabs does not show it"), evidence="ours: refund A 40.00 SAR on T1; PayTabs': nothing"
            ),
        )
        assert standings(correction)[-1] == (Kind.ONLY_OURS, Standing.REVIEW)

    def test_less_than_ours(self) -> None:
        """Where PayTabs shows less than our rank keeps, its word is recorded and a human is called."""
        unpaid = seen("T1", "sale", "P", "0", code="600")
        correction = correct(ours(PAID), theirs(unpaid))
        assert correction.facts == (
            unpaid,
            ReviewRaised(
                **about("T1: PayTabs' ledger differs"), evidence="ours: sale A 115.00 SAR; PayTabs': sale P 0 SAR"
            ),
        )
        assert standings(correction) == [(Kind.DIFFERING, Standing.REVIEW)]

    @pytest.mark.parametrize(
        "shown", [[], [seen("T1", "sale", "D")], [seen("T1", "sale", "A", "40.00")], [seen("T1", "sale", "Q")]]
    )
    def test_twice(self, shown: list[TransactionObserved]) -> None:
        """The second time everything is on record, and still in review."""
        once = [*PAID, *correct(ours(PAID), theirs(*shown)).facts]
        again = correct(ours(once), theirs(*shown))
        assert fold([*once, *again.facts]) == fold(once)
        assert [one.standing for one in again.results] == [Standing.REVIEW]
        assert [one.standing for one in judge(ours(once), theirs(*shown))] == [Standing.REVIEW]

    def test_settled(self) -> None:
        """What a human has settled stays settled for as long as both ledgers say the same."""
        shown = theirs()
        (claim,) = correct(ours(PAID), shown).facts
        assert isinstance(claim, ReviewRaised)
        closed = [*PAID, claim, ReviewSettled(**about(claim.reason), note="a purge of PayTabs'", by="omar")]
        assert [one.standing for one in judge(ours(closed), shown)] == [Standing.SETTLED]
        assert correct(ours(closed), shown).facts == ()
        declined = theirs(seen("T1", "sale", "D"))
        assert [one.standing for one in correct(ours(closed), declined).results] == [Standing.REVIEW]

    def test_other_case(self) -> None:
        """Another case of the same transaction, settled or open, does not hide this one."""
        other = ReviewRaised(**about("T1: something else"), evidence="a notice")
        for history in ([*PAID, other], [*PAID, other, ReviewSettled(**about(other.reason), note="fine", by="omar")]):
            assert [one.standing for one in judge(ours(history), theirs())] == [Standing.OPEN]
            assert len(correct(ours(history), theirs()).facts) == 1
