"""What a hosted page is while payers are on it."""

from dataclasses import dataclass

from sandbox.cards import CardEntry


@dataclass
class Page:
    """A hosted page.

    Attributes:
        page_id: The end of its address.
        tran_ref: Its transaction.
        closed: Whether it was ended from outside (expired at the desk, invoice cancelled).
        awaiting_three_ds: The card that waits for the 3-D Secure step.
        entry: The card it is for, where the payer need not type it.
    """

    page_id: str
    tran_ref: str
    closed: bool = False
    awaiting_three_ds: CardEntry | None = None
    entry: CardEntry | None = None
