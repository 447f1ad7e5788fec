"""The command line as a shell runs it, against the servers of the test run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from config.settings import Settings
from tests.support.processes import ROOT
from workers.cli import cli
from workers.stack_process import GuardedProcess
from workers.supervisor import Supervisor
from workers.supervisor_spec import ProcessSpec, writes

#: Runs `nestcms-workers` in this process with some words, and with more environment variables.
Command = Callable[..., Result]

#: Does the same in a process of its own.
Shell = Callable[..., subprocess.CompletedProcess[str]]

#: Starts the command line's own executable, wherever the project is installed.
ENTRY = (sys.executable, "-m", "workers.cli")


@pytest.fixture
def bare_environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing of ours is set."""
    ours = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return kept | {"PYTHONPATH": str(ROOT), "LOCAL_DIR": str(tmp_path / "local"), "COLUMNS": "100"}


@pytest.fixture
def command(bare_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command line in a folder of its own, without any settings but those given."""
    monkeypatch.chdir(tmp_path)
    unset = {name.upper(): None for name in Settings.model_fields}

    def run(*words: str, **variables: str) -> Result:
        return CliRunner(env=unset | bare_environment | variables).invoke(cli, words, prog_name="nestcms-workers")

    return run


@pytest.fixture
def shell(bare_environment: dict[str, str], tmp_path: Path) -> Shell:
    """Run the command line as a process of its own, as a person does."""

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ENTRY, *words],
            cwd=tmp_path,
            env=bare_environment | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def servers(settings: Settings) -> dict[str, str]:
    """The variables that name the test run's servers and this test's database."""
    return {
        "MONGO_URI": str(settings.mongo_uri),
        "MONGO_DATABASE": settings.mongo_database,
        "REDIS_URL": str(settings.redis_url),
    }


@pytest.fixture
def worker(bare_environment: dict[str, str], servers: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """One worker of every queue on the test run's servers; gives its log."""
    paytabs = {
        "PAYTABS_PROFILE": "987654",
        "PAYTABS_SERVERK": "SSANDBOX01-AAAA2222BB-CCCC3333DD",
        "PAYTABS_REGION": "SAU",
        "PAYTABS_BASE_URL": "http://127.0.0.1:9",
        "SOFT_SHUTDOWN_SECONDS": "1",
    }
    queues = "payments,webhooks,reconcile,events,aggregations,maintenance"
    words = ("-m", "celery", "-A", "workers.app", "worker", "-n", "all@%h", "-Q", queues, "--concurrency", "1")
    spec = ProcessSpec(
        name="worker",
        argv=(sys.executable, *words),
        env=bare_environment | servers | paytabs | {"REMAP_SIGTERM": "SIGQUIT"},
        ready=writes(r"all@\S+ ready"),
        cwd=ROOT,
    )
    with Supervisor([spec], log_directory=tmp_path / "logs", quiet=True) as running:
        running.start()
        yield running.log("worker")
        # Celery's pool hangs when the end is asked for in the very moment in which it reads a result.
        time.sleep(0.5)


@pytest.fixture
def up(bare_environment: dict[str, str], servers: dict[str, str], tmp_path: Path) -> Iterator[GuardedProcess]:
    """`nestcms-workers up` on the test run's servers and free ports, its output in `up.log`."""
    ports = dict.fromkeys(("RECEIVER_PORT", "SANDBOX_PORT", "FLOWER_PORT"), "0")
    with (tmp_path / "up.log").open("wb") as output:
        process = GuardedProcess(
            [*ENTRY, "up"], output=output, env=bare_environment | servers | ports, cwd=tmp_path, grace_seconds=20
        )
    yield process
    process.signal(signal.SIGINT)
    if not process.wait(30):
        process.kill()


@pytest.fixture
def valkey_port(redis_url: str) -> int:
    """A port that somebody listens on."""
    return int(redis_url.rpartition(":")[2].partition("/")[0])
