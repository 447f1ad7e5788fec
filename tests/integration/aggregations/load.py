"""Readers who never stop asking, and changes that are said until the cache has heard of them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis

from tests.integration.aggregations.shelf import Shelf


@dataclass
class Seen:
    """How often was asked, and each answer that was wrong, or error."""

    asked: int = 0
    wrong: list[Any] = field(default_factory=list)


@contextmanager
def readers(shelf: Shelf, worth: list[int], count: int) -> Iterator[Seen]:
    """Have so many threads ask until the end; whoever asks when a worth was said gets that or a later one."""
    seen, stop = Seen(), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            least = worth[0]
            try:
                data, source = shelf.told()
                if not isinstance(data, int) or data < least:
                    seen.wrong.append((least, data, source))
            except Exception as error:  # noqa: BLE001 - no caller may get any
                seen.wrong.append(error)
            seen.asked += 1

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def changes(shelf: Shelf, worth: list[int], times: int) -> None:
    """Count the worth up, and say so until the cache takes it, as the task does."""
    for _ in range(times):
        shelf.put(worth[0] + 1)
        while not _said(shelf):
            time.sleep(0.02)
        worth[0] += 1
        time.sleep(0.01)


def _said(shelf: Shelf) -> bool:
    try:
        shelf.invalidator.invalidate([f"thing:{shelf.thing}"])
    except redis.exceptions.RedisError:
        return False
    return True
