"""Cases for a human: what they are, and the task that would settle one, where there is one.

A case is a payment and a reason; its id is made from both, so that it is the same for everybody who looks.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from payments.assessment import Assessment
from payments.facts import ReviewRaised
from payments.legs import Leg
from payments.operations import Operation, Status
from payments.payment import LIVE, Payment, State
from payments.reasons import Reason, ReasonCode
from payments.reasons_before import sentences_before

#: How many hexadecimal digits a case's id has: few enough to be typed.
CASE_ID_LENGTH = 8

#: A reference of PayTabs' as subject of a reason, or at the beginning of its evidence.
_LEADING_REF = re.compile(r"([A-Z]{3}[A-Z0-9]{1,61})(?::| |$)")


@dataclass(frozen=True)
class Case:
    """One reason why a human is needed.

    Attributes:
        payment_id: Whose.
        reason: What is the matter.
        evidence: What was claimed, where the reason is a claim.
        operation_id: The operation that stays open until a human ends it, where the case is about one.
        proposal: A task and its arguments that would settle it, if one would.
    """

    payment_id: str
    reason: Reason
    evidence: tuple[str, ...]
    operation_id: str | None = None
    proposal: Mapping[str, Any] | None = None

    @property
    def case_id(self) -> str:
        """Return its id: of the same payment and reason always the same, in every version."""
        return self._digest(self.reason.key)

    def answers_to(self, beginning: str) -> bool:
        """Tell whether its id begins so, or one that an earlier version gave it."""
        earlier = sentences_before(self.reason.code, self.reason.subject, self.reason.params)
        return any(one.startswith(beginning) for one in (self.case_id, *map(self._digest, earlier)))

    @property
    def tran_ref(self) -> str | None:
        """Return the transaction that the case is about, where it names one."""
        named = (_LEADING_REF.match(text) for text in (self.reason.subject, *self.evidence))
        return next((found[1] for found in named if found), None)

    def _digest(self, key: str) -> str:
        return hashlib.sha256(f"{self.payment_id}\n{key}".encode()).hexdigest()[:CASE_ID_LENGTH]


def cases(payment_id: str, payment: Payment, verdict: Assessment, rows: Iterable[Operation]) -> list[Case]:
    """Return the open cases of a payment, each with its evidence.

    Args:
        payment_id: 24 hexadecimal digits.
        payment: what is known of it.
        verdict: its assessment.
        rows: its operations.
    """
    stuck = {in_doubt(row): row.operation_id for row in rows if row.open and row.status is Status.REVIEW}
    return [
        Case(
            payment_id=payment_id,
            reason=reason,
            evidence=tuple(_evidence(claim) for claim in payment.open_claims if claim.case == reason),
            operation_id=stuck.get(reason),
            proposal=_give_back_one(payment_id, verdict) if reason.code == ReasonCode.PAID_TWICE else None,
        )
        for reason in dict.fromkeys((*verdict.review, *stuck))
    ]


def in_doubt(row: Operation) -> Reason:
    """Return the reason for which a human is called over an operation of which nothing was found."""
    return Reason(ReasonCode.NOTHING_FOUND, row.operation_id, (row.kind,))


def _evidence(claim: ReviewRaised) -> str:
    return f"{claim.evidence} (delivery {claim.delivery_id})" if claim.delivery_id else claim.evidence


def _give_back_one(payment_id: str, verdict: Assessment) -> dict[str, Any] | None:
    """Propose to give back the attempt that is too many: one that was set aside, else the last."""
    live = sorted((leg for leg in verdict.legs if leg.state in LIVE), key=lambda leg: leg.overridden or leg.ended)
    return _give_back(payment_id, live[-1]) if len(live) > 1 else None


def _give_back(payment_id: str, leg: Leg) -> dict[str, Any] | None:
    """Return what gives a leg's money back; None where only PayTabs' dashboard can, or several steps are needed."""
    if leg.refundable:
        tran_ref, left = leg.refundable[0]
        return _proposal("payments.refund", payment_id, tran_ref, f"{left:f}")
    if leg.state is State.AUTHORISED and leg.tran_ref:
        return _proposal("payments.release", payment_id, leg.tran_ref, f"{leg.remaining:f}")
    return None


def _proposal(task: str, payment_id: str, tran_ref: str, amount: str) -> dict[str, Any]:
    return {"task": task, "arguments": {"payment_id": payment_id, "tran_ref": tran_ref, "amount": amount}}
