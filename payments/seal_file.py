"""The seals outside the database: a file that only grows, one line of JSON per seal, each on the disk when it counts.

Who writes holds the file's lock from before a seal exists until it is in the file; who compares file and database takes
the same lock for a moment, and so never sees one without the other.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from payments.errors import SealsDiffer
from payments.events import canonical_bytes
from payments.seals import Seal

#: How much of the file's end is read at once to find its last line, in bytes.
BLOCK = 65_536


class OpenSealFile:
    """The file while its lock is held."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        """Use a file that is open for reading and appending."""
        self._file, self._path = file, path

    def last(self) -> Seal | None:
        """Return the newest seal in the file; lines that a writer left torn are passed over.

        Raises:
            SealsDiffer: the file holds lines and no seal.
        """
        line = b""
        for line in self._lines_from_the_end():
            if (seal := read_line(line)) is not None:
                return seal
        if line:
            raise SealsDiffer(f"{self._path} holds lines and no seal")
        return None

    def find(self, number: int) -> Seal | None:
        """Return the seal of a number, looked for from the end; None when there is none."""
        for line in self._lines_from_the_end():
            seal = read_line(line)
            if seal is not None and seal.n <= number:
                return seal if seal.n == number else None
        return None

    def append(self, seals: Iterable[Seal]) -> None:
        """Write seals to the end and to the disk; what a writer that died has left of a line stays before them."""
        end = self._file.seek(0, os.SEEK_END)
        torn = end > 0 and self._byte_before(end) != b"\n"
        lead = b"\n" if torn else b""
        for seal in seals:
            self._file.write(lead + canonical_bytes(seal.model_dump()) + b"\n")
            lead = b""
        self._file.flush()
        os.fsync(self._file.fileno())

    def _byte_before(self, end: int) -> bytes:
        self._file.seek(end - 1)
        return self._file.read(1)

    def _lines_from_the_end(self) -> Iterator[bytes]:
        """Give the lines that have their end, last first."""
        begin, head, torn = self._file.seek(0, os.SEEK_END), b"", True
        while begin > 0:
            step = min(BLOCK, begin)
            begin -= step
            self._file.seek(begin)
            head, *lines = (self._file.read(step) + head).split(b"\n")
            yield from reversed(lines[:-1] if torn else lines)
            torn = torn and not lines
        if head and not torn:
            yield head


class SealFile:
    """The file by its path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self) -> Iterator[OpenSealFile]:
        """Give the file to its only writer; made, with its folder, where it is missing.

        Raises:
            OSError: it cannot be had.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self.path.exists()
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if fresh:
                _keep_name(self.path)
            yield OpenSealFile(file, self.path)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Hold off writers for a moment.

        Raises:
            OSError: it cannot be read.
        """
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            yield

    def size(self) -> int:
        """Return how many bytes there are."""
        return self.path.stat().st_size

    def lines(self, size: int) -> Iterator[tuple[int, Seal | None]]:
        """Give each line's number and seal, within the first `size` bytes; None where there is none.

        What is left of a line whose writer died is the beginning of the line after it, and is passed over.
        """
        with self.path.open("rb") as file:
            number, torn = 0, b""
            for number, line in enumerate(_whole_lines(file, size), start=1):
                if not _same_beginning(torn, line):
                    yield number - 1, None
                    torn = b""
                if (seal := read_line(line)) is not None:
                    yield number, seal
                torn = max(torn, line, key=len) if seal is None else b""
            if torn:
                yield number, None


def read_line(line: bytes) -> Seal | None:
    """Read a line of the file; None when it is no seal."""
    try:
        return Seal.model_validate(json.loads(line))
    except (ValidationError, ValueError):
        return None


def _whole_lines(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Give the lines that have their end, within the first `size` bytes."""
    for line in file:
        size -= len(line)
        if size < 0 or not line.endswith(b"\n"):
            return
        yield line[:-1]


def _same_beginning(torn: bytes, line: bytes) -> bool:
    """Tell whether one of two lines is the beginning of the other."""
    return torn.startswith(line) or line.startswith(torn)


def _keep_name(path: Path) -> None:
    """Have a new file's name survive a loss of power."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
