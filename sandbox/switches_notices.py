"""The switches of notifications: who is told, how often, in which order and signed with what."""

from typing import Literal

from pydantic import BaseModel, Field


class NoticeSwitches(BaseModel):
    """A part of `sandbox.switches.Switches`."""

    followup_notices: Literal["own_or_original", "own_only"] = Field(
        "own_or_original",
        description="Where settlements, expiries, follow-ups and dashboard actions without a callback of their own are "
        "notified: to the original's callback, or only by IPN.",
    )
    refused_followup_notices: bool = Field(default=True, description="Whether refused follow-ups are notified too.")
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
    capture_reported_as: Literal["random", "capture", "sale"] = Field(
        "random", description="tran_type of a capture in its notification; queries always say Capture."
    )
    notice_extras: bool = Field(
        default=True, description="Whether notices tell of a card's issuer and its 3-D Secure step (threeDSDetails)."
    )
    strict_ipn: bool = Field(
        default=False, description="Whether a notice to an IPN address without TLS has an empty body."
    )
    notice_key: str | None = Field(
        None, min_length=1, description="The key that signs every notice, as before a rotation; null for the profile's."
    )
