import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from aggregations.catalogue import CATALOGUE
from config.settings import Settings
from tests.support.processes import ROOT, alive, descendants
from tests.support.waiting import eventually

#: The steps whose titles must be seen, in this order.
STEPS = (
    "1  A payment of the CMS, from enqueue to paid",
    "2  A declined card, paid at the second attempt",
    "3  A payment that the payer cancels",
    "4  A page that dies, and is made anew",
    "5  Forged callbacks",
    "6  The aggregation aggregations.contract_employees",
    "7  Every aggregation over seeded data, and again from the cache",
    "8  What the paid payments lead to",
    "9  A stored card, charged for the next payment",
    "10  The books: the sandbox's ledger against the CMS's documents",
    "11  The first payment's state and history",
    "12  The processes, after all that",
    "13  Everything is stopped",
)

#: How long the demo may take on a busy machine, in seconds; a quiet one needs 20.
DEMO_SECONDS = 100.0


def name_of(process: psutil.Process) -> str:
    """Name a process's program; one that has ended meanwhile has no name."""
    try:
        return process.name()
    except psutil.Error:
        return ""


class Demo:
    """A running `nestcms-workers demo` in a folder of its own.

    Args:
        folder: Its working directory.
        variables: More environment variables.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        ours = {name.upper() for name in Settings.model_fields}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        self.output = folder / "demo.out"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers.cli", "demo"],
                cwd=folder,
                env=kept | {"PYTHONPATH": str(ROOT)} | variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        #: What was seen below it, and under which names.
        self.seen: dict[psutil.Process, str] = {}

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.output.read_text()

    def ended(self) -> bool:
        """Tell whether it has ended, and note what runs below it."""
        if self.process.poll() is None:
            self.seen.update({one: name_of(one) for one in descendants(self.process.pid)})
        return self.process.poll() is not None

    def wait(self) -> int:
        """Wait for its end and give its exit code."""
        eventually(self.ended, within_seconds=DEMO_SECONDS, every_seconds=0.1, what="the demo's end")
        return self.process.returncode

    def end(self) -> None:
        """End it, whatever state it is in; what it started then ends by itself."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of settings that the demo must not use: real credentials, fixed ports."""
    chosen = tmp_path_factory.mktemp("demo")
    (chosen / ".env").write_text(
        "PAYTABS_PROFILE=12345\nPAYTABS_SERVERK=SREALKEY01-AAAA2222BB-CCCC3333DD\nPAYTABS_REGION=EGY\n"
        "PAYTABS_CALLBACK_URL=https://pay.example.com/webhooks/paytabs\nRECEIVER_PORT=8300\n"
    )
    return chosen


@pytest.fixture(scope="module")
def finished(folder: Path) -> Iterator[Demo]:
    """A demo that has come to its end."""
    running = Demo(folder)
    try:
        running.wait()
        yield running
    finally:
        running.end()


class TestDemo:
    """The main job, as a person sees it for the first time."""

    def test_steps(self, finished: Demo) -> None:
        """Every step passes, in its order and with its time, within a minute."""
        assert finished.process.returncode == 0, finished.text[-4000:]
        positions = [finished.text.find(step) for step in STEPS]
        assert -1 not in positions
        assert positions == sorted(positions)
        assert "✗" not in finished.text
        for name in CATALOGUE:
            assert re.search(rf" {name} +(primary|replica|cache) +\d+\.\d ms  \S", finished.text), name
            assert re.search(rf" {name} +cache +\d+\.\d ms  \S", finished.text), name
        assert len(re.findall(r"step \d+ took \d+\.\d\d s", finished.text)) == len(STEPS)
        total = re.search(r"Done: \d+ checks in ([0-9.]+) s", finished.text)
        assert total is not None
        assert float(total[1]) < 60

    def test_nothing_is_left(self, finished: Demo, folder: Path) -> None:
        """No process and no data outlive it; its logs do."""
        names = {name for name in finished.seen.values() if name}
        assert {"mongod", "valkey-server"} <= names
        assert alive(list(finished.seen)) == []
        assert list((folder / ".local" / "demo").glob("run-*")) == []
        assert {log.stem for log in (folder / ".local" / "logs" / "demo").iterdir()} >= {"worker-money", "receiver"}

    def test_no_secret_is_shown_or_logged(self, finished: Demo, folder: Path) -> None:
        """Neither the terminal nor any log has the password hash, a card number or a server key."""
        logs = [log.read_text(errors="replace") for log in (folder / ".local" / "logs" / "demo").iterdir()]
        for secret in ("$2b$10$", "4111111111111111", "SSANDBOX01-AAAA", "SREALKEY01"):
            assert [text for text in (finished.text, *logs) if secret in text] == []


class TestEnds:
    """Demos that do not come to their end."""

    @pytest.fixture
    def starting(self, tmp_path: Path) -> Iterator[Demo]:
        """A demo whose first process is there."""
        running = Demo(tmp_path)
        try:
            eventually(
                lambda: running.ended() or "sandbox ready" in running.text, within_seconds=60, what="the first process"
            )
            assert running.process.returncode is None, running.text
            yield running
        finally:
            running.end()

    def test_interrupted(self, starting: Demo) -> None:
        """Ctrl-C while it starts ends everything, without a traceback."""
        starting.process.send_signal(signal.SIGINT)
        assert starting.wait() == 130
        assert "Traceback" not in starting.text
        assert alive(list(starting.seen)) == []

    def test_killed(self, starting: Demo) -> None:
        """SIGKILL ends everything as well, since every process hangs on the demo's life."""
        starting.process.kill()
        starting.process.wait()
        eventually(lambda: not alive(list(starting.seen)), within_seconds=30, what="the end of what it started")

    def test_failing(self, tmp_path: Path) -> None:
        """When a process does not come up, the exit code is 1, one sentence names it and its log, and all is ended."""
        hindered = Demo(tmp_path, GUNICORN_CMD_ARGS="--no-such-option")
        try:
            assert hindered.wait() == 1, hindered.text
            [told] = [line for line in hindered.text.splitlines() if line.startswith("Error: ")]
            assert told.startswith("Error: Receiver ended with exit code")
            assert str(tmp_path / ".local" / "logs" / "demo" / "receiver.log") in told
            assert alive(list(hindered.seen)) == []
        finally:
            hindered.end()
