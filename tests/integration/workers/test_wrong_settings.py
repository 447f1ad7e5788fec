import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT


class TestWrongSettings:
    """A worker or a schedule that cannot work does not start."""

    @pytest.mark.parametrize("words", [("worker", "--concurrency", "1"), ("beat", "--pidfile=")])
    def test_all_mistakes(self, words: tuple[str, ...], tmp_path: Path) -> None:
        """It ends with every mistake by its variable's name, without a traceback and without a key."""
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
        wrong = {"PYTHONPATH": str(ROOT), "PAYTABS_SERVERK": "not-a-key", "RECEIVER_PORT": "many"}
        ended = subprocess.run(
            [sys.executable, "-m", "celery", "-q", "-A", "workers.app", *words],
            cwd=tmp_path,
            env={**kept, **wrong},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        for variable in ("PAYTABS_SERVERK", "RECEIVER_PORT", "PAYTABS_PROFILE", "PAYTABS_REGION"):
            assert f"{variable}: " in ended.stderr
        assert "not-a-key" not in ended.stderr
        assert "Traceback" not in ended.stderr
