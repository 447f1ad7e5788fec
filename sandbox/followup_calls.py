"""Follow-ups by API: how one is asked for, and how a broken rule is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox.announcer import Announcer
from sandbox.creation import read_common
from sandbox.errors import GatewayRefusal, RuleBroken
from sandbox.holds import Holds
from sandbox.identifiers import Mint
from sandbox.ledger import Ledger
from sandbox.refunds import Refunds
from sandbox.successors import OTHER_CURRENCY, UNKNOWN, UNSUPPORTED, FollowUp, demand
from sandbox.switchboard import SwitchBoard
from sandbox.transactions import Transaction, plugin_of

#: `paymentChannel` of what is asked by API.
BY_API = "Transaction API"


@dataclass(frozen=True)
class Request:
    """A request for a follow-up whose form is good.

    Attributes:
        kind: Lower case.
        tran_ref: The transaction to act upon, which may not exist.
        amount: The amount.
        members: The request without its empty members.
    """

    kind: str
    tran_ref: str
    amount: Decimal
    members: Mapping[str, Any]


class FollowUpCalls:
    """Carries out the follow-ups that a merchant's server asks for."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        mint: Mint,
        holds: Holds,
        refunds: Refunds,
        announcer: Announcer,
        switches: SwitchBoard,
        clock: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._mint = mint
        self._announcer = announcer
        self._switches = switches
        self._clock = clock
        self._acts: dict[str, Callable[[FollowUp], Transaction]] = {
            "capture": holds.capture,
            "release": holds.release,
            "void": holds.void,
            "refund": refunds.refund,
        }

    def carry_out(self, raw: Mapping[str, Any]) -> Transaction:
        """Carry out a follow-up and notify it.

        Args:
            raw: The JSON members.

        Returns:
            The new transaction, of status E where a rule was broken.

        Raises:
            GatewayRefusal: When the request is malformed, or a rule was broken and the switch wants an envelope.
        """
        members, amount = read_common(raw, self._switches.now.url_rules)
        if "paypage_ttl" in members:
            raise GatewayRefusal(2, "paypage_ttl is for hosted pages and invoices only")
        if not isinstance(members.get("tran_ref"), str):
            raise GatewayRefusal(2, "Invalid tran_ref")
        request = Request(str(members["tran_type"]).lower(), members["tran_ref"], amount, members)
        with self._ledger.lock:
            try:
                done = self._act(request)
            except RuleBroken as broken:
                done = self._refused(request, broken)
            if done.status != "E" or self._switches.now.refused_followup_notices:
                self._announcer.announce(done)
            return done

    def _act(self, request: Request) -> Transaction:
        demand(self._ledger.knows(request.tran_ref), UNKNOWN, "Previous transaction not found")
        demand(request.kind in self._acts, UNSUPPORTED, f"{request.kind} is not supported")
        target = self._ledger.get(request.tran_ref)
        same = target.currency == request.members["cart_currency"]
        demand(same, OTHER_CURRENCY, f"The currency of the previous transaction is {target.currency}")
        order = FollowUp(target, request.amount, request.members["cart_id"], request.members, BY_API)
        return self._acts[request.kind](order)

    def _refused(self, request: Request, broken: RuleBroken) -> Transaction:
        if self._switches.now.followup_refusals == "envelope":
            is_currency = broken.code == OTHER_CURRENCY
            raise GatewayRefusal(206, broken.message, 400) if is_currency else GatewayRefusal(2, broken.message)
        target = self._ledger.get(request.tran_ref) if self._ledger.knows(request.tran_ref) else None
        customer = target.request.get("customer_details") if target else None
        return self._ledger.open(
            Transaction(
                tran_ref=self._mint.tran_ref(),
                previous_tran_ref=request.tran_ref,
                tran_type=request.kind.capitalize(),
                cart_id=request.members["cart_id"],
                currency=request.members["cart_currency"],
                cart_amount=request.amount,
                tran_total=request.amount,
                at=self._clock(),
                request={"customer_details": customer, **request.members},
                payment_info=target.payment_info if target else {},
                channel=plugin_of(request.members) or BY_API,
                status="E",
                code=broken.code,
                message=broken.message,
            )
        )
