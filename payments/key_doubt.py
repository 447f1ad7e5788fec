"""Whether a request was refused for its key or for itself: one harmless question tells, before anything is stopped.

PayTabs answers code 1 to a wrong key, and to a request in a currency that the profile does not have. A look-up has no
such terms. So what it is answered is about the key; and while the key was in trouble, or nobody answers, nothing is
concluded: the send waits and is made again. Nor is it after the first send: the key may have been mended in between.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum

from payments.events import Context
from payments.gateway import Gateway
from payments.operations import OperationsLedger
from payments.payment import Payment
from payments.reconcile import is_conclusive
from paytabs.breaker_gate import PROBE_CART_ID
from paytabs.breaker_verdict import names_wrong_settings
from paytabs.responses import Answer


class Fault(StrEnum):
    """What was wrong with a request that was refused for its key."""

    KEY = "key"
    REQUEST = "request"
    UNDECIDED = "undecided"


def never(moment: datetime) -> bool:
    """Say that the key was never refused."""
    del moment
    return False


class KeyDoubt:
    """Asks the question.

    Args:
        ledger: Knows transactions that may be asked about.
        gateway: Is asked; a refused key stops it for everybody.
        refused_since: Tells whether the key was refused, by whichever question, since a moment.
    """

    def __init__(
        self, ledger: OperationsLedger, gateway: Gateway, refused_since: Callable[[datetime], bool] = never
    ) -> None:
        self._ledger, self._gateway, self._refused_since = ledger, gateway, refused_since

    def fault(self, payment: Payment, sent_at: datetime, context: Context) -> Fault:
        """Tell what was wrong with a request.

        Args:
            payment: whose it was.
            sent_at: when it was sent.
            context: who asks.
        """
        answer = self._ask(payment, context)
        if names_wrong_settings(answer):
            return Fault.KEY
        if not is_conclusive(answer) or self._refused_since(sent_at):
            return Fault.UNDECIDED
        return Fault.REQUEST

    def _ask(self, payment: Payment, context: Context) -> Answer:
        """Ask about a transaction that PayTabs made for us, or about no transaction where there is none yet."""
        known = _known(payment) or self._ledger.latest_tran_ref()
        if known:
            return self._gateway.query_tran(known, correlation_id=context.correlation_id)
        return self._gateway.query_cart(PROBE_CART_ID, correlation_id=context.correlation_id)


def _known(payment: Payment) -> str | None:
    return next((one.tran_ref for one in reversed(payment.attempts) if one.tran_ref), None)
