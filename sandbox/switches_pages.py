"""The switches of a page's end: who may finish after it, what a query then says, and whether anybody is told."""

from typing import Literal

from pydantic import BaseModel, Field


class PageSwitches(BaseModel):
    """A part of `sandbox.switches.Switches`."""

    query_dead_page: Literal["expired", "code_113", "code_2", "pending"] = Field(
        "expired",
        description="Query by tran_ref of a page that died unpaid: X with code 355, an error of code 113 or 2, or "
        "still P with code 600. By cart_id only the X is an entry.",
    )
    query_dead_page_at_once: bool = Field(
        default=False,
        description="Whether queries speak of a page as dead from its end on, though somebody in the middle of it may "
        "still finish.",
    )
    page_finish: Literal["opened", "three_ds", "none"] = Field(
        "opened",
        description="Who may finish after a page's end: whoever had loaded it before or stands in the 3-D Secure "
        "step, only the latter, or nobody.",
    )
    page_finish_seconds: float = Field(600, ge=0, le=1e7, description="For how long they may.")
    method_finish_seconds: float = Field(
        10_800, ge=0, le=1e7, description="For how long one may who is away at another method than a card."
    )
    dead_page_notices: bool = Field(
        default=False, description="Whether the death of an unpaid page is notified, as X with code 355."
    )
    not_found_code: Literal[2, 113] = Field(
        2, description="The code of a look-up that finds nothing: of a transaction, a token or an invoice."
    )
