"""The real system as processes, for tests that send it work and kill parts of it: the same commands as in earnest."""

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self
from uuid import uuid4

import psutil
import pytest
from celery import Celery, _state
from celery.states import READY_STATES

from config.celeryconfig import celery_config
from config.queues import CORRELATION_HEADER
from config.settings import Settings
from tests.support.clocks import MovedClock
from tests.support.sandbox import PROFILE_ID, SERVER_KEY
from tests.support.stored_cards import CARD_KEY
from tests.support.waiting import eventually
from workers.processes import process_specs
from workers.stack_ports import free_port
from workers.supervisor import Supervisor
from workers.supervisor_spec import ProcessSpec, writes

Json = dict[str, Any]

#: The processes that a payment needs; reads and the dashboard are others'.
MONEY = ("worker-money", "beat", "receiver")

#: The whole time chain in small, in its proper order, so that what heals with time heals within seconds.
SHORT_TIMES: Json = {
    "connect_timeout_seconds": 0.5,
    "send_fence_seconds": 1,
    "call_timeout_seconds": 2.5,
    "soft_time_limit_seconds": 6,
    "hard_time_limit_seconds": 6.5,
    "breaker_open_seconds": 2,
    "sweep_seconds": 1,
    "lease_seconds": 7,
    "other_soft_time_limit_seconds": 6,
    "other_hard_time_limit_seconds": 6.5,
    "visibility_timeout_seconds": 8,
    "inbox_timeout_seconds": 1,
    "server_selection_timeout_ms": 4000,
    "mongo_timeout_ms": 4000,
    "soft_shutdown_seconds": 1,
}


def system_settings(*, mongo_uri: str, redis_url: str, sandbox_url: str, directory: Path, **changes: Any) -> Settings:
    """Give complete, checked settings for a system of its own: its own database, receiver port and directory.

    Args:
        mongo_uri: The replica set.
        redis_url: The broker, database 0.
        sandbox_url: Who answers for PayTabs.
        directory: Where processes keep what they write.
        **changes: Settings by name, `SHORT_TIMES` for example.
    """
    port = free_port()
    receiver = f"http://127.0.0.1:{port}"
    chosen = {
        "mongo_database": f"nestcms_{uuid4().hex}",
        "paytabs_profile": PROFILE_ID,
        "paytabs_serverk": SERVER_KEY,
        "paytabs_region": "SAU",
        "card_keys": CARD_KEY,
        "paytabs_base_url": sandbox_url,
        "paytabs_callback_url": f"{receiver}/webhooks/paytabs",
        "paytabs_return_url": f"{receiver}/payments/return",
        "return_allowed_urls": (f"{receiver}/healthz",),
        "receiver_port": port,
        "receiver_workers": 1,
        "log_format": "json",
        "local_dir": directory,
        "mongo_election_timeout_ms": 2000,
        "server_selection_timeout_ms": 5000,
    }
    settings = Settings(_env_file=None, **{**chosen, **changes})
    return settings.with_servers(mongo_uri=mongo_uri, redis_url=redis_url)


class Asked:
    """A task that was sent, and its result, looked up: Celery's own object subscribes to a server that may be killed.

    Args:
        results: The application with the result backend.
        task_id: The task's id.
    """

    def __init__(self, results: Celery, task_id: str) -> None:
        self.results = results
        self.id = task_id

    @property
    def meta(self) -> Json:
        """Everything that the result backend has."""
        return dict(self.results.backend.get_task_meta(self.id))

    def get(self, *, within_seconds: float = 20.0) -> Any:
        """Wait for the task's end and return its answer, or raise its error."""
        eventually(lambda: self.meta["status"] in READY_STATES, within_seconds=within_seconds, what=f"task {self.id}")
        found = self.meta
        if found["status"] != "SUCCESS":
            raise found["result"]
        return found["result"]


