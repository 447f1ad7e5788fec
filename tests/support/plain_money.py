"""The financial reads in plain Python, over collections as lists: what the pipelines are compared with."""

import math
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from tests.support.plain_reads import Document, Store, page, subject, unreadable
from tests.support.plain_values import GATEWAY, PAYMENT, code, ids, only, paid_text, text, total


def status_of(payment: Document) -> str:
    """Read a payment's status."""
    status = payment.get("status")
    word = status.strip(" \t\n\r\v\f").lower() if isinstance(status, str) else status
    if word is None or word == "":
        return "pending"
    return word if isinstance(word, str) and word in ("pending", "paid", "refunded", "failed") else "other"


def within(payment: Document, since: datetime | None, until: datetime | None) -> bool:
    """Tell whether a payment was created within a span."""
    if since is None and until is None:
        return True
    created = payment.get("createdAt")
    return isinstance(created, datetime) and (not since or created >= since) and (not until or created < until)


def payments_summary(store: Store, asked: Document) -> Any:
    """Sum up payments by currency, status and month."""
    chosen = [one for one in store["payments"] if within(one, asked["since"], asked["until"])]
    groups: dict[tuple[str, ...], list[Decimal]] = {}
    for one in chosen:
        if not unreadable(one):
            created = one.get("createdAt")
            month = f"{created:%Y-%m}" if isinstance(created, datetime) else ""
            groups.setdefault((code(one["currency"]) or "", status_of(one), month), []).append(amount_of(one))
    rows = [
        {"currency": key[0], "status": key[1], "month": key[2] or None, "payments": len(of), "amount": text(total(of))}
        for key, of in sorted(groups.items())
    ]
    return {"rows": rows, "unreadable": sum(map(unreadable, chosen)), "more": False}


def amount_of(payment: Document) -> Decimal:
    """Read the amount of a payment that has one."""
    amount = paid_text(payment["amount"])
    assert amount is not None
    return amount


def client_payments(store: Store, asked: Document) -> Any:
    """List a client's payments."""
    client = subject(store, "users", asked, "client_id")
    own = [one for one in store["payments"] if one.get("client") == client["_id"]]
    own = [one for one in own if asked["status"] in (None, status_of(one))]
    listed = page("payments", sorted(own, key=lambda one: one["_id"], reverse=True), asked)
    lost = sum(map(unreadable, listed["payments"]))
    return {**listed, "payments": [shown(one) for one in listed["payments"]], "unreadable": lost}


def shown(payment: Document) -> Document:
    """Give what a payment shows."""
    amount, gateway = paid_text(payment.get("amount")), payment.get("gateway")
    read = {"currency": code(payment.get("currency")), "status": status_of(payment)}
    known = {"gateway": only(gateway, GATEWAY)} if isinstance(gateway, dict) else {}
    return only(payment, PAYMENT) | read | known | {"amount": None if amount is None else text(amount)}


def gateway_sum(payment: Document, member: str, otherwise: Decimal) -> Decimal:
    """Read what the gateway has booked; nothing booked tells nothing."""
    gateway = payment.get("gateway")
    if isinstance(gateway, dict) and gateway.get(member) == "0":
        return otherwise
    booked = paid_text(gateway.get(member)) if isinstance(gateway, dict) else None
    return otherwise if booked is None else booked


def contract_balance(store: Store, asked: Document) -> Any:
    """Balance a contract's payments by currency."""
    contract = subject(store, "contracts", asked, "contract_id")
    named = contract.get("paymentsIds")
    listed = set(ids(named)) if isinstance(named, list) else set()
    own = [one for one in store["payments"] if one["_id"] in listed or one.get("contractId") == contract["_id"]]
    own = [one for one in own if status_of(one) != "failed"]
    balances = []
    for currency in sorted({code(one["currency"]) or "" for one in own if not unreadable(one)}):
        counted = [balance(one) for one in own if not unreadable(one) and code(one["currency"]) == currency]
        sums = {name: text(total(one[name] for one in counted)) for name in counted[0]}
        balances.append({"currency": currency, "payments": len(counted), **sums})
    return {"balances": balances, "unreadable": sum(map(unreadable, own))}


def balance(payment: Document) -> dict[str, Decimal]:
    """Tell what one payment adds to its contract's balance."""
    amount, status, nothing = amount_of(payment), status_of(payment), Decimal(0)
    settled = status in ("paid", "refunded")
    paid = gateway_sum(payment, "captured", amount if settled else nothing)
    refunded = gateway_sum(payment, "refunded", amount if status == "refunded" else nothing)
    gateway = payment.get("gateway")
    by_hand = settled and isinstance(gateway, dict) and gateway.get("captured") == "0"
    due = max(nothing, amount - (nothing if by_hand else gateway_sum(payment, "released", nothing)))
    return {"due": due, "paid": paid, "refunded": refunded, "outstanding": max(nothing, due - paid)}


