"""The mismatches that a run plants: each is applied to nothing, and but for one ends as one case for a human.

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


def profile(story: "Story") -> Steps:
    """Tell of the payment's last transaction as another profile's: it is kept as rejected, and nobody is called."""
    inbox, told_at, told = story.people.stage.database["webhook_inbox"], 0.0, ""
    story.waits_for = "a notice of another profile to be refused"
    while not (told and inbox.find_one({"_id": told, "status": "rejected"})):
        if time.monotonic() - told_at > TOLD_AGAIN_SECONDS:
            told_at = time.monotonic()
            body = str(story.sandbox.notify(story.refs[-1], profile_id=111_111)["body"]).encode()
            told = hashlib.sha256(body).hexdigest()
            story.people.refused.add(told)
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
        "profile": profile,
        "cart": partial(tell, cart_id="somebody-elses-cart"),
        "lie": lie,
        "old_page": old_page,
    }
)
