"""What is to be run: a name, a command, and how to tell that it is ready."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

import requests

#: How long a process may take to become ready, in seconds, unless its specification says otherwise.
READY_SECONDS = 60.0

#: How long a process has between SIGTERM and SIGKILL, in seconds, unless its specification says otherwise.
GRACE_SECONDS = 15.0

#: How long one look at an HTTP address may take, in seconds.
LOOK_SECONDS = 2.0

#: Tells from what a process has written since its start whether it is ready.
Ready: TypeAlias = Callable[[str], bool]


@dataclass(frozen=True)
class ProcessSpec:
    """One process to run.

    Attributes:
        name: Its label in the log and the name of its log file.
        argv: The program and its arguments.
        env: What is added to this process's environment.
        ready: Tells from the process's output so far whether it serves; None is ready at once.
        ready_seconds: How long that may take.
        grace_seconds: How long it has to end after SIGTERM.
        required: Whether the others are stopped when it cannot start.
        cwd: Its working directory.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Ready | None = None
    ready_seconds: float = READY_SECONDS
    grace_seconds: float = GRACE_SECONDS
    required: bool = True
    cwd: Path | None = None


def answers(url: str) -> Ready:
    """Be ready when a GET of the address gives 200."""

    def look(_output: str) -> bool:
        try:
            return requests.get(url, timeout=LOOK_SECONDS).status_code == HTTPStatus.OK
        except requests.RequestException:
            return False

    return look


def writes(pattern: str) -> Ready:
    """Be ready when the output has something that matches the regular expression."""
    return lambda output: re.search(pattern, output) is not None
