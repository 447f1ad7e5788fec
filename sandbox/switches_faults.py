"""The switches of chance: how often which mishap befalls calls and notices in a long run, repeatable by a seed."""

from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator


class FaultSwitches(BaseModel):
    """A part of `sandbox.switches.Switches`."""

    cut_rate: float = Field(
        0, ge=0, le=1, description="Share of API calls that are executed and then lose their connection, at random."
    )
    error_rate: float = Field(
        0, ge=0, le=1, description="Share of API calls answered 500, half of them executed, at random."
    )
    throttle_rate: float = Field(0, ge=0, le=1, description="Share of API calls answered 429, none of them executed.")
    slow_rate: float = Field(
        0, ge=0, le=1, description="Share of API calls answered late; half of them are executed only after the wait."
    )
    drip_rate: float = Field(
        0, ge=0, le=1, description="Share of API calls answered byte by byte, half of them from the headers on."
    )
    slow_seconds: float = Field(15, ge=0, description="How late a slow answer is.")
    drip_interval_seconds: float = Field(0.05, ge=0, description="The pause between two bytes that drip.")
    retry_after_seconds: int | None = Field(
        None, ge=0, description="The header Retry-After of a random 429; null for none."
    )
    random_faults_on: list[Literal["money", "queries"]] = Field(
        ["money", "queries"],
        description="Which API calls random mishaps befall: those that change something, and those that only look.",
    )
    notice_drop_rate: float = Field(0, ge=0, le=1, description="Share of notices that are never delivered, any copy.")
    notice_duplicate_rate: float = Field(0, ge=0, le=1, description="Share of notices delivered two or three times.")
    notice_reorder_rate: float = Field(
        0, ge=0, le=1, description="Share of notices held back until the next one has left, for 1 s at most."
    )
    random_seed: int = Field(1, description="Seed of every random choice above; setting any switch starts it anew.")

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        calls = self.cut_rate + self.error_rate + self.throttle_rate + self.slow_rate + self.drip_rate
        notices = self.notice_drop_rate + self.notice_duplicate_rate + self.notice_reorder_rate
        if max(calls, notices) > 1 + 1e-9:
            raise ValueError("the rates of calls, and those of notices, add up to at most 1")
        return self
