"""Which processes make up the system, each with its one command, the same on a desk and in containers."""

import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from config.settings import Settings
from workers.stack_ports import free_port
from workers.supervisor_spec import ProcessSpec, Ready, answers, writes

#: The command of each process, with settings between braces; docker-compose.yml is tested to have the same ones.
COMMANDS = {
    "sandbox": "python -m sandbox --host {receiver_host} --port {sandbox_port} --profile-id {paytabs_profile}"
    " --server-key {paytabs_serverk} --public-url http://127.0.0.1:{sandbox_port}"
    " --ledger {local_dir}/sandbox/ledger.sqlite",
    "worker-money": "celery -q -A workers.app worker -n money@%h -Q payments,webhooks,reconcile --concurrency 4"
    " --prefetch-multiplier 1",
    # Reactions have a worker of their own: a mail server that hangs must hold up neither money nor reads.
    "worker-events": "celery -q -A workers.app worker -n events@%h -Q events --concurrency 2 --prefetch-multiplier 1",
    "worker-reads": "celery -q -A workers.app worker -n reads@%h -Q aggregations,maintenance --concurrency 2",
    "beat": "celery -q -A workers.app beat -s {local_dir}/celerybeat-schedule --pidfile=",
    "watcher": "python -m workers.watcher",
    "receiver": "gunicorn workers.wsgi:app -c workers/gunicorn_conf.py",
    "flower": "celery -A workers.app flower --conf=workers/flowerconfig.py",
}

#: What a worker needs in its environment from the start: SIGTERM then means the soft shutdown, which requeues.
WORKER_ENVIRONMENT = {"REMAP_SIGTERM": "SIGQUIT"}

#: The processes that the others start without, where these cannot.
OPTIONAL = frozenset({"flower"})

#: Where the processes run: relative paths in the commands start here.
PROJECT_ROOT = Path(__file__).parents[1]

#: How much longer than its soft shutdown a worker has before it is killed, in seconds.
SHUTDOWN_MARGIN_SECONDS = 5.0

#: How each process shows that it serves.
_READY: dict[str, Callable[[Settings], Ready]] = {
    "sandbox": lambda settings: answers(f"http://127.0.0.1:{settings.sandbox_port}/healthz"),
    "worker-money": lambda _: writes(r"money@\S+ ready"),
    "worker-events": lambda _: writes(r"events@\S+ ready"),
    "worker-reads": lambda _: writes(r"reads@\S+ ready"),
    "beat": lambda _: writes(r"beat: Starting"),
    "watcher": lambda _: writes(r"watcher ready"),
    "receiver": lambda settings: answers(f"http://127.0.0.1:{settings.receiver_port}/healthz"),
    "flower": lambda settings: answers(f"http://127.0.0.1:{settings.flower_port}/healthcheck"),
}


def desk_settings(settings: Settings, *, sandbox: bool) -> Settings:
    """Complete the settings of a run on one desk.

    Ports of 0 become free ones and the local directory absolute. With the sandbox, PayTabs' address becomes the
    sandbox's and the addresses sent to it, where unset, this receiver's.

    Args:
        settings: What the environment says.
        sandbox: Whether the sandbox stands in for PayTabs.
    """
    ports = ("receiver_port", "sandbox_port", "flower_port")
    update: dict[str, object] = {name: getattr(settings, name) or free_port() for name in ports}
    update["local_dir"] = settings.local_dir.absolute()
    if sandbox:
        receiver = f"http://127.0.0.1:{update['receiver_port']}"
        update["paytabs_base_url"] = f"http://127.0.0.1:{update['sandbox_port']}"
        update["paytabs_callback_url"] = settings.paytabs_callback_url or f"{receiver}/webhooks/paytabs"
        # On one desk nobody ends TLS in front of the receiver.
        update["require_tls"] = False
        update["paytabs_return_url"] = settings.paytabs_return_url or f"{receiver}/payments/return"
    return settings.model_copy(update=update)


def environment(settings: Settings) -> dict[str, str]:
    """Write settings as the environment variables from which a process reads the same settings again."""
    return {
        name.upper(): _as_variable(value)
        for name in type(settings).model_fields
        if (value := getattr(settings, name)) is not None
    }


def process_specs(settings: Settings, *, sandbox: bool = False, flower: bool = True) -> list[ProcessSpec]:
    """List the processes of the system, in the order in which they start.

    Args:
        settings: Those of the run, with the addresses of servers that answer; see `desk_settings`.
        sandbox: Whether the sandbox is one of the processes.
        flower: Whether the dashboard is one of the processes.
    """
    wanted = [name for name in COMMANDS if (sandbox or name != "sandbox") and (flower or name != "flower")]
    shared = environment(settings) | {"PYTHONUNBUFFERED": "1"}
    return [
        ProcessSpec(
            name=name,
            argv=(sys.executable, "-m", *command(name, settings)),
            env=shared | (WORKER_ENVIRONMENT if name.startswith("worker-") else {}),
            ready=_READY[name](settings),
            grace_seconds=settings.soft_shutdown_seconds + SHUTDOWN_MARGIN_SECONDS,
            required=name not in OPTIONAL,
            cwd=PROJECT_ROOT,
        )
        for name in wanted
    ]


def command(name: str, settings: Settings) -> tuple[str, ...]:
    """Give a process's module and arguments, filled from settings."""
    values = environment(settings)
    words = [word.format_map({key.lower(): value for key, value in values.items()}) for word in COMMANDS[name].split()]
    return tuple(words[2:] if words[:2] == ["python", "-m"] else words)


def _as_variable(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return ",".join(value) if isinstance(value, tuple) else str(value)
