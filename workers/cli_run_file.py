"""Where a running stack is: a small file that `up` keeps while it runs, so that other commands find its servers."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from config.settings import Settings
from workers.cli_errors import RunFileStale

#: What belongs together: whoever takes a server's address from the file takes what goes with it.
GROUPS = {"mongo_uri": ("mongo_uri", "mongo_database"), "redis_url": ("redis_url", "result_url", "cache_url")}


@dataclass(frozen=True)
class Run:
    """One running stack.

    Attributes:
        pid: The process id of its `up`.
        started: When that process started, in seconds since 1970: ids are used again.
        settings: The servers' settings by field name.
        addresses: What listens where, for people.
        sandbox_url: The sandbox's address, where it stands in for PayTabs.
    """

    pid: int
    started: float
    settings: Mapping[str, str]
    addresses: Mapping[str, str]
    sandbox_url: str | None = None

    def servers(self, field: str) -> dict[str, str]:
        """Give the settings of one server by its address's field."""
        return {name: self.settings[name] for name in GROUPS[field] if name in self.settings}


class RunFile:
    """The file in the local directory; readable by its owner alone, since addresses may hold passwords."""

    def __init__(self, local_dir: Path) -> None:
        self.path = local_dir / "run.json"

    def write(self, settings: Settings, addresses: Mapping[str, str], *, sandbox_url: str | None = None) -> None:
        """Say that this process runs a stack on these servers."""
        names = [name for group in GROUPS.values() for name in group]
        known = {name: str(value) for name in names if (value := getattr(settings, name)) is not None}
        run = Run(os.getpid(), psutil.Process().create_time(), known, dict(addresses), sandbox_url)
        new = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - the mode is set at creation
            json.dump(asdict(run), file, indent=2)
        new.replace(self.path)

    def read(self) -> Run | None:
        """Return the running stack; None when there is no file.

        Raises:
            RunFileStale: the file is there and its stack is not.
        """
        try:
            run = Run(**json.loads(self.path.read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise RunFileStale(self.path, "it cannot be read") from error
        except OSError as error:
            raise RunFileStale(self.path, f"it cannot be read: {error.strerror}") from error
        if not _lives(run):
            raise RunFileStale(self.path, f"its 'up', process {run.pid}, has ended")
        return run

    def remove(self) -> None:
        """Take back what this process wrote; another's file stays."""
        try:
            run = self.read()
        except RunFileStale:
            return
        if run is not None and run.pid == os.getpid():
            self.path.unlink(missing_ok=True)


def _lives(run: Run) -> bool:
    try:
        return abs(psutil.Process(run.pid).create_time() - run.started) < 1
    except psutil.Error:
        return False
