#!/usr/bin/env python3
"""Adds histories to the golden file, and changes none that is there: they are what programs of the past have stored.

Whoever adds a fact or a schema version tells a story with it below, under a name of its own, and runs this once.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bson import json_util

sys.path.insert(0, str(Path(__file__).parents[4]))

from payments.assessment import Assessment, assess
from payments.events import Context, Event, seal
from payments.facts import (
    PAGE_ENDED,
    AttemptNotSent,
    AttemptRefused,
    AttemptStarted,
    CartRetired,
    Fact,
    FollowUpStarted,
    InvoiceOpened,
    Milestone,
    OutcomeUnknown,
    PageOpened,
    PageOverridden,
    PaymentAdopted,
    PaymentAmended,
    PaymentCreated,
    PaymentSettledOutside,
    PaymentVoided,
    ReviewRaised,
    ReviewSettled,
    TransactionObserved,
)
from payments.milestones import milestone
from payments.payment import fold
from payments.reason_kinds import members
from payments.reasons import Reason, ReasonCode

Document = dict[str, Any]

#: What one change of a payment recorded, change by change.
Story = list[list[Fact]]

FILE = Path(__file__).with_name("histories.json")
TIMES = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, tz_aware=True, tzinfo=UTC)

CREATED = PaymentCreated(
    amount="115.00", currency="SAR", profile_id=987654,
    client_id="64a000000000000000000001", contract_id="64c000000000000000000001",
)  # fmt: skip


def started(number: int, transaction: str = "sale", amount: str = "115.00", currency: str = "SAR") -> AttemptStarted:
    """Tell that an attempt is about to be sent."""
    return AttemptStarted(
        operation_id=f"op-{number}", cart_id=f"nw-{number}", transaction=transaction, amount=amount, currency=currency
    )


def opened(number: int) -> PageOpened:
    """Tell that its page was opened."""
    return PageOpened(operation_id=f"op-{number}", cart_id=f"nw-{number}", tran_ref=f"TST26{number:010d}")


def page(number: int = 1, transaction: str = "sale") -> Story:
    """Tell how a payment is given a page."""
    return [[CREATED], [started(number, transaction)], [opened(number)]]


def seen(number: int, status: str, kind: str = "sale", amount: str = "115.00", **more: Any) -> TransactionObserved:
    """Tell what PayTabs said of a transaction."""
    known: Document = {
        "tran_ref": f"TST26{number:010d}", "tran_type": kind, "status": status, "amount": amount, "currency": "SAR",
        "code": "G12345", "cart_id": f"nw-{number}", "profile_id": 987654, "occurred_at": "2026-08-06T10:15:30.000Z",
    }  # fmt: skip
    return TransactionObserved(**(known | more))


def followed(number: int, action: str, amount: str) -> Story:
    """Tell of a follow-up upon the first transaction that PayTabs carried out."""
    send = FollowUpStarted(
        operation_id=f"op-{number}", cart_id=f"nw-{number}", action=action, tran_ref="TST260000000001",
        amount=amount, currency="SAR",
    )  # fmt: skip
    on = {"previous_tran_ref": "TST260000000001", "original_tran_type": "sale"}
    return [[send], [seen(number, "A", action, amount, **on)]]


def ended(number: int, why: str) -> CartRetired:
    """Tell that its page had ended."""
    named = {"operation_id": f"op-{number}", "cart_id": f"nw-{number}", "tran_ref": f"TST26{number:010d}"}
    return CartRetired(**named, reason=PAGE_ENDED, why=why)


DOUBT = members(Reason(ReasonCode.NOTICE_AMOUNT))
CHANGED = members(Reason(ReasonCode.CMS_STATUS_CHANGED, "status", ("paid",)))
SEEN = "status paid where we had written failed; seen 2026-08-06T10:15:30.123Z"
NOTHING = members(Reason(ReasonCode.NOTHING_FOUND, "op-2", ("refund",)))
NOT_TAKEN = members(Reason(ReasonCode.ANSWER_NOT_TAKEN, "nw-2", ("cart_amount",)))
STORIES: dict[str, Story] = {
    "paid, then refunded in two parts": [
        *page(), [seen(1, "A")], *followed(2, "refund", "15.00"), *followed(3, "refund", "100.00"),
    ],
    "a page set aside, then another one paid": [
        *page(),
        [PageOverridden(operation_id="op-1", by="omar", note="lost", cart_id="nw-1", tran_ref="TST260000000001")],
        [started(2)], [opened(2)], [seen(2, "A")],
    ],
    "authorised, captured in two parts": [
        *page(1, "auth"), [seen(1, "A", "auth")], *followed(2, "capture", "15.00"), *followed(3, "capture", "100.00"),
    ],
    "authorised, then voided": [*page(1, "auth"), [seen(1, "A", "auth")], *followed(2, "void", "115.00")],
    "held by risk screening": [*page(), [seen(1, "H")]],
    "paid offline, never": [*page(), [seen(1, "P")], [seen(1, "X")]],
    "declined, cancelled, amended, paid": [
        *page(), [seen(1, "D", code="316")],
        [started(2)], [opened(2)], [seen(2, "C", code="321")],
        [PaymentAmended(amount="120.50", currency="SAR")],
        [started(3, amount="120.50")], [opened(3)], [seen(3, "A", amount="120.50")],
    ],
    "not sent, refused, then a page": [
        [CREATED], [started(1)], [AttemptNotSent(operation_id="op-1", cart_id="nw-1", detail="connect_failed")],
        [started(2)], [AttemptRefused(operation_id="op-2", cart_id="nw-2", code=1, detail="code_1")],
        [started(3)], [opened(3)],
    ],
    "refused, and in doubt, with PayTabs' own words": [
        [CREATED], [started(1)],
        [AttemptRefused(operation_id="op-1", cart_id="nw-1", code=240, detail="unlisted_code",
                        message="Currency not available", trace="PMNT0402.6A745EC2.000668D2")],
        [started(2)],
        [OutcomeUnknown(operation_id="op-2", cart_id="nw-2", detail="unlisted_code", code=777,
                        message="العملة غير متاحة", trace="PMNT0402.6A745EC2.000668D3")],
        [CartRetired(operation_id="op-2", cart_id="nw-2", reason="answer_not_taken"),
         ReviewRaised(**NOT_TAKEN, evidence="create_page op-2, trace PMNT0402.6A745EC2.000668D3")],
    ],
    "nobody knows, before error codes were kept": [
        [CREATED], [started(1)], [OutcomeUnknown(operation_id="op-1", cart_id="nw-1", detail="worker_lost")],
        [CartRetired(operation_id="op-1", cart_id="nw-1", reason="nothing_found")],
        [started(2)], [opened(2)], [seen(2, "A")],
    ],
    "nobody knows, with an error code; found by its cart": [
        [CREATED], [started(1)],
        [OutcomeUnknown(operation_id="op-1", cart_id="nw-1", detail="unlisted_code", code=4711)], [seen(1, "A")],
    ],
    "billed by invoice": [
        [CREATED], [started(1)], [InvoiceOpened(operation_id="op-1", cart_id="nw-1", invoice_id=2710001)],
        [seen(1, "A")],
    ],
    "begun by the CMS's old code": [
        [
            PaymentAdopted(
                amount="99.950", currency="KWD", profile_id=987654, tran_ref="TST260000000001", operation_id="adopt-1",
                client_id="64a000000000000000000001", contract_id="64c000000000000000000001",
            ),
            seen(1, "A", amount="99.950", currency="KWD", cart_id="old-4711"),
        ],
    ],
    "doubted and settled": [
        *page(), [ReviewRaised(**DOUBT, evidence="TST260000000001 sale A", delivery_id="ab" * 32)],
        [ReviewSettled(**DOUBT, note="checked in the dashboard: طلب قديم", by="employee/7")], [seen(1, "A")],
    ],
    "an operation in doubt, declared not to have happened": [
        *page(), [seen(1, "A")],
        *followed(2, "refund", "15.00")[:1],
        [OutcomeUnknown(operation_id="op-2", cart_id="nw-2", detail="timeout")],
        [ReviewSettled(**NOTHING, note="", by="omar", operation_id="op-2")],
    ],
    "failed at the bank, of nobody's contract": [
        [PaymentCreated(amount="1500", currency="JPY", profile_id=987654)], [started(1, amount="1500", currency="JPY")],
        [opened(1)], [TransactionObserved(tran_ref="TST260000000001", tran_type="sale", status="E", code="400")],
    ],
    "paid twice": [*page(), [seen(1, "X")], [started(2)], [opened(2)], [seen(2, "A"), seen(1, "A")]],
    "doubted and settled, by code": [
        *page(), [ReviewRaised(**DOUBT, evidence="TST260000000001 sale A", delivery_id="ab" * 32)],
        [ReviewSettled(**DOUBT, note="checked in the dashboard", by="employee/7")], [seen(1, "A")],
    ],
    "doubted, by code": [
        *page(), [ReviewRaised(**DOUBT, evidence="TST260000000001 sale A", delivery_id="ab" * 32)],
        [seen(1, "P", code="600")],
    ],
    "paid twice, settled by code": [
        *page(), [seen(1, "X")], [started(2)], [opened(2)], [seen(2, "A"), seen(1, "A")],
        [ReviewSettled(**members(Reason(
            ReasonCode.PAID_TWICE, params=("TST260000000001", "TST260000000002"))), note="by will", by="omar")],
    ],
    "a refund in doubt, declared not to have happened, by code": [
        *page(), [seen(1, "A")],
        *followed(2, "refund", "15.00")[:1],
        [ReviewRaised(**NOTHING, evidence="PayTabs shows nothing under cart nw-2")],
        [ReviewSettled(**NOTHING, note="not there", by="omar", operation_id="op-2")],
    ],
    "a page that ended unvisited": [*page(), [seen(1, "P", code="600")], [ended(1, "never_visited")]],
    "a page that ended, then another one paid": [
        *page(), [ended(1, "not_found")], [started(2)], [opened(2)], [seen(2, "A")],
    ],
    "a page that ended, and a voucher that outlived it": [
        *page(), [seen(1, "P", code="600", payment_method="stcpay")], [ended(1, "not_found")],
        [seen(1, "P", "payment request", code="4411223", payment_method="sadad")],
    ],
    "a page of the CMS's old code that ended": [
        [PaymentAdopted(
            amount="99.950", currency="KWD", profile_id=987654, tran_ref="TST260000000001", operation_id="adopt-1")],
        [CartRetired(
            operation_id="adopt-1", cart_id="", reason=PAGE_ENDED, why="not_found", tran_ref="TST260000000001")],
    ],
    "settled outside, imported": [[CREATED, PaymentSettledOutside(status="refunded", by="omar", note="in cash")]],
    "declined, then paid in cash": [
        *page(), [seen(1, "D", code="316")], [ReviewRaised(**CHANGED, evidence=SEEN)],
        [
            ReviewSettled(**CHANGED, note="a receipt", by="omar", decision="outside"),
            PaymentSettledOutside(status="paid", by="omar", note="a receipt", known=()),
        ],
    ],
    "declined, and the CMS's word is kept": [
        *page(), [seen(1, "D", code="316")], [ReviewRaised(**CHANGED, evidence=SEEN)],
        [
            ReviewSettled(
                **CHANGED, note="a receipt", by="omar", decision="theirs", kept="status", status="paid", ours="failed",
                known=(),
            )
        ],
    ],
    "paid in cash, and by card": [
        *page(), [ReviewRaised(**CHANGED, evidence=SEEN)],
        [PaymentSettledOutside(status="paid", by="omar", note="a receipt")], [seen(1, "A")],
    ],
    "a card registered, called voided": [
        *page(1, "register"),
        [seen(1, "A", "register", "1.00"),
         PaymentVoided(state="VOIDED", amount="115.00", currency="SAR", tran_ref="TST260000000001")],
    ],
    "a card registered, then charged": [
        *page(1, "register"), [seen(1, "A", "register", "1.00", card_id="c0ffee" * 4)],
        [started(2)], [seen(2, "A", previous_tran_ref="TST260000000001", card_id="c0ffee" * 4)],
    ],
}  # fmt: skip


def sealed(story: Story, payment_id: str) -> Iterator[Event]:
    """Seal a story as the store does, each change with its milestone; an older program's own stands in the story."""
    previous, history = None, fold([])
    for number, told in enumerate(story):
        before, history = assess(history), fold(told, history)
        now = datetime(2026, 8, 6, 10, 15, 30, 123_000, tzinfo=UTC) + timedelta(seconds=number)
        asked = {"operation_id": f"op-{number}", "requested_by": "employee/7"} if number % 2 else {}
        context = Context(correlation_id=f"c-{number}", source="task", causation_id=f"m-{number}", **asked)
        announced = (
            [] if any(isinstance(fact, Milestone) for fact in told) else milestone(before, assess(history), history)
        )
        for fact in [*told, *announced]:
            previous = seal(payment_id, previous, fact, now, context)
            yield previous


def verdict(found: Assessment) -> Document:
    """Write down what a history comes to."""
    sums = ("authorised", "captured", "released", "refunded", "refund_pending")
    return {
        "state": str(found.state), "status": found.cms_status, "tran_ref": found.tran_ref,
        **{name: str(getattr(found, name)) for name in sums},
        "flags": list(found.flags), "review": [reason.key for reason in found.review], "parked": list(found.parked),
    }  # fmt: skip


def record() -> None:
    """Add what is told above and not in the file."""
    kept = json_util.loads(FILE.read_text(), json_options=TIMES) if FILE.exists() else []
    known = {one["name"] for one in kept}
    for name, story in STORIES.items():
        if name not in known:
            events = list(sealed(story, f"64b{len(kept) + 1:021x}"))
            expected = verdict(assess(fold(event.fact for event in events)))
            kept.append({"name": name, "expected": expected, "documents": [event.to_document() for event in events]})
    FILE.write_text(json_util.dumps(kept, json_options=TIMES, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    record()
