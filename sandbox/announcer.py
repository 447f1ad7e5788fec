"""Who is told of an event, in how many copies and in what words."""

import random
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sandbox.courier import Courier, Notice
from sandbox.envelopes import compact
from sandbox.faults import NOTIFICATIONS, Fault, FaultBoard
from sandbox.identifiers import Mint
from sandbox.ledger import Ledger
from sandbox.mishaps import Mishaps
from sandbox.signing import sign_body
from sandbox.switchboard import SwitchBoard
from sandbox.tellings import notice
from sandbox.transactions import Transaction

#: How much later the second of two copies leaves, so that their order can be told.
SECOND_COPY_SECONDS = 0.02

#: How long after the next notice one that was held back by the fault `reordered` leaves.
OVERTAKEN_SECONDS = 0.2


@dataclass(frozen=True)
class Profile:
    """The merchant the sandbox serves.

    Attributes:
        profile_id: Its number.
        server_key: Its key, for calls and signatures.
    """

    profile_id: int
    server_key: str


class Announcer:
    """Cuts notices from the ledger and hands them to the courier."""

    def __init__(
        self,
        *,
        profile: Profile,
        ledger: Ledger,
        mint: Mint,
        switches: SwitchBoard,
        faults: FaultBoard,
        mishaps: Mishaps,
        courier: Courier,
    ) -> None:
        self._profile = profile
        self._ledger = ledger
        self._mint = mint
        self._switches = switches
        self._faults = faults
        self._mishaps = mishaps
        self._courier = courier
        self._held: list[tuple[threading.Timer, list[tuple[Notice, float]]]] = []
        self._fates: Counter[str] = Counter()
        self._lock = threading.Lock()

    def announce(self, transaction: Transaction) -> None:
        """Tell the merchant what has just happened, on every channel that is set.

        Args:
            transaction: The version to be told of.
        """
        told = self._as_told(transaction)
        members = self.members(told)
        fault = self._faults.take(NOTIFICATIONS, lambda: members) or self._mishaps.of_notice()
        copies = [self.cut(told.tran_ref, channel, url, members, fault) for channel, url in self._addresses(told)]
        with self._lock:
            self._fates[fault.kind if fault else "sent"] += len(copies)
        delay = self._switches.now.notice_delay_seconds
        timed = [(copy, delay + SECOND_COPY_SECONDS * place) for place, copy in enumerate(copies)]
        self._dispatch(timed, fault)

    def members(self, transaction: Transaction) -> dict[str, Any]:
        """Write the members of a notice, without a copy's own `ipn_trace`."""
        return notice(
            transaction,
            profile_id=self._profile.profile_id,
            ipn_trace="",
            acquirer_ref=self._mint.trace("TRAN0201"),
            decimals=self._switches.now.decimals,
            extras=self._switches.now.notice_extras,
        )

    def cut(
        self, tran_ref: str, channel: str, url: str, members: Mapping[str, Any], fault: Fault | None = None
    ) -> Notice:
        """Cut one copy: its own `ipn_trace`, its bytes, its signature.

        Args:
            tran_ref: The transaction it is about.
            channel: `callback` or `ipn`.
            url: Where it goes.
            members: The body's members; an `ipn_trace` among them is kept.
            fault: A fault that spoils the signature, if any.

        Returns:
            The copy.
        """
        body = compact({**members, "ipn_trace": members.get("ipn_trace") or self._mint.trace("IPNS0201")})
        if channel == "ipn" and self._switches.now.strict_ipn and not url.startswith("https://"):
            body = b""
        kind = fault.kind if fault else None
        key = self._switches.now.notice_key or self._profile.server_key
        signature = sign_body(body, fault.key if fault and kind == "old_key" else key)
        if kind == "wrong_signature":
            signature = sign_body(body + b" ", self._profile.server_key)
        return Notice(channel, url, tran_ref, body, signature)

    def callback_of(self, transaction: Transaction) -> str | None:
        """Find the callback address of a transaction: its own, or (by switch) the original's."""
        own, previous = transaction.request.get("callback"), transaction.previous_tran_ref
        stands_alone = transaction.begins_family or not self._ledger.knows(previous)
        if own or stands_alone or self._switches.now.followup_notices == "own_only":
            return str(own) if own else None
        return self.callback_of(self._ledger.get(str(previous)))

    def fates(self) -> dict[str, int]:
        """Count the copies so far by what befell them: `sent`, or a fault's kind."""
        with self._lock:
            return dict(self._fates)

    def clear(self) -> None:
        """Drop what is held back, and the count."""
        with self._lock:
            for timer, _ in self._held:
                timer.cancel()
            self._held.clear()
            self._fates.clear()

    def _addresses(self, transaction: Transaction) -> list[tuple[str, str]]:
        switches = self._switches.now
        callback = self.callback_of(transaction) if switches.notify_callback else None
        ipn = switches.ipn_url if switches.notify_ipn else None
        found = [(channel, url) for channel, url in (("callback", callback), ("ipn", ipn)) if url]
        if switches.notice_order == "ipn_first":
            found.reverse()
        elif switches.notice_order == "random":
            random.shuffle(found)
        return found

    def _as_told(self, transaction: Transaction) -> Transaction:
        if transaction.tran_type != "Capture":
            return transaction
        wish = self._switches.now.capture_reported_as
        as_sale = wish == "sale" or (wish == "random" and random.random() < 0.5)  # noqa: PLR2004, S311 - a fair coin
        return replace(transaction, tran_type="Sale") if as_sale else transaction

    def _dispatch(self, timed: list[tuple[Notice, float]], fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        if fault and kind == "reordered":
            self._hold(timed, fault.seconds)
            return
        copies = fault.copies if fault and kind == "duplicated" else 0 if kind == "none" else 1
        late = fault.seconds if fault and kind == "delayed" else 0.0
        for _ in range(copies):
            for copy, delay in timed:
                self._courier.post(copy, delay + late)
        if copies:
            self._release_held()

    def _hold(self, timed: list[tuple[Notice, float]], at_most_seconds: float) -> None:
        timer = threading.Timer(at_most_seconds, self._release_held)
        timer.daemon = True
        with self._lock:
            self._held.append((timer, timed))
        timer.start()

    def _release_held(self) -> None:
        with self._lock:
            held, self._held = self._held, []
        for timer, timed in held:
            timer.cancel()
            for copy, delay in timed:
                self._courier.post(copy, delay + OVERTAKEN_SECONDS)
