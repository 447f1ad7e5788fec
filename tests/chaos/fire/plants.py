"""The mismatches that a run plants: each must end as one case for a human, and be applied to nothing.

All notices here are signed with the right key: as if the key had leaked, or another system shared the profile.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.fire.stories import Story

Steps = Iterator[None]

#: How often something is told again of which no trace is seen, in seconds: PayTabs delivers up to six times.
TOLD_AGAIN_SECONDS = 30.0


def tell(story: "Story", **changes: Any) -> Steps:
    """Tell something wrong of the payment's last transaction, until a case stands."""
    told_at = 0.0
    while not story.board.review(story.payment):
        if time.monotonic() - told_at > TOLD_AGAIN_SECONDS:
            told_at = time.monotonic()
            body = str(story.sandbox.notify(story.refs[-1], **changes)["body"]).encode()
        story.waits_for = f"a case about {changes}"
        story.people.hours.pass_for_delivery(hashlib.sha256(body).hexdigest())
        yield


def lie(story: "Story") -> Steps:
    """Tell of an open page that it was paid; no query will ever say so."""
    whole = str(story.plan.part(10))
    yield from tell(story, response_status="A", response_code="G12345", tran_total=whole, cart_amount=whole)


def amount(story: "Story") -> Steps:
    """Tell another amount than was asked."""
    less = str(story.plan.part(9))
    yield from tell(story, cart_amount=less, tran_total=less)


def old_page(story: "Story") -> Steps:
    """Have the payer pay the page that was declined after all, though a later one is paid."""
    story.sandbox.pay(story.refs[0], "authorised")
    story.refs.append(story.refs[0])
    yield from tell(story)


#: How each mismatch is planted, by the shape's name for it.
PLANTS: Mapping[str, Callable[["Story"], Steps]] = MappingProxyType(
    {
        "amount": amount,
        "currency": partial(tell, cart_currency="USD", tran_currency="USD"),
        "profile": partial(tell, profile_id=111_111),
        "cart": partial(tell, cart_id="somebody-elses-cart"),
        "lie": lie,
        "old_page": old_page,
    }
)
