"""A machine whose wall clock is off, for one process of a test: moved at will, its monotonic clock left alone."""

import os
from pathlib import Path

#: What Python imports by itself when it starts with this on its path.
MOVED = Path(__file__).parent / "moved_clock"


class MovedClock:
    """The wall clock of one machine.

    Args:
        file: Where the processes of the machine read by how much it is off.
        ahead_seconds: By how much at first; below zero is behind.
    """

    def __init__(self, file: Path, ahead_seconds: float = 0.0) -> None:
        self._file = file
        file.parent.mkdir(parents=True, exist_ok=True)
        self.move(ahead_seconds)

    def move(self, ahead_seconds: float) -> None:
        """Put it ahead by so much of the true time, at once for every process of the machine."""
        self.ahead_seconds = ahead_seconds
        draft = self._file.with_suffix(".draft")
        draft.write_text(str(ahead_seconds))
        draft.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to be on that machine."""
        path = os.pathsep.join(filter(None, (str(MOVED), os.environ.get("PYTHONPATH"))))
        return {"PYTHONPATH": path, "NESTCMS_TEST_CLOCK": str(self._file)}
