"""The demo's own stack: its own folder, database and ports, silent, and gone without a trace but its logs."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil
import redis
from pymongo.errors import PyMongoError

from config.addresses import hosts
from config.connections import mongo_client, redis_client
from config.fingerprints import lent
from config.queues import QUEUES
from config.settings import Settings
from workers.cli_errors import BrokerInUse
from workers.cli_up import LOGS, on_servers
from workers.desk_key import with_desk_key
from workers.index_start import build_declared
from workers.processes import desk_settings, process_specs
from workers.stack import local_servers
from workers.stack_files import ServerDirectory
from workers.supervisor import Supervisor

#: The folder of the demo's servers, below the local directory; its logs are in a folder of that name below the logs.
FOLDER = "demo"

#: How long a process has to be gone after its stop, in seconds: its guard has waited for it already.
GONE_SECONDS = 2.0

#: Where a broker keeps what workers have taken and not yet finished.
UNACKED = "unacked"


@dataclass(frozen=True)
class DemoStack:
    """A stack that serves.

    Attributes:
        settings: Those that its processes run with.
        processes: The names of its processes.
        supervisor: What they run under.
        started: Everything that runs because of it, the servers and the guards included.
    """

    settings: Settings
    processes: tuple[str, ...]
    supervisor: Supervisor
    started: set[psutil.Process]

    def ended(self) -> list[str]:
        """Name the processes that have ended by themselves."""
        return [name for name in self.processes if self.supervisor.pid(name) is None]

    def note_processes(self) -> None:
        """Remember what runs now, to see later that it has ended."""
        self.started.update(psutil.Process().children(recursive=True))


def logs_of(settings: Settings) -> Path:
    """Tell where the demo's processes log."""
    return settings.local_dir.absolute() / LOGS / FOLDER


@contextlib.contextmanager
def demo_stack(settings: Settings, on_ready: Callable[[str, float], None]) -> Iterator[DemoStack]:
    """Run a stack for the demo, and take everything away at the end.

    Args:
        settings: Those of the demo, see `cli_settings.demo_settings`.
        on_ready: Told each process's name and the seconds until it was ready.

    Raises:
        StackError: the servers cannot be had, or the broker is one that others use.
        SupervisorError: a process does not start.
    """
    with contextlib.ExitStack() as running:
        home = running.enter_context(_own_folder(settings.local_dir.absolute() / FOLDER))
        began = time.monotonic()
        servers = running.enter_context(local_servers(settings, directory=home))
        if settings.redis_url:
            require_unused(settings.redis_url)
        own = {"mongo_database": f"nestcms_demo_{uuid4().hex}", "local_dir": home}
        chosen = with_desk_key(desk_settings(settings.model_copy(update=own), sandbox=True))
        chosen = on_servers(chosen, servers)
        if servers.mongo is None:
            running.callback(_drop_database, chosen)
        if servers.valkey is None:  # one of the caller's own, which nobody uses: it is lent to the demo
            running.enter_context(_lent(chosen))
        on_ready("MongoDB and Valkey", time.monotonic() - began)
        began = time.monotonic()
        built = build_declared(chosen)
        on_ready(f"{len(built)} declared indexes", time.monotonic() - began)
        logs = logs_of(settings)
        shutil.rmtree(logs, ignore_errors=True)
        specs = process_specs(chosen, sandbox=True)
        supervisor = Supervisor(specs, log_directory=logs, quiet=True, on_ready=on_ready)
        running.enter_context(supervisor).start()
        stack = DemoStack(chosen, tuple(spec.name for spec in specs), supervisor, set())
        stack.note_processes()
        yield stack
        stack.note_processes()
        _end_together(stack)


def survivors(started: set[psutil.Process]) -> list[psutil.Process]:
    """Give those that still run although their stack was stopped."""
    _, left = psutil.wait_procs([one for one in started if _runs(one)], timeout=GONE_SECONDS)
    return [one for one in left if _runs(one)]


def require_unused(url: str) -> None:
    """Refuse a broker that has other work or other workers: the demo would take the one and feed the others.

    Raises:
        BrokerInUse: it has.
    """
    with redis_client(url) as client:
        waiting = [queue for queue in QUEUES if client.exists(queue)]
        found = ""
        if waiting:
            found = f"has messages in {', '.join(waiting)}"
        elif client.exists(UNACKED):
            found = "has tasks in work"
        elif _listeners(client):
            found = "has workers listening"
    if found:
        raise BrokerInUse(hosts(url), found)


def _listeners(client: redis.Redis) -> bool:
    """Tell whether somebody waits on any of the broker's queues."""
    blocked = {"brpop", "blpop", "bzmpop"}
    number = str(client.connection_pool.connection_kwargs.get("db", 0))
    known = client.client_list()
    return any(one.get("db") == number and one.get("cmd") in blocked for one in known)


@contextlib.contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """Give a fresh folder, and remove it at the end with whatever an earlier, killed demo left beside it."""
    held = ServerDirectory(parent)
    held.acquire()
    try:
        for left in parent.glob("run-*"):
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix="run-", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        held.release()


@contextlib.contextmanager
def _lent(settings: Settings) -> Iterator[None]:
    """Have the servers carry the demo's fingerprint for its time only."""
    clients = [redis_client(url) for url in (settings.redis_url, settings.cache_url) if url]
    with lent(clients):
        yield
    for client in clients:
        client.close()


def _end_together(stack: DemoStack) -> None:
    """Tell all processes at once to end: nothing is left to do, so none has to wait for another's end."""
    for name in stack.processes:
        if (pid := stack.supervisor.pid(name)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def _drop_database(settings: Settings) -> None:
    """Leave nothing on a server that is not the demo's own; one that has gone away meanwhile is no new failure."""
    with contextlib.suppress(PyMongoError), mongo_client(settings) as client:
        client.drop_database(settings.mongo_database)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
