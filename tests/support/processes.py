"""Looking at processes from outside, to see that none is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import psutil

#: Where this run stands in a shell's background, SIGINT is ignored and children inherit that; a program of a person's
#: terminal hears it.
_HEARS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"

#: The project's root, from which test programs import the packages.
ROOT = Path(__file__).parents[2]


def descendants(process: int) -> list[psutil.Process]:
    """List everything below a process."""
    return psutil.Process(process).children(recursive=True)


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """List those that still run; one that has ended and waits for its parent does not count."""
    return [one for one in processes if _runs(one)]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two looks
        return False


class Program:
    """A small Python program in a process of its own, which says when it is set up by printing a line.

    Args:
        code: The program's text.
        arguments: What it finds in `sys.argv[1:]`.
        environment: What is added to its environment.
    """

    def __init__(self, code: str, *arguments: object, environment: Mapping[str, str] = MappingProxyType({})) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HEARS_CTRL_C + code, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self._process.pid

    def line(self) -> str:
        """Read the next line that it prints."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself."""
        self._process.send_signal(number)

    def result(self, timeout_seconds: float = 30.0) -> tuple[int, str]:
        """Wait for its end and give its exit code and the rest of its output."""
        try:
            output, _ = self._process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        return self._process.returncode, output
