from pathlib import Path

import pytest

from tests.chaos.fire.money import Size, run_money, too_few
from tests.chaos.fire.plans import draw_plans
from tests.support.sandbox import Sandbox
from tests.support.system import report

#: The small form of what `full_money.py` does with 1,000 payments: fewer mishaps, all of the mismatches and edges.
SMALL = Size(
    payments=24, follow_ups=9, seed=4, heat=0.6, workers=2, seconds=150.0, clock_seconds=4.0,
    pause_seconds=4.0, away_seconds=3.0,
    mishaps=("broker killed", "broker full (OOM)", "broker demoted (UNBLOCKED, READONLY)", "payments away"),
)  # fmt: skip


class TestUnderFire:
    """Calls go wrong, notices go astray and servers are in trouble: no money moves twice, both ledgers agree."""

    @pytest.mark.timeout(300)
    def test_every_promise(self, tmp_path: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
        """Every payment ends as intended, entry by entry, and only the planted mismatches need a human."""
        findings = run_money(tmp_path, sandbox, SMALL)
        assert findings.broken == []
        report(capsys, f"under fire: {'; '.join(line.measured for line in findings.lines[:4])}")


class TestPlans:
    """What a run is made of."""

    @pytest.mark.parametrize(("payments", "follow_ups"), [(1000, 300), (24, 9)])
    def test_sizes(self, payments: int, follow_ups: int) -> None:
        """There are exactly as many payments and follow-ups as asked for, and the same seed gives the same."""
        plans = draw_plans(payments, follow_ups, 7)
        assert len(plans) == payments
        assert sum(len(plan.shape.steps) for plan in plans) == follow_ups
        assert plans == draw_plans(payments, follow_ups, 7)
        assert {plan.shape.plant for plan in plans} >= {"amount", "currency", "profile", "cart", "lie", "old_page"}

    def test_too_many(self) -> None:
        """More follow-ups than the payments can carry are refused."""
        with pytest.raises(ValueError, match="payments: expected at least"):
            draw_plans(10, 300, 1)


class TestTooFew:
    """When there was no fire, though one was set."""

    @pytest.mark.parametrize(("number", "expected", "too_low"), [(0, 28.0, True), (1, 3.7, False), (400, 593.0, True)])
    def test_chance(self, number: int, expected: float, too_low: bool) -> None:
        """Only what chance does not explain is too few."""
        assert too_few(number, expected) is too_low
