"""When the CMS's document reads paid, as seen from outside: a reader of its own looks again and again."""

import threading
import time
from typing import Any

from bson import ObjectId
from pymongo.database import Database

#: How often the document is looked at, in seconds: what a moment may be late by.
LOOK_SECONDS = 0.002

#: How long it is looked at, in seconds.
PATIENCE_SECONDS = 30.0


class Watch(threading.Thread):
    """Notes when a payment's document reads paid.

    Args:
        database: The CMS's database.
        payment: Which payment.
    """

    def __init__(self, database: Database[dict[str, Any]], payment: ObjectId) -> None:
        super().__init__(name="watch")
        self._payments = database["payments"]
        self._paid = {"_id": payment, "status": "paid"}
        self._paid_at: float | None = None

    def run(self) -> None:
        """Look until it is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if self._payments.find_one(self._paid, {"_id": True}):
                self._paid_at = time.time()
                return
            time.sleep(LOOK_SECONDS)

    def moment(self) -> float:
        """Wait for that moment and give it, in seconds since 1970."""
        self.join()
        if self._paid_at is None:
            raise SystemExit(f"a payment was not paid within {PATIENCE_SECONDS:g} s")
        return self._paid_at
