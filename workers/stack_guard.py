"""Keep one process, and see to it that nothing of it outlives whoever asked for it.

This file is a script of its own: `python -I -S stack_guard.py LIFELINE GRACE PROGRAM ARGUMENT...`. It starts the
program in a process group of its own, writes the program's id into the socket LIFELINE, and waits. When the other end
of LIFELINE closes (whoever asked has crashed or was killed), the program gets SIGTERM and, GRACE seconds later, its
whole group gets SIGKILL. Whatever the program started and left behind is killed when the program has ended, however it
ended. A signal to this guard itself has the same effect as the closed socket.

A guard rather than PR_SET_PDEATHSIG in the server alone: that signal fires when the starting *thread* ends, and reaches
no grandchildren.
"""

import ctypes
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

#: prctl(2): the signal that a process gets when its parent dies.
PR_SET_PDEATHSIG = 1

#: prctl(2): orphans below this process become its children, so that none can slip away.
PR_SET_CHILD_SUBREAPER = 36

#: How often, in seconds, the guard looks whether the asking process is still its parent, should the socket not tell.
PARENT_CHECK_SECONDS = 1.0

#: What a shell answers when it cannot execute a program.
EXIT_CANNOT_EXECUTE = 127

#: Added to a signal's number when that signal ended the program, as shells do.
EXIT_SIGNAL_BASE = 128

#: What asks the guard to stop its program.
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def prctl(option: int, value: int) -> None:
    """Set a process attribute where the system has such a call (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def execute(argv: list[str], guard: int) -> None:
    """Become the program, tied to the guard's life; comes back only by ending the process."""
    try:
        os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == guard:
            os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted between guard and program
    except OSError as error:
        sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
        sys.stderr.flush()
    finally:
        os._exit(EXIT_CANNOT_EXECUTE)


def children() -> list[int]:
    """List the live or dead processes whose parent is this one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            found.append(int(stat.parent.name))
    return found


def reap(program: int, status: int | None) -> int | None:
    """Collect what has ended, and return the program's wait status once it is known."""
    while True:
        try:
            process, ended = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if process == 0:
            return status
        if process == program:
            status = ended


def kill_group(program: int, number: signal.Signals) -> None:
    """Signal the program's whole group, if any of it is left."""
    try:
        os.killpg(program, number)
    except (ProcessLookupError, PermissionError):
        return


def sweep(program: int) -> None:
    """Kill whatever is left below the guard, and return when nothing is."""
    kill_group(program, signal.SIGKILL)
    while left := children():
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        reap(program, None)
        time.sleep(0.005)


def watch(program: int, lifeline: socket.socket, wake: int, grace_seconds: float) -> int:
    """Wait for the program's end, asking for it when the lifeline closes; return its wait status."""
    parent, deadline, status = os.getppid(), None, None
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while (status := reap(program, status)) is None:
        ready = {descriptor for descriptor, _ in poll.poll(PARENT_CHECK_SECONDS * 1000 if deadline is None else 50)}
        numbers = os.read(wake, 64) if wake in ready else b""
        asked = lifeline.fileno() in ready or os.getppid() != parent or any(n in STOP_SIGNALS for n in numbers)
        if asked and deadline is None:
            deadline = time.monotonic() + grace_seconds
            poll.unregister(lifeline)
            os.kill(program, signal.SIGTERM)
            kill_group(program, signal.SIGCONT)
        if deadline is not None and time.monotonic() >= deadline:
            kill_group(program, signal.SIGKILL)
    return status


def main(arguments: list[str]) -> int:
    """Run the program to its end, and return the exit code to report for it."""
    lifeline = socket.socket(fileno=int(arguments[0]))
    lifeline.set_inheritable(False)
    wake, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer)
    for number in (*STOP_SIGNALS, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard = os.getpid()
    program = os.fork()
    if program == 0:
        execute(arguments[2:], guard)
    lifeline.sendall(f"{program}\n".encode())
    status = watch(program, lifeline, wake, float(arguments[1]))
    sweep(program)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else EXIT_SIGNAL_BASE - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
