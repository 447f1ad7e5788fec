import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox

ROOT = Path(__file__).parents[3]


def run_suite(url: str | None, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the tests for a real profile against an address, or without credentials."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PAYTABS_LIVE_", "PYTEST_"))}
    if url is not None:
        own |= {
            "PAYTABS_LIVE_PROFILE": str(PROFILE_ID),
            "PAYTABS_LIVE_SERVERK": SERVER_KEY,
            "PAYTABS_LIVE_REGION": "SAU",
            "PAYTABS_LIVE_BASE_URL": url,
        }
    # Without the fixtures and plugins of the other tests, which take longer to load than these to run.
    own["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    suite = [
        "tests/contract/live",
        "--confcutdir=tests/contract/live",
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_timeout",
    ]
    argv = [sys.executable, "-m", "pytest", *suite, *options]
    return subprocess.run(argv, cwd=ROOT, env=own, capture_output=True, text=True, timeout=90, check=False)


class TestLiveSuite:
    """The opt-in tests against a real test profile."""

    def test_not_without_credentials(self) -> None:
        """Without credentials they are not there at all: nothing is collected, nothing is skipped."""
        result = run_suite(None, "--collect-only", "-q")
        assert "no tests collected" in result.stdout
        assert "skip" not in result.stdout

    def test_against_the_sandbox(self, sandbox: Sandbox) -> None:
        """With credentials all of them run, and the sandbox says what they expect of PayTabs."""
        result = run_suite(sandbox.url, "-q")
        assert result.returncode == 0, result.stdout
        assert "passed" in result.stdout
        assert "skipped" not in result.stdout

    def test_refuses_a_live_profile(self, bench: Any) -> None:
        """A reference that is not a test profile's ends the run at once, after one page that nobody can pay."""
        page = b'{"tran_ref":"PTE2621800000101","redirect_url":"https://secure-egypt.paytabs.com/payment/wr/5D98"}'
        gateway = bench.answering(bench.http_answer(page))
        result = run_suite(gateway.url, "-q")
        assert result.returncode == 2
        assert "PTE2621800000101 is no reference of a test profile" in result.stdout + result.stderr
        assert len(gateway.received) == 1
