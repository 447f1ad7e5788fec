"""The directory that a local server lives in: exclusively held, with room left, and with a log that can be quoted."""

import fcntl
import json
import os
import shutil
import time
from pathlib import Path

from workers.errors import DirectoryLocked, DirectoryUnusable

#: The least free disk space, in bytes, with which a server is started: MongoDB alone preallocates 300 MB of journal.
MINIMUM_FREE_BYTES = 512 * 1024 * 1024

#: How long to wait, in seconds, for servers that a crashed run is just ending by itself.
LOCK_WAIT_SECONDS = 15.0

#: A log longer than this many bytes is begun anew at the next start.
LOG_LIMIT_BYTES = 10 * 1024 * 1024

#: How many of a log's last lines an error quotes.
QUOTED_LINES = 4


class ServerDirectory:
    """A directory held by an advisory lock, which the server inherits: it is free when the last holder is dead."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None

    @property
    def log(self) -> Path:
        """The file that takes the server's output."""
        return self.path / "server.log"

    @property
    def lock_descriptor(self) -> int:
        """The open lock, to be inherited by the server."""
        if self._lock is None:
            raise RuntimeError(f"{self.path} is not locked")
        return self._lock

    def acquire(self) -> None:
        """Create the directory where needed and lock it.

        Raises:
            DirectoryLocked: Another running instance holds it.
            DirectoryUnusable: It cannot be written, or its disk is full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            reason = f"{error.strerror} ({error.filename}): give it to your user or remove it"
            raise DirectoryUnusable(self.path, reason) from error
        try:
            self._take(descriptor)
            self._check_space()
        except BaseException:
            os.close(descriptor)
            raise
        self._lock = descriptor

    def release(self) -> None:
        """Give the directory back; harmless when it is not held."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take(self, descriptor: int) -> None:
        deadline = time.monotonic() + LOCK_WAIT_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                owner = os.pread(descriptor, 32, 0).decode().strip()
                if _alive(owner) or time.monotonic() >= deadline:
                    raise DirectoryLocked(self.path, owner or "unknown") from error
                time.sleep(0.05)
            else:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                return

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.path).free
        if free < MINIMUM_FREE_BYTES:
            reason = f"its disk has {free // 2**20} MB left and {MINIMUM_FREE_BYTES // 2**20} MB are needed: free some"
            raise DirectoryUnusable(self.path, reason)


def _alive(owner: str) -> bool:
    return owner.isdigit() and Path(f"/proc/{owner}").exists()


def begin_log(path: Path) -> int:
    """Cut an overlong log, and return the offset from which this start writes."""
    if path.exists() and path.stat().st_size > LOG_LIMIT_BYTES:
        path.unlink()
    return path.stat().st_size if path.exists() else 0


def log_tail(path: Path, offset: int = 0) -> str:
    """Quote the last telling lines that a log got after an offset, on one line."""
    with path.open("rb") as log:
        log.seek(offset)
        lines = log.read().decode(errors="replace").splitlines()
    parsed = [_readable(line) for line in lines if line.strip()]
    telling = [text for text, is_error in parsed if is_error] or [text for text, _ in parsed]
    return " | ".join(telling[-QUOTED_LINES:])


def _readable(line: str) -> tuple[str, bool]:
    """Turn a log line, mongod's JSON or plain, into text and whether it tells of an error."""
    try:
        record = json.loads(line)
        text, severity = record["msg"], record["s"]
    except (ValueError, KeyError, TypeError):
        return line.strip(), False
    error = record.get("attr", {}).get("error")
    return (f"{text}: {error}" if error else text), severity in {"E", "F"}
