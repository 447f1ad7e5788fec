from pathlib import Path

import pytest

from tests.chaos.fire.refunds import Ordeal, run_refunds
from tests.support.sandbox import Sandbox
from tests.support.system import report

#: The small form of what `full_kills.py` does with 200 refunds; the primary of three nodes is killed there only.
SMALL = Ordeal(
    refunds=6, refunds_per_second=1.0, answer_seconds=1.5, kill_every_seconds=2.0, most_kills=2, members=1, seconds=75.0
)


class TestKilled:
    """Workers and the broker die while refunds run."""

    def test_each_once(self, tmp_path: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
        """Each refund happens exactly once, and is booked once."""
        findings = run_refunds(tmp_path, sandbox, SMALL)
        assert findings.broken == []
        report(capsys, f"refunds under kills: {'; '.join(line.measured for line in findings.lines[:2])}")