def receivables_ageing(store: Store, asked: Document, now: datetime) -> Any:
    """Sum up what is unpaid by age."""
    edges: list[int | None] = [0, *asked["brackets_days"], None]
    lost = 0
    groups: dict[tuple[str | None, int], list[Decimal]] = {}
    for one in store["payments"]:
        if status_of(one) != "pending":
            continue
        if paid_text(one.get("amount")) is None:
            lost += 1
            continue
        taken = [gateway_sum(one, member, Decimal(0)) for member in ("captured", "released")]
        left = amount_of(one) - total(taken)
        if left > 0 and unreadable(one):
            lost += 1
        elif left > 0:
            key = code(one["currency"]), place(one.get("createdAt"), asked["brackets_days"], now)
            groups.setdefault(key, []).append(left)
    rows = [
        {
            "currency": currency, "payments": len(left), "amount": text(total(left)),
            "from_days": None if at < 0 else edges[at], "to_days": None if at < 0 else edges[at + 1],
        }
        for (currency, at), left in sorted(groups.items(), key=lambda one: (one[0][0] or "", one[0][1]))
    ]  # fmt: skip
    return {"brackets": rows, "unreadable": lost}


def place(created: object, brackets: list[int], now: datetime) -> int:
    """Tell which age bracket a payment is in; -1 when it does not say."""
    if not isinstance(created, datetime):
        return -1
    return sum(now - created >= timedelta(days=day) for day in brackets)


def gateway_performance(store: Store, asked: Document, now: datetime) -> Any:
    """Judge the gateway by the events of a span."""
    since = asked["since"] or now - timedelta(days=asked["days"])
    until = since + timedelta(days=asked["days"])
    charges: dict[str, list[Document]] = {}
    for event in sorted(store["payment_events"], key=in_order):
        if since <= event["recorded_at"] < until and is_about_a_charge(event):
            charges.setdefault(event["data"]["tran_ref"], []).append(event)
    judged = [judge(events) for events in charges.values()]
    outcomes = Counter(outcome for outcome, _, _ in judged)
    decided = outcomes["succeeded"] + outcomes["declined"] + outcomes["errored"]
    words = ("succeeded", "declined", "errored", "cancelled", "expired", "voided", "on_hold", "pending")
    refused = Counter((outcome, why) for outcome, why, _ in judged if outcome in ("declined", "errored"))
    declines = sorted(refused.items(), key=lambda one: (-one[1], one[0][0], one[0][1] or ""))
    times = sorted(seconds for _, _, seconds in judged if seconds is not None)
    return {
        "since": since, "until": until, "outcomes": {word: outcomes[word] for word in words},
        "success_rate": f"{float(round(Fraction(outcomes['succeeded'], decided), 4)):.4f}" if decided else None,
        "declines": [{"outcome": outcome, "code": why, "charges": count} for (outcome, why), count in declines],
        "time_to_pay": {
            "charges": len(times), "median_seconds": at_percent(times, 50), "p95_seconds": at_percent(times, 95)
        },
    }  # fmt: skip


def in_order(event: Document) -> tuple[datetime, str, str]:
    """Order events by time; those of one time by status and code, so that there is one order."""
    return event["recorded_at"], event["data"].get("status", ""), event["data"].get("code") or ""


def is_about_a_charge(event: Document) -> bool:
    """Tell whether an event is about a payer's charge."""
    if event["type"] == "PageOpened":
        return True
    data = event["data"]
    acts = data.get("previous_tran_ref") or data.get("tran_type") in ("refund", "capture", "void", "release")
    return event["type"] == "TransactionObserved" and not acts


def judge(events: list[Document]) -> tuple[str, str | None, int | None]:
    """Tell what a charge came to, its code, and the seconds from its page to its success."""
    ends = {"D": "declined", "E": "errored", "C": "cancelled", "X": "expired"}
    seen = [event["data"].get("status") for event in events]
    opened = [event["recorded_at"] for event in events if event["type"] == "PageOpened"]
    paid = [event["recorded_at"] for event in events if event["data"].get("status") == "A"]
    seconds = max(0, min(86_400, math.floor((paid[0] - opened[0]).total_seconds()))) if paid and opened else None
    if "A" in seen:
        return "succeeded", None, seconds
    ended = next((event["data"] for event in events if event["data"].get("status") in ends), None)
    if "V" in seen or ended is None:
        words = (word for letter, word in (("V", "voided"), ("H", "on_hold")) if letter in seen)
        return next(words, "pending"), None, None
    return ends[ended["status"]], ended.get("code"), None


def at_percent(times: list[int], percent: int) -> int | None:
    """Give the nearest-rank percentile."""
    return times[math.ceil(len(times) * percent / 100) - 1] if times else None
