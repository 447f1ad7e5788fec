"""`nestcms-workers up`: everything in the foreground, one labelled log, and nothing left when it ends."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from config.addresses import hosts
from config.settings import Settings
from workers.cli_run_file import RunFile
from workers.cli_settings import Desk
from workers.desk_key import with_desk_key
from workers.errors import PortBusy
from workers.index_start import build_declared
from workers.processes import desk_settings, process_specs
from workers.stack import LocalServers, local_servers
from workers.stack_ports import is_listening
from workers.stack_restarts import KeptServers
from workers.supervisor import Supervisor

#: Where the processes' logs are, below the local directory.
LOGS = "logs"

#: The settings of the ports that people may insist on, and who listens there.
PORTS = {"receiver_port": "the receiver", "sandbox_port": "the sandbox", "flower_port": "Flower"}


def run_stack(desk: Desk, console: Console, *, flower: bool = True) -> None:
    """Run the whole stack until Ctrl-C.

    Args:
        desk: Its settings, and whether the sandbox is a part of it.
        console: Where the one log goes.
        flower: Whether the dashboard is a part of it.

    Raises:
        StackError: something cannot start; the text says what to do.
        ProcessDied: a process that the others need ended instead of becoming ready.
    """
    require_free_ports(desk, flower=flower)
    with contextlib.ExitStack() as running:
        with console.status("Starting MongoDB and Valkey …"):
            servers = running.enter_context(local_servers(desk.settings))
        settings = on_servers(with_desk_key(desk_settings(desk.settings, sandbox=desk.sandbox)), servers)
        if servers.mongo is not None:  # on a database of the caller's own, indexes are its operator's decision
            build_declared(settings)
        if console.is_terminal and settings.log_format == "auto":  # the processes themselves write to files
            settings = settings.model_copy(update={"log_format": "console"})
        specs = process_specs(settings, sandbox=desk.sandbox, flower=flower)
        with console.status(f"Starting {len(specs)} processes …") as status:
            left = {spec.name for spec in specs}

            def on_ready(name: str, _seconds: float) -> None:
                left.discard(name)
                status.update(f"Waiting for {', '.join(spec.name for spec in specs if spec.name in left)} …")

            logs = settings.local_dir / LOGS
            stack = running.enter_context(
                Supervisor(specs, log_directory=logs, console=console, on_ready=on_ready)
            ).start()
        addresses = addresses_of(settings, servers, sandbox=desk.sandbox)
        if flower:
            addresses["Flower"] = flower_address(settings, runs=stack.pid("flower") is not None)
        # Who sees the table may press Ctrl-C before the wait has begun: from here on that is how a run ends.
        with contextlib.suppress(KeyboardInterrupt):
            running.enter_context(announced(settings, addresses, sandbox=desk.sandbox))
            console.print(address_table(addresses))
            stack.wait(KeptServers(servers))


def on_servers(settings: Settings, servers: LocalServers) -> Settings:
    """Point settings at the servers that were started; those that are configured stay as they are."""
    if servers.valkey is None:
        return settings.model_copy(update={"mongo_uri": servers.mongo_uri})
    return settings.with_servers(mongo_uri=servers.mongo_uri, redis_url=servers.redis_url)


def require_free_ports(desk: Desk, *, flower: bool) -> None:
    """Find out before anything is started that a port is taken.

    Raises:
        PortBusy: somebody listens on one that the settings insist on.
    """
    unused = {"sandbox_port"} - ({"sandbox_port"} if desk.sandbox else set())
    unused |= set() if flower else {"flower_port"}
    for name, who in PORTS.items():
        port = getattr(desk.settings, name)
        if name not in unused and port and is_listening(port):
            raise PortBusy(f"{who} ({name.upper()})", port)


@contextlib.contextmanager
def announced(settings: Settings, addresses: dict[str, str], *, sandbox: bool) -> Iterator[None]:
    """Keep the run file while the stack serves."""
    file = RunFile(settings.local_dir)
    file.write(settings, addresses, sandbox_url=settings.paytabs_base_url if sandbox else None)
    try:
        yield
    finally:
        file.remove()


def addresses_of(settings: Settings, servers: LocalServers, *, sandbox: bool) -> dict[str, str]:
    """Tell what listens where, without anybody's password."""
    receiver = f"http://{settings.receiver_host}:{settings.receiver_port}"
    embedded = "(embedded)"
    found = {
        "Receiver": f"{receiver}/healthz",
        "Notices": settings.paytabs_callback_url or "PAYTABS_CALLBACK_URL is unset: pages are made without a callback",
    }
    if sandbox:
        found["PayTabs sandbox"] = f"http://127.0.0.1:{settings.sandbox_port}/sandbox/ledger"
    else:
        found["PayTabs"] = settings.paytabs_base_url or f"region {settings.paytabs_region}, for real"
    mongo = hosts(servers.mongo_uri)
    found["MongoDB"] = f"{mongo}, database {settings.mongo_database} {embedded if servers.mongo else ''}".rstrip()
    found["Valkey / Redis"] = f"{hosts(servers.redis_url)} {embedded if servers.valkey else ''}".rstrip()
    found["Logs"] = str(settings.local_dir / LOGS)
    return found


def flower_address(settings: Settings, *, runs: bool) -> str:
    """Tell where the dashboard is, or where it says why it is not."""
    log = settings.local_dir / LOGS / "flower.log"
    return f"http://127.0.0.1:{settings.flower_port}/" if runs else f"does not run; its log is {log}"


def address_table(addresses: dict[str, str]) -> Table:
    """Lay out what listens where."""
    table = Table(title="Everything is ready; Ctrl-C stops it", title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, address in addresses.items():
        table.add_row(name, Text(address))
    return table
