import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.processes import ROOT
from tests.support.waiting import eventually

CONFIGURATION = ROOT / "workers" / "flowerconfig.py"

#: Shows what the configuration says, from a process of its own since it also sets up that process's logs.
SHOW = """
import json, runpy, sys
options = runpy.run_path(sys.argv[1])
names = ("address", "port", "persistent", "db", "basic_auth")
print(json.dumps({name: options[name] for name in names}))
"""


@pytest.fixture
def environment(bare_environment: dict[str, str], servers: dict[str, str]) -> dict[str, str]:
    """What Flower's process is given."""
    paytabs = {"PAYTABS_PROFILE": "987654", "PAYTABS_SERVERK": "SSANDBOX01-AAAA2222BB-CCCC3333DD"}
    return bare_environment | servers | paytabs | {"PAYTABS_REGION": "SAU", "FLOWER_PORT": "5999"}


@pytest.fixture
def options(environment: dict[str, str]) -> dict[str, object]:
    """The options that the configuration gives Flower."""
    people = {"FLOWER_BASIC_AUTH": "huda:pa55, omar:w0rd"}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW, CONFIGURATION],
        env=environment | people,
        capture_output=True,
        text=True,
        check=True,
    )
    read: dict[str, object] = json.loads(shown.stdout)
    return read


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


class TestLogs:
    """What Flower writes."""

    def test_json(self, environment: dict[str, str], tmp_path: Path, free_port: int) -> None:
        """Its lines travel like every process's: each one is JSON, its own and Tornado's."""
        log = tmp_path / "flower.log"
        given = environment | {"FLOWER_PORT": str(free_port), "LOG_FORMAT": "json"}
        words = ("-m", "celery", "-A", "workers.app", "flower", "--conf=workers/flowerconfig.py")
        with log.open("wb") as output:
            flower = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=given, stdout=output, stderr=output)
        try:
            eventually(lambda: answers(free_port), within_seconds=30, what="Flower")
            eventually(lambda: "Registered tasks" in log.read_text(), what="its first lines")
        finally:
            flower.terminate()
            flower.wait(timeout=30)
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert "flower.command" in {line["logger"] for line in lines}


def answers(port: int) -> bool:
    """Tell whether Flower serves."""
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthcheck", timeout=5).ok
    except requests.RequestException:
        return False
