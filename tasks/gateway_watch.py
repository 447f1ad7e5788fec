"""Tells operators when every call will be refused until a setting is mended, and takes it back when PayTabs works.

Two faults are told apart. A key or profile that PayTabs refuses: a look-up was answered so. A key of the wrong kind (a
mobile SDK's): pages are refused one after the other, whoever asks for them, or PayTabs says so in a sentence. Nothing
but this alert goes by that sentence, and nothing is stopped for it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.database import Database

from observability.alerts import Alerts
from paytabs.breaker_verdict import counts_as_failure, names_wrong_settings
from paytabs.responses import Answer, Call, Outcome

#: The alert.
ALERT = "gateway_configuration"

#: So many pages refused with code 2, one after the other and over all processes, mean that it is not the pages.
PAGES_IN_A_ROW = 5

#: A page that is refused later than this after the one before begins the count anew.
WITHIN = timedelta(minutes=10)

#: What another key was last refused before has been corrected; processes that still have it are refused more often.
CORRECTED_AFTER = timedelta(seconds=60)

#: How much the clocks of two workers may differ.
CLOCKS_DIFFER = timedelta(seconds=5)

#: PayTabs' "invalid request".
_INVALID_REQUEST = 2

#: How PayTabs words it that a mobile SDK's key was used.
_MOBILE_KEY = re.compile(r"application/octet-stream|block ?size", re.IGNORECASE)

_PAGES = frozenset((Call.REQUEST, Call.CREATE_INVOICE))
_LOOK_UPS = frozenset((Call.QUERY_TRAN, Call.QUERY_CART, Call.QUERY_TOKEN, Call.INVOICE_STATUS))


@dataclass(frozen=True)
class SettingsWatch:
    """Watches the answers to one key.

    Attributes:
        key: Names the profile and its key without giving the key away.
    """

    db: Database[dict[str, Any]]
    alerts: Alerts
    clock: Callable[[], datetime]
    key: str

    def __call__(self, call: Call, answer: Answer) -> None:
        """Hear an answer."""
        if call in _LOOK_UPS and names_wrong_settings(answer):
            self._tell_refused(answer)
        elif counts_as_failure(answer) is False:
            self._take_back()
        if answer.error_code == _INVALID_REQUEST and _MOBILE_KEY.search(answer.message or ""):
            self._tell_kind("PayTabs answers code 2 about the form of what was sent")
        if call in _PAGES:
            self._count(answer)
        if _is_taken(answer, call):
            self._end_count()
            self.alerts.resolve(ALERT, self._kind_key)

    def refused_since(self, moment: datetime) -> bool:
        """Tell whether the key has been refused since, or had been before and was not taken back by then."""
        row = self.alerts.rows.find_one({"_id": f"{ALERT}:{self.key}"}, {"last_seen_at": 1, "closed_at": 1})
        if row is None:
            return False
        since = moment - CLOCKS_DIFFER
        return row["closed_at"] is None or row["last_seen_at"] >= since or row["closed_at"] >= since

    @property
    def _kind_key(self) -> str:
        return f"{self.key} kind"

    def _tell_refused(self, answer: Answer) -> None:
        said = f"code {answer.error_code}" if answer.error_code else f"HTTP {answer.http_status}"
        self.alerts.raise_alert(
            ALERT,
            self.key,
            f"a question was answered {said}: wrong key, wrong profile or wrong region's host; nothing is sent "
            "until a question is answered again",
        )

    def _tell_kind(self, why: str) -> None:
        self.alerts.raise_alert(
            ALERT, self._kind_key, f"{why}: PAYTABS_SERVERK may be of the wrong kind, a mobile SDK's for example"
        )

    def _take_back(self) -> None:
        """Close what this answer disproves: that this key is refused, and that another one still is in use."""
        known = self.alerts.open_keys(ALERT)
        if self.key in known:
            self.alerts.resolve(ALERT, self.key)
        for other in known:
            if other not in (self.key, self._kind_key):
                self.alerts.resolve_unseen(ALERT, other, self.clock() - CORRECTED_AFTER)

    def _count(self, answer: Answer) -> None:
        refused = answer.outcome is Outcome.DID_NOT_HAPPEN and answer.error_code is not None
        if refused and answer.error_code == _INVALID_REQUEST:
            count = self._one_more()
            if count >= PAGES_IN_A_ROW:
                self._tell_kind(f"the last {count} pages were all refused with code 2")
        elif refused:
            self._end_count()

    def _one_more(self) -> int:
        now = self.clock()
        goes_on = {"$gte": ["$last_at", now - WITHIN]}
        counted = {"$cond": [goes_on, {"$add": ["$refused", 1]}, 1]}
        row = self._streaks.find_one_and_update(
            {"_id": self.key}, [{"$set": {"refused": counted, "last_at": now}}], upsert=True,
            return_document=ReturnDocument.AFTER,
        )  # fmt: skip
        return int(row["refused"])

    def _end_count(self) -> None:
        if self._streaks.find_one({"_id": self.key}, {"_id": 1}):
            self._streaks.delete_one({"_id": self.key})

    @property
    def _streaks(self) -> Any:  # noqa: ANN401 - a collection
        return self.db["gateway_streaks"]


def _is_taken(answer: Answer, call: Call) -> bool:
    """Tell whether PayTabs took a request: it made something of it, though that may have been declined."""
    made = answer.transaction is not None or answer.invoice_id is not None
    return call in (*_PAGES, Call.CHARGE, Call.FOLLOW_UP) and made and answer.error_code is None
