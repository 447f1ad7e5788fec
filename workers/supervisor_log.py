"""One labelled log out of many processes: each writes its own file, and a thread shows what is added to them.

Files rather than pipes, so that a halted terminal never halts a process that handles money.
"""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rich.console import Console
from rich.text import Text

#: How often the files are looked at, in seconds.
LOOK_SECONDS = 0.05

#: The colours that labels take in turn.
COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan", "bright_green")

#: The label of the supervisor's own lines.
OWN_LABEL = "stack"


class LogFollower:
    """Show the lines that appear in several files on one console, each behind its label.

    Args:
        console: Where the lines go.
        width: How wide a label is.
    """

    def __init__(self, console: Console, width: int) -> None:
        self._console = console
        self._width = width
        self._files: dict[str, IO[bytes]] = {}
        self._rests: dict[str, bytes] = {}
        self._styles = {OWN_LABEL: "bold"}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-follower", daemon=True)

    def follow(self, label: str, path: Path) -> None:
        """Show what is added to a file from now on."""
        with self._lock:
            if label not in self._files:
                self._files[label] = path.open("rb")
                self._files[label].seek(0, os.SEEK_END)
                self._styles[label] = COLOURS[(len(self._files) - 1) % len(COLOURS)]

    def say(self, text: str, label: str = OWN_LABEL) -> None:
        """Show one line behind a label."""
        line = Text(f"{label:<{self._width}} | ", style=self._styles.get(label, ""))
        line.append_text(Text.from_ansi(text, style="default"))
        self._console.print(line, soft_wrap=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._show_new()
        for label, rest in self._rests.items():
            if rest:
                self.say(rest.decode(errors="replace"), label)
        for file in self._files.values():
            file.close()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._show_new()

    def _show_new(self) -> None:
        with self._lock:
            for label, file in self._files.items():
                *lines, self._rests[label] = (self._rests.get(label, b"") + file.read()).split(b"\n")
                for line in lines:
                    self.say(line.decode(errors="replace"), label)
