"""Under which circumstances figures were measured: machine, versions, time and commit."""

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

#: The project's root.
ROOT = Path(__file__).parents[2]

#: The distributions whose versions belong to every figure.
DISTRIBUTIONS = ("celery", "kombu", "redis", "pymongo", "flask", "gunicorn", "requests", "playwright")

#: A version number in what a program says of itself.
_VERSION = re.compile(r"\d+(?:\.\d+)+")


def circumstances(programs: Iterable[Path | str]) -> list[str]:
    """List what a reader has to know to judge a figure.

    Args:
        programs: The servers and tools whose versions matter, by path.
    """
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    machine = f"{os.cpu_count()} cores, {processor()}, {memory_gib():.0f} GiB, {platform.system()} {platform.release()}"
    libraries = ", ".join(f"{name} {version(name)}" for name in DISTRIBUTIONS)
    servers = ", ".join(f"{Path(program).name} {program_version(program)}" for program in programs)
    return [
        f"- date: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; commit: {commit()}",
        f"- machine: {machine}; load average at the end (1, 5, 15 minutes): {load}",
        f"- programs: Python {platform.python_version()}, {servers}",
        f"- libraries: {libraries}",
    ]


def commit() -> str:
    """Name the commit that is checked out, and say so when what ran differs from it."""
    try:
        name = _output("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD")
        changed = _output("git", "-C", str(ROOT), "status", "--porcelain").splitlines()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    others = [line for line in changed if "bench/results/" not in line]
    return f"{name} and {len(others)} uncommitted files" if others else name


def processor() -> str:
    """Name the processor."""
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        named = None
    return named[1] if named else platform.machine()


def memory_gib() -> float:
    """Tell how much memory the machine has, in GiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def program_version(program: Path | str) -> str:
    """Ask a program for its version."""
    found = _VERSION.search(_output(str(program), "--version"))
    return found[0] if found else "of unknown version"


def _output(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - fixed commands
    return done.stdout.strip()
