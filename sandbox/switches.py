"""The open questions as switches: what nobody states about PayTabs can be set either way, while the server runs.

Read with `GET /sandbox/switches` (`?describe=1` adds each one's meaning and default), change with `PUT`. The numbers in
brackets are those of the open questions in section 10 of the gateway contract.

| switch | values (default first) | question |
| --- | --- | --- |
| `query_unpaid_page` | `pending`, `error` | 1 |
| `query_cart_shows_unpaid` | false, true | 1 |
| `query_unknown` | `empty`, `error` | 2 |
| `query_lag_seconds` | 0 and more | 3 |
| `duplicate_filter` | true, false | 4, 6 |
| `duplicate_fields` | list of member names | 4 |
| `duplicate_window_seconds` | 120, any above 0 | 4 |
| `duplicate_filter_followups` | true, false | 5 |
| `refused_counts_for_filter` | false, true | 6 |
| `followup_notices` | `own_or_original`, `own_only` | 7 |
| `notify_callback`, `notify_ipn` | true, false | 8 |
| `notice_order` | `random`, `callback_first`, `ipn_first` | 8 |
| `notice_delay_seconds` | 0 and more | 8 |
| `ipn_url` | the command line's, any address, null | 8 |
| `retry_count`, `retry_base_seconds`, `retry_factor`, `retry_scale` | 5, 60, 2, 0.05 | 9 |
| `delivery_timeout_seconds` | 10, any above 0 | 9 |
| `expiry_reference` | `same`, `new` | 10 |
| `void_changes_original` | true, false | 12 |
| `capture_reported_as` | `random`, `capture`, `sale` | 14 |
| `code2_http_status` | 400, 200, 404 | 18 |
| `decimals` | `currency`, `two` | 19 |
| `page_attempts` | `one`, `until_paid` | 20 |
| `url_rules` | `local`, `strict` | 21 |
| `strict_ipn` | false, true | 21 |
| `cut_rate`, `error_rate`, `random_seed` | 0, up to 1; any number | 22 |
"""

import threading
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandbox.errors import DeskRefusal

#: The members of a request that may make up its likeness to another.
FilterField = Literal[
    "profile_id",
    "tran_type",
    "tran_class",
    "cart_id",
    "cart_amount",
    "cart_currency",
    "cart_description",
    "tran_ref",
    "token",
]


