"""Helpers: processes that make surveys for a replay, since folding is all computing, and one process has one core.

They are made before anything is connected, and each connects for itself. They read and tell; only who began them mends.
"""

import gc
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Any, Self

from payments.replay_pieces import ReplayParts, Survey
from payments.replay_scan import Span
from payments.replay_survey import Surveyor

Document = dict[str, Any]

#: How many surveys each helper has before it: the one under way, and the next.
AHEAD = 2

#: How many objects a helper makes before it looks for garbage: what it makes is gone with each survey anyway.
GARBAGE = 50_000


class Helpers:
    """Helper processes; they end with the `with` block."""

    def __init__(self, count: int, connect: Callable[[], ReplayParts]) -> None:
        """Begin so many helpers.

        Args:
            count: How many.
            connect: Called in each helper; gives it what a survey needs.
        """
        self._count = count
        self._pool = ProcessPoolExecutor(
            count, multiprocessing.get_context("fork"), initializer=_begin, initargs=(connect,)
        )
        # The first task makes them all, while nothing is connected here that they could inherit.
        self._pool.submit(_ready).result()

    def surveys(self, queries: Iterable[Document], left_out: Span) -> Iterator[Survey]:
        """Give a survey of the payments that each query finds, in the order of the queries.

        Raises:
            BrokenExecutor: a helper has died.
        """
        asked = (self._pool.submit(_survey, query, left_out) for query in queries)
        under_way: deque[Future[Survey]] = deque(islice(asked, self._count * AHEAD))
        while under_way:
            yield under_way.popleft().result()
            under_way.extend(islice(asked, 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


#: This helper's surveyor.
_surveyor: Surveyor | None = None


def _begin(connect: Callable[[], ReplayParts]) -> None:
    """Become a helper: Ctrl-C is for whoever began it, and garbage is seldom looked for."""
    global _surveyor  # noqa: PLW0603 - a process has one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
    gc.set_threshold(GARBAGE)
    _surveyor = Surveyor(connect())


def _ready() -> None:
    """Do nothing."""


def _survey(query: Document, left_out: Span) -> Survey:
    if _surveyor is None:
        raise RuntimeError("a helper surveys only once it has begun")
    return _surveyor.survey(query, left_out)
