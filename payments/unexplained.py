"""Tells operators of refusals of money that nobody understands, and takes it back once none of them is open any more.

PayTabs answered a charge, a capture or a refund with a code that is not listed, or under a status that it does not
refuse with. Nothing is sent again for it, and only a query or a human tells what happened.
"""

from dataclasses import dataclass

from payments.operations import Operation, OperationsLedger
from payments.projections import RaiseAlert, ResolveAlert
from payments.requesting import PAGE_KINDS
from paytabs.responses import Answer

#: The alert; there is one per kind of operation, however many operations and codes there are.
ALERT = "gateway_refusal_unexplained"

#: PayTabs recognised an earlier copy: that is understood.
_DUPLICATE = 4


@dataclass(frozen=True)
class Unexplained:
    """Raises and closes the alert."""

    ledger: OperationsLedger
    alert: RaiseAlert
    resolve: ResolveAlert

    def tell(self, row: Operation, answer: Answer) -> None:
        """Tell of an answer that was booked as unknown; pages are found out about without anybody's help."""
        if row.kind in PAGE_KINDS or answer.error_code == _DUPLICATE or answer.error_code is None:
            return
        detail = (
            f"{row.kind} {row.operation_id} of payment {row.payment_id} was answered code {answer.error_code} "
            f"(HTTP {answer.http_status}, trace {answer.trace}): {answer.message}"
        )
        self.ledger.note_unexplained(row, answer.error_code)
        others = [one for one in self.ledger.unexplained(row.kind) if one != row.operation_id]
        self.alert(ALERT, row.kind, f"{detail}; also in doubt: {', '.join(others)}" if others else detail)

    def take_back(self, open_kinds: list[str]) -> None:
        """Close the alert for each kind of which no such operation is in doubt any more.

        Args:
            open_kinds: the kinds for which the alert is open.
        """
        for kind in open_kinds:
            if not self.ledger.unexplained(kind):
                self.resolve(ALERT, kind)