class Switches(BaseModel):
    """One setting of all switches."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    query_unpaid_page: Literal["pending", "error"] = Field(
        "pending",
        description="Query by tran_ref of a page nobody has paid yet: P with code 600, or an error of code 2.",
    )
    query_cart_shows_unpaid: bool = Field(
        default=False,
        description="Whether a page nobody has paid yet appears in the query by cart_id, as P with code 600.",
    )
    query_unknown: Literal["empty", "error"] = Field(
        "empty",
        description="Query of an unknown cart_id: an empty list, or an error of code 2 (always so for a tran_ref).",
    )
    query_lag_seconds: float = Field(
        0, ge=0, description="For so long after a change, queries still show what was before it, or nothing."
    )
    duplicate_filter: bool = Field(default=True, description="Whether a repeated request is refused with 409, code 4.")
    duplicate_fields: list[FilterField] = Field(
        ["profile_id", "tran_type", "cart_id", "cart_amount", "cart_currency", "tran_ref", "token"],
        min_length=1,
        description="Members that make two requests identical; the alternative is cart_id alone.",
    )
    duplicate_window_seconds: float = Field(120, gt=0, description="How long a request is remembered by the filter.")
    duplicate_filter_followups: bool = Field(default=True, description="Whether the filter covers follow-ups.")
    refused_counts_for_filter: bool = Field(
        default=False, description="Whether a request answered with an error envelope counts for the filter."
    )
    followup_notices: Literal["own_or_original", "own_only"] = Field(
        "own_or_original",
        description="Where settlements, expiries, follow-ups and dashboard actions without a callback of their own are "
        "notified: to the original's callback, or only by IPN.",
    )
    notify_callback: bool = Field(default=True, description="Whether the copy for the request's callback is sent.")
    notify_ipn: bool = Field(default=True, description="Whether the copy for the profile's IPN address is sent.")
    notice_order: Literal["random", "callback_first", "ipn_first"] = Field(
        "random", description="Which of the two copies leaves first; the second follows 20 ms later."
    )
    notice_delay_seconds: float = Field(0, ge=0, description="How long every notice waits before its first delivery.")
    ipn_url: str | None = Field(None, description="The profile's IPN address as set in the dashboard; null for none.")
    retry_count: int = Field(
        5, ge=0, le=50, description="Re-deliveries after the first attempt, until one is answered 200."
    )
    retry_base_seconds: float = Field(60, ge=0, description="Unscaled wait before the first re-delivery.")
    retry_factor: float = Field(2, ge=1, description="How much longer each further wait is.")
    retry_scale: float = Field(0.05, ge=0, description="Multiplies every wait, so that tests need not last hours.")
    delivery_timeout_seconds: float = Field(
        10, gt=0, description="How long a delivery waits for the receiver's answer."
    )
    expiry_reference: Literal["same", "new"] = Field(
        "same", description="An expiry shows on the transaction itself, or as a new one with previous_tran_ref."
    )
    void_changes_original: bool = Field(default=True, description="Whether a void turns the original's status to V.")
    capture_reported_as: Literal["random", "capture", "sale"] = Field(
        "random", description="tran_type of a capture in its notification; queries always say Capture."
    )
    code2_http_status: Literal[400, 200, 404] = Field(400, description="HTTP status of errors of code 2.")
    decimals: Literal["currency", "two"] = Field("currency", description="Decimals of amounts in answers and notices.")
    page_attempts: Literal["one", "until_paid"] = Field(
        "one", description="The first result ends a page, or a declined page may be tried again on the same tran_ref."
    )
    url_rules: Literal["local", "strict"] = Field(
        "local", description="strict refuses http, port numbers and localhost in callback and return with code 2."
    )
    strict_ipn: bool = Field(
        default=False, description="Whether a notice to an IPN address without TLS has an empty body."
    )
    cut_rate: float = Field(
        0, ge=0, le=1, description="Share of API calls that are executed and then lose their connection, at random."
    )
    error_rate: float = Field(
        0, ge=0, le=1, description="Share of API calls answered 500, half of them executed, at random."
    )
    random_seed: int = Field(1, description="Seed of every random choice above; setting any switch starts it anew.")


class SwitchBoard:
    """Holds the present setting; replaced as a whole, so that a reader never sees half a change."""

    def __init__(self, initial: Switches | None = None) -> None:
        self._initial = initial or Switches()
        self._current = self._initial
        self._lock = threading.Lock()

    @property
    def now(self) -> Switches:
        """The present setting."""
        return self._current

    def change(self, changes: Mapping[str, Any]) -> Switches:
        """Set some switches and leave the others.

        Args:
            changes: Values by name.

        Returns:
            The new setting.

        Raises:
            DeskRefusal: Naming every unknown switch and every unsuitable value; nothing was set.
        """
        with self._lock:
            try:
                self._current = Switches.model_validate({**self._current.model_dump(), **changes})
            except ValidationError as error:
                raise DeskRefusal("; ".join(_sentence(fault) for fault in error.errors())) from None
            return self._current

    def reset(self) -> None:
        """Go back to the setting the server started with."""
        with self._lock:
            self._current = self._initial


def describe() -> dict[str, dict[str, Any]]:
    """List every switch with its meaning and default.

    Returns:
        By name: `description` and `default`.
    """
    return {
        name: {"default": field.default, "description": field.description}
        for name, field in Switches.model_fields.items()
    }


def _sentence(fault: Mapping[str, Any]) -> str:
    name = ".".join(str(part) for part in fault["loc"])
    return f"{name}: no such switch" if fault["type"] == "extra_forbidden" else f"{name}: {fault['msg']}"
