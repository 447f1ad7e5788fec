"""Start processes that cannot be left behind: each one hangs on a socket that closes with this process."""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from workers import stack_guard

#: How long a guard has to report the id of its program, in seconds; a loaded machine needs a fraction of it.
GUARD_START_SECONDS = 30.0

#: How long a server has between SIGTERM and SIGKILL, in seconds, unless its starter says otherwise.
GRACE_SECONDS = 10.0

#: How long a program has to stop when it is told to, in seconds; a thread that waits for the disk stops afterwards.
HALT_SECONDS = 5.0

#: How long between two looks at whether it has, in seconds.
HALT_LOOK_SECONDS = 0.001


class GuardedProcess:
    """One running program in its own session and process group, ended with everything it started.

    Args:
        argv: The program and its arguments.
        output: Where standard output and standard error go: an open file or a file descriptor.
        env: The whole environment of the program; this process's own by default.
        keep_open: Further file descriptors that the program inherits.
        grace_seconds: How long after SIGTERM it is killed when this process dies.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        output: IO[bytes] | int,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        keep_open: Sequence[int] = (),
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self.argv = tuple(argv)
        self.grace_seconds = grace_seconds
        self._lifeline, far_end = socket.socketpair()
        with far_end:
            self._guard = subprocess.Popen(  # noqa: S603 - the program is the project's own choice, never a request's
                [sys.executable, "-I", "-S", stack_guard.__file__, str(far_end.fileno()), str(grace_seconds), *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                pass_fds=(far_end.fileno(), *keep_open),
                start_new_session=True,
            )
        #: The program's own process id, which is its process group's too.
        self.pid = self._reported_pid()

    @property
    def guard_pid(self) -> int:
        """The id of the guard, which lives exactly as long as anything of the program does."""
        return self._guard.pid

    @property
    def returncode(self) -> int | None:
        """How the program ended: None while it runs, negative when a signal ended it."""
        code = self._guard.poll()
        if code is None:
            return None
        return stack_guard.EXIT_SIGNAL_BASE - code if code > stack_guard.EXIT_SIGNAL_BASE else code

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the program, or to its whole process group; nothing happens when it has ended."""
        if self.returncode is not None:
            return
        try:
            (os.killpg if group else os.kill)(self.pid, number)
        except ProcessLookupError:
            return

    def halt(self) -> None:
        """Stop the program's whole group with SIGSTOP, and return when none of its own threads runs any more."""
        self.signal(signal.SIGSTOP, group=True)
        deadline = time.monotonic() + HALT_SECONDS
        while self.returncode is None and not _is_halted(self.pid) and time.monotonic() < deadline:
            time.sleep(HALT_LOOK_SECONDS)

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait for the end of the program and of everything it started; say whether that came in time."""
        try:
            self._guard.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        self._lifeline.close()
        return True

    def stop(self, grace_seconds: float | None = None) -> None:
        """End the program with SIGTERM, and with SIGKILL for its whole group when that is not enough."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT, group=True)
        if not self.wait(self.grace_seconds if grace_seconds is None else grace_seconds):
            self.kill()

    def kill(self) -> None:
        """End the program's whole group with SIGKILL, and return when nothing of it is left."""
        self.signal(signal.SIGKILL, group=True)
        self.wait()

    def _reported_pid(self) -> int:
        deadline, text = time.monotonic() + GUARD_START_SECONDS, b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([self._lifeline], [], [], max(0.0, deadline - time.monotonic()))
            piece = self._lifeline.recv(64) if ready else b""
            if not piece:
                self._guard.kill()
                self.wait()
                raise ChildProcessError(f"the guard of {self.argv[0]} did not start")
            text += piece
        return int(text)


def _is_halted(pid: int) -> bool:
    """Tell whether all threads of a process are stopped: the signal has been sent before they are."""
    try:
        lines = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # a thread has just ended
        return False
    # The state follows the program's name, which stands in parentheses and may hold some itself.
    return all(line.rpartition(")")[2].split()[0] in "tT" for line in lines)
