import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT

CONFIGURATION = ROOT / "workers" / "flowerconfig.py"


@pytest.fixture
def environment(bare_environment: dict[str, str], servers: dict[str, str]) -> dict[str, str]:
    """What Flower's process is given."""
    paytabs = {"PAYTABS_PROFILE": "987654", "PAYTABS_SERVERK": "SSANDBOX01-AAAA2222BB-CCCC3333DD"}
    return bare_environment | servers | paytabs | {"PAYTABS_REGION": "SAU", "FLOWER_PORT": "5999"}


@pytest.fixture
def options(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The options that the configuration gives Flower."""
    for name, value in (environment | {"FLOWER_BASIC_AUTH": "huda:pa55, omar:w0rd"}).items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(CONFIGURATION))


class TestConfiguration:
    """Flower's options."""

    def test_options(self, options: dict[str, object], tmp_path: Path) -> None:
        """It listens on this machine, on its port, keeps what it saw in the local directory, and knows its people."""
        assert (options["address"], options["port"]) == ("127.0.0.1", 5999)
        assert (options["persistent"], options["db"]) == (True, str(tmp_path / "local" / "flower"))
        assert options["basic_auth"] == ["huda:pa55", "omar:w0rd"]

    @pytest.mark.parametrize("address", ["0.0.0.0", "::", "flower"])  # noqa: S104 - that it is refused is the promise
    def test_never_open(self, environment: dict[str, str], address: str) -> None:
        """Where others can reach it, it does not start without names and passwords."""
        done = subprocess.run(
            [sys.executable, CONFIGURATION],
            env=environment | {"FLOWER_ADDRESS": address},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "set FLOWER_BASIC_AUTH" in done.stderr

    def test_open_with_people(self, environment: dict[str, str]) -> None:
        """With names and passwords it may listen anywhere."""
        opened = {"FLOWER_ADDRESS": "0.0.0.0", "FLOWER_BASIC_AUTH": "huda:pa55"}  # noqa: S104 - with people
        assert subprocess.run([sys.executable, CONFIGURATION], env=environment | opened, check=False).returncode == 0
