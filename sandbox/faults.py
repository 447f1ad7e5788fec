"""Moods of the gateway that a test can order: which fault befalls which call, how often, and whether the call counts.

Ordered with `POST /sandbox/faults`. A fault waits for calls to its `path` (`/payment/request`, `/payment/query`, a
prefix such as `/payment/*`, or the word `notifications`) and befalls `times` of them (0: until cleared), after letting
`skip` of them pass. `match` restricts it to JSON bodies that have these members.

| kind | what the caller sees | executed by default |
| --- | --- | --- |
| `slow` | the answer, `seconds` late (`before`: waits first, then executes) | yes |
| `drip` | the answer byte by byte, `interval_seconds` apart, from its `headers` or its `body` (`part`) | yes |
| `refused` | connection closed before the body was read | never |
| `cut_after_accept` | connection closed without a byte of answer | yes |
| `cut_mid_body` | half the body, then the connection closed | yes |
| `truncated_json` | half the body as if it were whole | yes |
| `html_200` | 200 with an HTML page | no |
| `http_500`, `http_502_html` | an HTML page | no |
| `http_500_json_code` | 500 with an error envelope of `code` | no |
| `http_429` | 429, with `retry_after` as header if given | no |
| `redirect` | 302 to `location` | no |
| `code` | an error envelope of any `code`, `message` and `http_status`, 429 and 5xx included | no |
| `auth_failed` | the same with code 1 under 401, as for a wrong key, for this call alone | no |
| `no_response` | the same with code 401 under 401, "No response" | no |
| `not_found` | the same with code 113 under 404, as a look-up that finds nothing | no |
| `currency_unavailable` | the same with code 240, which no list has | no |
| `mobile_key` | the same with code 2, about a body that a mobile SDK's key cannot read | no |

The five after `code` are only presets of its `code`, `message` and `http_status`; `retry_after` adds that header to any
of the six. `executes` overrules the last column. A slow or dripping call that is not executed ends in a 503 page.

For `notifications`: `none` (lost), `duplicated` (`copies` in all), `delayed` (by `seconds`), `reordered` (held until
the next notice has left, at most `seconds`), `wrong_signature`, `old_key` (signed with `key`).
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sandbox.errors import AUTH_FAILED, CURRENCY_UNAVAILABLE, MOBILE_KEY, NOT_FOUND_113, DeskRefusal

#: The path that stands for notifications.
NOTIFICATIONS = "notifications"

#: Envelopes that bear a name: their code, message and HTTP status.
ENVELOPES: Mapping[str, tuple[int, str, int]] = {
    "auth_failed": AUTH_FAILED,
    "no_response": (401, "No response", 401),
    "not_found": (113, NOT_FOUND_113, 404),
    "currency_unavailable": CURRENCY_UNAVAILABLE,
    "mobile_key": MOBILE_KEY,
}

#: Kinds that befall a notification.
NOTICE_KINDS = frozenset(("none", "duplicated", "delayed", "reordered", "wrong_signature", "old_key"))

#: Kinds that befall a call and let it be executed unless told otherwise.
EXECUTING_KINDS = frozenset(("slow", "drip", "cut_after_accept", "cut_mid_body", "truncated_json"))

CallKind = Literal[
    "slow",
    "drip",
    "refused",
    "cut_after_accept",
    "cut_mid_body",
    "truncated_json",
    "html_200",
    "http_500",
    "http_500_json_code",
    "http_502_html",
    "http_429",
    "redirect",
    "code",
    "auth_failed",
    "no_response",
    "not_found",
    "currency_unavailable",
    "mobile_key",
]

NoticeKind = Literal["none", "duplicated", "delayed", "reordered", "wrong_signature", "old_key"]


class Fault(BaseModel):
    """One ordered fault; the module's tables say what each kind and member does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    kind: CallKind | NoticeKind
    times: int = Field(1, ge=0)
    skip: int = Field(0, ge=0)
    match: dict[str, Any] = Field(default_factory=dict)
    executes: bool | None = None
    seconds: float = Field(1.0, ge=0)
    before: bool = False
    interval_seconds: float = Field(0.05, ge=0)
    part: Literal["headers", "body"] = "body"
    retry_after: int | None = Field(None, ge=0)
    location: str = "/"
    code: int = 2
    message: str = "Fault ordered at the desk"
    http_status: int = Field(400, ge=200, le=599)
    copies: int = Field(2, ge=2, le=20)
    key: str = "SOLDKEY000-0000000000-0000000000"

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:  # noqa: ANN401 - whatever the desk was sent
        if not isinstance(given, dict) or given.get("kind") not in ENVELOPES:
            return given
        return dict(zip(("code", "message", "http_status"), ENVELOPES[given["kind"]], strict=True)) | given

    @model_validator(mode="after")
    def _path_fits_kind(self) -> "Fault":
        if (self.path == NOTIFICATIONS) != (self.kind in NOTICE_KINDS):
            raise ValueError(f"kind {self.kind} does not befall path {self.path}")
        if self.kind == "refused" and (self.executes or self.match):
            raise ValueError("a refused call is never read, so it can neither execute nor match")
        return self

    @property
    def is_executed(self) -> bool:
        """Whether the call takes effect."""
        return self.kind in EXECUTING_KINDS if self.executes is None else self.executes

    def befalls(self, path: str) -> bool:
        """Tell whether calls to a path are concerned."""
        return path == self.path or (self.path.endswith("*") and path.startswith(self.path[:-1]))


class _Order:
    """A fault that waits, and how much of it is left."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.to_skip = fault.skip
        self.left = fault.times or None

    def spend(self) -> bool:
        """Use it once; tells whether it befalls this call."""
        if self.to_skip:
            self.to_skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True


class FaultBoard:
    """The queue of ordered faults; the first that fits a call befalls it."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []
        self._lock = threading.Lock()

    def order(self, members: Mapping[str, Any]) -> Fault:
        """Queue a fault.

        Args:
            members: The JSON body.

        Returns:
            The fault with its defaults.

        Raises:
            DeskRefusal: Naming what does not fit.
        """
        try:
            fault = Fault.model_validate(members)
        except ValidationError as error:
            faults = ("{}: {}".format(".".join(map(str, one["loc"])) or "fault", one["msg"]) for one in error.errors())
            raise DeskRefusal("; ".join(faults)) from None
        with self._lock:
            self._orders.append(_Order(fault))
        return fault

    def take(self, path: str, members: Callable[[], Mapping[str, Any]]) -> Fault | None:
        """Take the fault that befalls a call, if any, and count it.

        Args:
            path: The call's path.
            members: Gives the call's JSON members; asked only where a fault looks at them.

        Returns:
            The fault, or None.
        """
        with self._lock:
            for order in self._orders:
                if order.fault.befalls(path) and _matches(order.fault.match, members) and order.spend():
                    self._orders = [one for one in self._orders if one.left != 0]
                    return order.fault
        return None

    def waiting(self) -> list[dict[str, Any]]:
        """List the faults still waiting, each with `left` (null: until cleared)."""
        with self._lock:
            return [{**order.fault.model_dump(), "left": order.left} for order in self._orders]

    def clear(self) -> None:
        """Drop all of them."""
        with self._lock:
            self._orders = []


def _matches(wanted: Mapping[str, Any], members: Callable[[], Mapping[str, Any]]) -> bool:
    if not wanted:
        return True
    present = members()
    return all(name in present and present[name] == value for name, value in wanted.items())
