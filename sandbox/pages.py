"""What a hosted page is while payers are on it, and when it ends.

A page lives for `paypage_ttl` whole minutes, 20 where nothing was asked, an invoice's no longer than the invoice. From
its end on the link is dead: it says so, and nobody can begin to pay. Whoever is in the middle of it may finish for a
while (`Page.last_moment`):

- in the bank's step (3-D Secure), `page_finish_seconds` long;
- with a form that was loaded before the end, equally long, unless the switch `page_finish` is `three_ds`;
- away at another method than a card (`stcpay`, `tabby`, ...), `method_finish_seconds` long;
- with the switch `page_finish` at `none`, nobody.

After that the page is dead for good. A voucher, which is a result, outlives its page.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sandbox.cards import CardEntry
from sandbox.errors import GatewayRefusal
from sandbox.switches import Switches

#: How long a page lives where the request says nothing, in minutes.
DEFAULT_MINUTES = 20


@dataclass
class Page:
    """A hosted page.

    Attributes:
        page_id: The end of its address.
        tran_ref: Its transaction.
        opened_at: When it was made, by the clock of ages.
        ends_at: From when on its link is dead, by the same.
        visited_at: When a payer first loaded it while it lived.
        closed: Whether it was ended from outside (expired at the desk, invoice cancelled).
        awaiting_three_ds: The card that waits for the 3-D Secure step.
        entry: The card it is for, where the payer need not type it.
        method: The method other than a card at which its payer is.
        keeps_card: Whether its payer lets the card be stored, where that is asked (`show_save_card`).
        amount: What its payer chose to give, where that was left to them.
        is_told: Whether its death was told.
    """

    page_id: str
    tran_ref: str
    opened_at: datetime
    ends_at: datetime
    visited_at: datetime | None = None
    closed: bool = False
    awaiting_three_ds: CardEntry | None = None
    entry: CardEntry | None = None
    method: str | None = None
    keeps_card: bool = True
    amount: Decimal | None = None
    is_told: bool = False

    def last_moment(self, switches: Switches) -> datetime:
        """Tell until when somebody who is in the middle of it may finish; its end where nobody is."""
        if switches.page_finish == "none":
            return self.ends_at
        if self.method is not None:
            return self.ends_at + timedelta(seconds=switches.method_finish_seconds)
        is_begun = switches.page_finish == "opened" and self.visited_at is not None
        if is_begun or self.awaiting_three_ds is not None:
            return self.ends_at + timedelta(seconds=switches.page_finish_seconds)
        return self.ends_at

    def age(self, by: timedelta) -> None:
        """Let time pass for this page alone."""
        self.opened_at -= by
        self.ends_at -= by
        self.visited_at = self.visited_at and self.visited_at - by


def read_life(members: Mapping[str, Any]) -> timedelta:
    """Read how long a page shall live.

    Args:
        members: The request; `paypage_ttl` is in whole minutes.

    Raises:
        GatewayRefusal: Code 2 when it is no whole number of minutes from 1 on.
    """
    given = members.get("paypage_ttl", DEFAULT_MINUTES)
    is_number = isinstance(given, int | str) and not isinstance(given, bool)
    text = str(given)
    if not is_number or not re.fullmatch("0*[1-9][0-9]{0,5}", text, re.ASCII):
        raise GatewayRefusal(2, "Invalid paypage_ttl: whole minutes, at least 1")
    return timedelta(minutes=int(text))


def asks_to_keep(request: Mapping[str, Any]) -> bool:
    """Tell whether a page asks its payer if the card may be stored; otherwise `tokenise` and register just do it."""
    wishes = {**request, **(request.get("token_info") or {})}
    may_choose = "tokenise" in wishes and str(request.get("tran_type")).lower() != "register"
    return may_choose and request.get("show_save_card") in (True, "true", 1, "1")
