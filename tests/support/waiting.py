"""Waiting for something to come true without guessing how long it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(
    look: Callable[[], Value], *, within_seconds: float = 10.0, every_seconds: float = 0.02, what: str = "it"
) -> Value:
    """Call until the answer is truthy and return it; fail the test when that does not come in time."""
    deadline = time.monotonic() + within_seconds
    while not (value := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {within_seconds:g} s; last seen: {value!r}")
        time.sleep(every_seconds)
    return value
