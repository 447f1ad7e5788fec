"""The turn to write a view: a lease, kept by a thread of its own while the work goes on, and the fence of its writes.

A chunk may take longer to read than a lease lasts, and whoever comes meanwhile would take over, only to lose the view
to the next one. The thread of a process that is dead or frozen keeps nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

import structlog
from pymongo.client_session import ClientSession
from pymongo.errors import PyMongoError

from aggregations.view_state import ViewState

log = structlog.get_logger(__name__)

#: How long a refresher is the only one of its view without a sign of life, in seconds.
LEASE_SECONDS = 10.0

#: How many signs of life there are in that time.
SIGNS = 4


@dataclass(frozen=True)
class Turn:
    """The turn to write a view: a lease and its fence."""

    lease: ViewState
    name: str
    fence: int

    def write(self, change: Mapping[str, Any], session: ClientSession | None = None) -> None:
        """Change the view's row.

        Raises:
            LeaseLost: it is another's turn by now.
        """
        self.lease.write(self.name, self.fence, change, session)


@contextmanager
def turn_of(lease: ViewState, name: str) -> Iterator[Turn | None]:
    """Have the turn to write a view, and keep it until it is given back; None while another has it."""
    fence = lease.take(name, LEASE_SECONDS)
    if fence is None:
        yield None
        return
    ended = Event()
    keeper = Thread(target=_keep, args=(lease, name, fence, ended), name=f"keeps-{name}", daemon=True)
    keeper.start()
    try:
        yield Turn(lease, name, fence)
    finally:
        ended.set()
        keeper.join()
        lease.release(name)


def _keep(lease: ViewState, name: str, fence: int, ended: Event) -> None:
    while not ended.wait(LEASE_SECONDS / SIGNS):
        try:
            if lease.take(name, LEASE_SECONDS) != fence:
                return  # It was another's meanwhile: what is being done now can no longer be written.
        except PyMongoError as error:
            log.warning("turn_not_kept", view=name, reason=type(error).__name__)
