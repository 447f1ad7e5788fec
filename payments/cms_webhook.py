"""Telling the CMS what has become of a payment: a webhook signed by the Standard Webhooks scheme.

Its id is the event's and never changes, so that the CMS can tell a repetition from news. 410 means that the CMS does
not want this one any more; everything else but 2xx is tried again.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests
from standardwebhooks import Webhook

from payments.assessment import assess
from payments.declines import decline_of
from payments.errors import NeverAgain, NotDelivered
from payments.events import Event, timestamp
from payments.facts import Milestone
from payments.paid_with import card_of
from payments.payment import State
from payments.reactions import Occasion
from payments.server_clock import own_time
from payments.store import Clock
from payments.stored_cards import CardStore
from paytabs.headers import retry_after_seconds

#: Seconds to connect to the CMS, and for each pause within its answer.
TIMEOUT_SECONDS = (3.0, 10.0)

#: What the type of a webhook says where status or sums have changed and no milestone was reached.
CHANGED = "changed"

#: The sums that a webhook tells.
SUMS = ("authorised", "captured", "released", "refunded", "refund_pending")

_OK, _REDIRECTS, _GONE = 200, 300, 410


@dataclass(frozen=True)
class NotifyCms:
    """Posts the webhook; without an address there is none.

    Attributes:
        url: Where the CMS takes webhooks.
        secret: The shared secret, base64, with or without `whsec_` before it.
        cards: Tells of the stored card that a payment is about.
        clock: Tells the time that the signature covers: who takes webhooks refuses one of another time.
    """

    url: str | None
    secret: str
    cards: CardStore
    clock: Clock = own_time

    def __call__(self, occasion: Occasion) -> str | None:
        """Post what has happened.

        Raises:
            NeverAgain: the CMS says that it is gone.
            NotDelivered: the CMS did not take it; later it may.
        """
        if self.url is None:
            return "no webhook of the CMS is set"
        body = json.dumps(payload(occasion, self.cards), separators=(",", ":"), ensure_ascii=False)
        headers = signed_headers(webhook_id(occasion), body, self.secret, self.clock())
        try:
            answer = requests.post(
                self.url,
                data=body.encode(),
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                stream=True,
            )
            answer.close()
        except requests.RequestException as error:
            raise NotDelivered(f"the CMS: {type(error).__name__}") from error
        if answer.status_code == _GONE:
            raise NeverAgain("the CMS answers 410: it does not want this webhook any more")
        if not _OK <= answer.status_code < _REDIRECTS:
            wait = retry_after_seconds(answer.headers.get("Retry-After"), answer.headers.get("Date"))
            raise NotDelivered(f"the CMS answers {answer.status_code}", wait)
        return None


def webhook_id(occasion: Occasion) -> str:
    """Return the id under which every copy of this webhook is sent."""
    return f"evt_{occasion.event.event_id}"


def payload(occasion: Occasion, cards: CardStore) -> dict[str, Any]:
    """Return the webhook's body: what happened, and how the payment stood then; nothing about people.

    A copy that comes late tells the same as the first one did, byte for byte.
    """
    event, then = occasion.event, occasion.at_event
    verdict, terms = assess(then), then.snapshot
    card_id = card_of(then, verdict)
    card = cards.shown([card_id]).get(card_id or "")
    return {
        "type": f"payment.{_kind(event) if isinstance(event.fact, Milestone) else CHANGED}",
        "timestamp": timestamp(event.recorded_at),
        "data": {
            "payment_id": event.payment_id, "version": event.version, "state": verdict.state,
            "status": verdict.cms_status, "amount": str(terms.amount) if terms else None,
            "currency": terms.currency if terms else None, "tran_ref": verdict.tran_ref,
            **{name: str(getattr(verdict, name)) for name in SUMS},
            "contract_id": terms.contract_id if terms else None, "correlation_id": event.context.correlation_id,
            "decline": decline_of(occasion.at_event, verdict),
            **({"card": card} if card else {}),
        },
    }  # fmt: skip


def signed_headers(message_id: str, body: str, secret: str, now: datetime) -> dict[str, str]:
    """Return the scheme's three headers and the content type."""
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body),
    }


def _kind(event: Event) -> str:
    """Say what has happened: a card that was registered has the type of what is freed, and a state of its own."""
    data: dict[str, Any] = event.fact.to_data()
    return "registered" if data["state"] == State.REGISTERED else _dotted(event.type)


def _dotted(event_type: str) -> str:
    """Write `PaymentPartRefunded` as `part_refunded`."""
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in event_type)
    return words.removeprefix("_payment_")
