"""What the receiver needs from the rest of the system, and how it hands work over without ever failing for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

import structlog

from observability.metrics import PUBLISH_FAILURES
from payments.inbox import Inbox
from webhooks.budget import FailureBudget
from webhooks.proxies import Network
from webhooks.tls import TlsPolicy

log = structlog.get_logger(__name__)

#: The task that works a delivery off, and the one that asks PayTabs about a payment.
PROCESS_TASK, VERIFY_TASK = "webhooks.process", "payments.verify"


class Returned(Protocol):
    """What is known of the page that a payer comes back from: whose it was, who asked for it, and its own address."""

    @property
    def payment_id(self) -> str:
        """Return the payment's id."""

    @property
    def return_url(self) -> str | None:
        """Return the page's own address, if its caller gave one."""

    @property
    def correlation_id(self) -> str:
        """Return the id under which the page was asked for."""


def nobody_known(tran_ref: str, cart_id: str | None) -> Returned | None:
    """Know nothing of any page."""
    del tran_ref, cart_id
    return None


@dataclass(frozen=True)
class Receiver:
    """The receiver's surroundings, each replaceable.

    Attributes:
        inbox: Where verified deliveries are kept.
        keys: The current server key and, during a rotation, the previous one.
        problem_in: Says why a signed body is no notification, or None when it is one.
        enqueue: Hands a delivery over: delivery id, correlation id.
        request_verify: Asks for a query: tran_ref, correlation id.
        database_answers: Says whether the database answers now.
        budget: What is charged with each failed signature.
        allowed_urls: Where a payer may be sent whose page has no address of its own; the first is the default.
        returned: Says from which page a payer comes, by the signed reference and cart; None when that is not known.
        trusted_proxies: Whose word about addresses and TLS is taken; nobody's by default.
        tls: What is asked of a connection.
        not_stored: Told of an error for which a delivery could not be stored.
    """

    inbox: Inbox
    keys: Sequence[str]
    problem_in: Callable[[bytes], str | None]
    enqueue: Callable[[str, str], None]
    request_verify: Callable[[str, str], None]
    database_answers: Callable[[], bool]
    budget: FailureBudget
    allowed_urls: Sequence[str] = ()
    returned: Callable[[str, str | None], Returned | None] = nobody_known
    trusted_proxies: Sequence[Network] = ()
    tls: TlsPolicy = field(default_factory=TlsPolicy)
    not_stored: Callable[[Exception], None] = lambda _error: None


def new_correlation_id() -> str:
    """Return the id under which everything that follows from one request is found."""
    return uuid4().hex


def hand_over(task: str, send: Callable[[str, str], None], subject: str, correlation_id: str) -> bool:
    """Send a task, or log and count that it could not be sent: a sweep does it then.

    Returns:
        Whether it was sent.
    """
    try:
        send(subject, correlation_id)
    except Exception as error:  # noqa: BLE001 - the answer must not depend on the broker, whatever its client raises
        reason = type(error).__name__
        PUBLISH_FAILURES.labels(task=task, reason=reason).inc()
        log.warning("task_not_sent", task=task, subject=subject, correlation_id=correlation_id, reason=reason)
        return False
    return True
