"""How a notice travels: POST until it is answered 200, at growing distances, and every attempt is written down."""

import heapq
import itertools
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

import requests

from sandbox.identifiers import desk_time, utc_now
from sandbox.switchboard import SwitchBoard

#: Deliveries on their way at once; a receiver that hangs holds up one of them only.
CARRIERS = 8

#: As whom PayTabs' notices come.
USER_AGENT = "Go-http-client/1.1"

#: The only answer that ends the re-deliveries.
ACCEPTED = 200


@dataclass(frozen=True)
class Notice:
    """One copy of a notification, cut at the moment of its event.

    Attributes:
        channel: `callback` or `ipn`.
        url: Where it goes.
        tran_ref: The transaction it is about.
        body: The exact bytes.
        signature: The header's value.
        attempt: 1 for the first delivery.
    """

    channel: str
    url: str
    tran_ref: str
    body: bytes
    signature: str
    attempt: int = 1


class Courier:
    """Delivers notices from a few threads, each due at its time."""

    def __init__(self, switches: SwitchBoard) -> None:
        self._switches = switches
        self._due: list[tuple[float, int, Notice]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._generation = 0
        self._log: list[dict[str, Any]] = []
        for number in range(CARRIERS):
            threading.Thread(target=self._carry, name=f"courier-{number}", daemon=True).start()

    def post(self, notice: Notice, delay_seconds: float = 0) -> None:
        """Hand over a notice.

        Args:
            notice: The copy.
            delay_seconds: How long it waits.
        """
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay_seconds, next(self._order), notice))
            self._changed.notify()

    def deliver(self, notice: Notice) -> dict[str, Any]:
        """Deliver once, here and now.

        Args:
            notice: The copy.

        Returns:
            The log's entry: `status` is the receiver's HTTP status, or null with the reason in `error`.
        """
        entry: dict[str, Any] = {
            "at": desk_time(utc_now()),
            "channel": notice.channel,
            "url": notice.url,
            "tran_ref": notice.tran_ref,
            "attempt": notice.attempt,
            "signature": notice.signature,
            "body": notice.body.decode(errors="replace"),
            "status": None,
            "error": None,
        }
        generation = self._generation
        try:
            entry["status"] = self._send(notice)
        except requests.RequestException as error:
            entry["error"] = type(error).__name__
        with self._changed:
            if generation == self._generation:
                self._log.append(entry)
        return entry

    def log(self) -> list[dict[str, Any]]:
        """List every attempt, oldest first."""
        with self._changed:
            return list(self._log)

    def waiting(self) -> list[dict[str, Any]]:
        """List the deliveries not yet due."""
        now = time.monotonic()
        with self._changed:
            return [
                {"channel": notice.channel, "url": notice.url, "tran_ref": notice.tran_ref, "attempt": notice.attempt}
                | {"due_in_seconds": round(max(due - now, 0), 3)}
                for due, _, notice in sorted(self._due)
            ]

    def clear(self) -> None:
        """Forget the log and everything not yet delivered."""
        with self._changed:
            self._generation += 1
            self._due.clear()
            self._log.clear()

    def stop(self) -> None:
        """Let the threads end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _carry(self) -> None:
        for generation, notice in iter(self._next, None):
            entry = self.deliver(notice)
            switches = self._switches.now
            if entry["status"] == ACCEPTED or notice.attempt > switches.retry_count or generation != self._generation:
                continue
            wait = switches.retry_base_seconds * switches.retry_factor ** (notice.attempt - 1) * switches.retry_scale
            self.post(replace(notice, attempt=notice.attempt + 1), wait)

    def _next(self) -> tuple[int, Notice] | None:
        with self._changed:
            while not self._stopped:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return self._generation, heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None

    def _send(self, notice: Notice) -> int:
        with requests.Session() as session:
            # The receiver stands on this desk: no proxy, no .netrc.
            session.trust_env = False
            answer = session.post(
                notice.url,
                data=notice.body,
                headers={"Content-Type": "application/json", "Signature": notice.signature, "User-Agent": USER_AGENT},
                timeout=self._switches.now.delivery_timeout_seconds,
                allow_redirects=False,
            )
            return answer.status_code