class System:
    """Some of the system's processes; leaving its `with` block leaves nothing of them.

    Args:
        settings: See `system_settings`.
        processes: Their names, as in `workers.processes.COMMANDS`.
        workers: How many money workers; the second is called `worker-money-2`.
        checkout: Another checkout of this project to run them from, an earlier version's for example.
        clocks: The clocks of processes that are on machines of their own, by the processes' names.
    """

    def __init__(
        self,
        settings: Settings,
        processes: Sequence[str] = MONEY,
        *,
        workers: int = 1,
        checkout: Path | None = None,
        clocks: Mapping[str, MovedClock] = MappingProxyType({}),
    ) -> None:
        self.settings = settings
        self.receiver_url = f"http://127.0.0.1:{settings.receiver_port}"
        specs = [spec for spec in process_specs(settings, flower=False) if spec.name in processes]
        money = [spec for spec in specs if spec.name == "worker-money"]
        specs += [another_worker(spec, number) for spec in money for number in range(2, workers + 1)]
        specs = [replace(spec, cwd=checkout or spec.cwd) for spec in specs]
        moved = {name: clock.environment for name, clock in clocks.items()}
        specs = [replace(spec, env={**spec.env, **moved.get(spec.name, {})}) for spec in specs]
        self._names = [spec.name for spec in specs]
        self._supervisor = Supervisor(specs, log_directory=settings.local_dir / "logs", quiet=True)
        self.results = Celery("tests-results", set_as_current=False)
        self.results.conf.update(celery_config(settings))
        self._sender = Celery("tests", set_as_current=False)
        self._sender.conf.update(celery_config(settings), result_backend="disabled")

    def __enter__(self) -> Self:
        self._supervisor.__enter__()
        try:
            self._supervisor.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for name in self._names:
                self.kill(name)  # nothing of theirs is needed any more, so nobody waits for their farewells
            self._supervisor.__exit__(kind, error, trace)
        finally:
            self._sender.close()
            self.results.close()

    @property
    def workers(self) -> list[str]:
        """The names of its money workers."""
        return [name for name in self._names if name.startswith("worker-money")]

    def enqueue(self, task: str, /, *arguments: Any, correlation_id: str = "", **named: Any) -> Asked:
        """Send a task to the queue that it travels on."""
        headers = {CORRELATION_HEADER: correlation_id} if correlation_id else None
        sent = self._sender.send_task(task, args=arguments, kwargs=named, headers=headers)
        return self.asked(str(sent.id))

    def asked(self, task_id: str) -> Asked:
        """Give the handle of a task that others have sent."""
        return Asked(self.results, task_id)

    def run(self, task: str, /, *arguments: Any, within_seconds: float = 20.0, **named: Any) -> Any:
        """Send a task and return its answer, or raise its error."""
        return self.enqueue(task, *arguments, **named).get(within_seconds=within_seconds)

    def kill(self, name: str) -> None:
        """End a process and all of its children with SIGKILL, and return when they are gone."""
        self._supervisor.kill(name)

    def stop(self, name: str) -> None:
        """End a process as a deployment does: what it is at is brought to its end or put back."""
        self._supervisor.end(name)

    def freeze(self, name: str) -> None:
        """Halt a process and all of its children with SIGSTOP."""
        self._supervisor.kill(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let frozen processes go on."""
        self._supervisor.kill(name, signal.SIGCONT)

    def restart(self, name: str) -> None:
        """Start a process again, ended or not, and return when it is ready."""
        self._supervisor.restart(name)

    def revive(self) -> None:
        """Start what does not run, for whoever comes after a test that has failed halfway."""
        for name in self._names:
            if self._supervisor.pid(name) is None:
                self._supervisor.restart(name)

    def children(self, name: str) -> list[psutil.Process]:
        """List what a process has started: a worker's pool."""
        pid = self._supervisor.pid(name)
        return psutil.Process(pid).children(recursive=True) if pid else []

    def pids(self) -> dict[str, int | None]:
        """Give each process's id, None for one that does not run."""
        return {name: self._supervisor.pid(name) for name in self._names}

    def log(self, name: str) -> str:
        """Give everything a process has written, all of its incarnations."""
        return self._supervisor.log(name).read_text(errors="replace")

    def lines(self, name: str = "worker-money", **members: Any) -> list[Json]:
        """List a process's log lines that have these members."""
        return [line for line in json_lines(self.log(name)) if all(line.get(key) == members[key] for key in members)]


def another_worker(spec: ProcessSpec, number: int) -> ProcessSpec:
    """Give the money worker of another machine: the same command under a node name of its own."""
    argv = tuple(word.replace("money@", f"money{number}@") for word in spec.argv)
    return replace(spec, name=f"{spec.name}-{number}", argv=argv, ready=writes(rf"money{number}@\S+ ready"))


def json_lines(text: str) -> Iterator[Json]:
    """Read the complete JSON objects among a log's lines."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue  # the last one may still be in the making


@contextmanager
def serving(settings: Settings) -> Iterator[Celery]:
    """Be a Celery application on these servers, the current one of this thread, as a worker's child is."""
    thread: Any = vars(_state)["_tls"]
    before = thread.current_app
    app = Celery("tests-worker", set_as_current=False)
    app.conf.update(celery_config(settings))
    app.set_current()
    try:
        yield app
    finally:
        thread.current_app = before
        app.close()


def report(capture: pytest.CaptureFixture[str], line: str) -> None:
    """Print what was measured on the terminal, through pytest's capturing."""
    with capture.disabled():
        print(f"\n  {line}")  # noqa: T201 - the figures are a result of the run
