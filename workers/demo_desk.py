"""The sandbox's desk as the demo looks at it: what it was asked, what it told, and what it charged."""

import hashlib
import hmac
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import requests

Json = dict[str, Any]

#: How long the desk may take to answer, in seconds.
DESK_SECONDS = 10.0


class SandboxDesk:
    """Reads a sandbox's records.

    Args:
        url: Where the sandbox is.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def requests(self, path: str) -> list[Json]:
        """List what the gateway was asked on a path."""
        return list(self._get("requests", path=path)["requests"])

    def notices(self, tran_ref: str) -> list[Json]:
        """List the attempts to deliver a notice of a transaction."""
        return list(self._get("notifications", tran_ref=tran_ref)["notifications"])

    def charged(self, carts: Collection[str] | None = None) -> Decimal:
        """Add up what was taken from payers, under some carts or all of them."""
        moves = self._get("ledger")["movements"]
        return sum(
            (Decimal(move["amount"]) for move in moves
             if move["kind"] == "charge" and (carts is None or move["cart_id"] in carts)),
            Decimal(0),
        )  # fmt: skip

    def tokens(self) -> set[str]:
        """Give the tokens of every card that was kept."""
        return {str(one["token"]) for one in self._get("ledger")["transactions"] if one.get("token")}

    def pass_time(self, tran_ref: str, minutes: float) -> None:
        """Let time pass for one page."""
        order = {"tran_ref": tran_ref, "minutes": minutes}
        requests.post(f"{self._url}/sandbox/time", json=order, timeout=DESK_SECONDS).raise_for_status()

    def _get(self, name: str, **only: str) -> Json:
        answer = requests.get(f"{self._url}/sandbox/{name}", params=only, timeout=DESK_SECONDS)
        answer.raise_for_status()
        return dict(answer.json())


def signature(body: bytes, key: str) -> str:
    """Sign a body as PayTabs does, with whatever key."""
    return hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
