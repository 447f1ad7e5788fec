"""The demo's steps in their order, and what each of them checks."""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import requests

from workers.cli_payment import history_table, state_table
from workers.demo_cms import PASSWORD_HASH
from workers.demo_desk import signature
from workers.demo_payer import Payer
from workers.demo_reads import heavy_reads
from workers.demo_scenes import Scene

#: Test cards that the sandbox's page lists.
GOOD_CARD, DECLINED_CARD = "4111111111111111", "4000000000009995"

#: The id under which the first payment's whole story is found.
CORRELATION_ID = "demo-first-payment"

#: A key that is not the profile's.
STRANGERS_KEY = "SSTRANGER1-AAAA2222BB-CCCC3333DD"

#: When every page of the sandbox is dead, those included whose payer was in the middle of it.
LATE_MINUTES = 31

#: How long the receiver may take to answer a notice, in seconds.
NOTICE_SECONDS = 10.0


def first_payment(scene: Scene) -> None:
    """Take a payment from enqueue to paid."""
    payment, report = scene.seeded.payments[0], scene.report
    before = scene.cms.others(payment)
    page = scene.open_page(payment, CORRELATION_ID)
    again = scene.open_page(payment)
    report.check("asked again, it gives the same page", again["tran_ref"] == page["tran_ref"], again)
    scene.visit(page["redirect_url"], GOOD_CARD, Payer.pay)
    paid = scene.await_status(payment, "paid", "PAID")
    report.check(f"transR is PayTabs' {page['tran_ref']}", paid["transR"] == page["tran_ref"], paid.get("transR"))
    accepted = report.wait("an accepted callback", lambda: _accepted(scene, page["tran_ref"]))
    report.check("the sandbox's signed callback was answered 200", accepted, accepted)
    queries = [one for one in scene.desk.requests("/payment/query") if _about(one, page["tran_ref"])]
    report.check("and believed only after a query to PayTabs", queries, queries)
    report.check("every other field of the document is untouched", scene.cms.others(payment) == before)


def second_attempt(scene: Scene) -> None:
    """Have a card declined, and the payment paid with another one."""
    payment, report = scene.seeded.payments[1], scene.report
    declined = scene.open_page(payment)
    scene.visit(declined["redirect_url"], DECLINED_CARD, Payer.pay)
    scene.await_status(payment, "failed", "DECLINED")
    second = scene.open_page(payment)
    report.check("it is another page", second["tran_ref"] != declined["tran_ref"], second)
    scene.visit(second["redirect_url"], GOOD_CARD, Payer.pay)
    paid = scene.await_status(payment, "paid", "PAID")
    report.check("transR is the second attempt's", paid["transR"] == second["tran_ref"], paid.get("transR"))


def cancelled(scene: Scene) -> None:
    """Let the payer press Cancel."""
    payment = scene.seeded.payments[2]
    page = scene.open_page(payment)
    scene.visit(page["redirect_url"], GOOD_CARD, Payer.cancel)
    scene.await_status(payment, "failed", "CANCELLED")


def dead_page(scene: Scene) -> None:
    """Let a page die unpaid, and have it made anew."""
    report = scene.report
    payment = scene.cms.add_payment(scene.seeded.payments[2], "A page that nobody follows in time")
    first = scene.open_page(payment)
    report.check(f"it says until when: {first['page_expires_at']}", first["page_state"] == "open", first)
    scene.desk.pass_time(first["tran_ref"], minutes=LATE_MINUTES)
    with Payer(GOOD_CARD) as payer:
        report.check("half an hour later the link is dead", payer.finds_dead(first["redirect_url"]))
    seen = scene.ask("payments.verify", payment_id=str(payment))
    ended = (seen["page_state"], seen["redirect_url"]) == ("ended", None)
    report.check("the next answer calls it ended, and leads nobody there", ended, seen)
    second = scene.open_page(payment)
    report.check("asked again, it gives another page", second["tran_ref"] != first["tran_ref"], second)
    scene.visit(second["redirect_url"], GOOD_CARD, Payer.cancel)
    scene.await_status(payment, "failed", "CANCELLED")


def forged(scene: Scene) -> None:
    """Claim that the cancelled payment was paid, without PayTabs' key."""
    payment, report = scene.seeded.payments[2], scene.report
    genuine = report.wait("a callback", lambda: _accepted(scene, scene.cms.payment(payment)["transR"]))
    scene.settle()
    before = scene.cms.picture()
    claim = _claim(genuine["body"])
    attempts = {
        "signed with a stranger's key": signature(claim, STRANGERS_KEY),
        "with the genuine notice's signature": str(genuine["signature"]),
        "without a signature": "",
    }
    for how, signed in attempts.items():
        status = _post(scene, claim, signed)
        report.check(f"“it was paid”, {how}, is refused with 403", status == requests.codes.forbidden, status)
    report.check("no document, event or delivery has changed", scene.cms.picture() == before)


def aggregation(scene: Scene) -> None:
    """Read the contract's employees."""
    answer = scene.ask("aggregations.contract_employees", contract_id=str(scene.seeded.contract))
    employees = answer["data"]
    ids = [employee["_id"] for employee in employees]
    scene.report.check("it answers the contract's one employee", ids == [str(scene.seeded.employee)], employees)
    text = json.dumps(answer)
    scene.report.check("without a password", "password" not in text and PASSWORD_HASH not in text, text)
    scene.report.tell(f"{employees[0]['fullName']}, {employees[0]['employeeType']}; as of {answer['as_of']}")


def told(scene: Scene) -> None:
    """See what the paid payments have led to."""
    report, contract, project = scene.report, scene.seeded.contract, scene.seeded.project
    paid = report.wait("a paid contract", lambda: scene.cms.status("contracts", contract) == "paid")
    report.check("all that counts of the contract is paid: it reads “paid”", paid)
    active = report.wait("an active project", lambda: scene.cms.status("projects", project) == "active")
    report.check("its project reads “active”", active)
    mails = report.wait("two mails", lambda: scene.told.mails.mails if len(scene.told.mails.mails) > 1 else None)
    ids = {mail["Message-ID"] for mail in mails}
    wanted = {f"<payment-{payment}.completed@example.com>" for payment in scene.seeded.payments[:2]}
    report.check("the client got one mail for each paid payment, under that payment's own id", ids == wanted, ids)
    for mail in mails:
        report.tell(f"mail to {mail['To']}: {mail['Subject']}")
    completed = report.wait("two webhooks", lambda: _webhooks(scene, "payment.completed", 2))
    about = {event["data"]["payment_id"] for event in completed}
    expected = {str(payment) for payment in scene.seeded.payments[:2]}
    report.check("the CMS verified a webhook for each", about == expected, about)
    report.check("and got nothing that it could not verify", len(scene.told.cms.events) == len(scene.told.cms.headers))


def stored_card(scene: Scene) -> None:
    """Keep a payer's card on a page, and charge it for their next payment without them."""
    (first, second), report = scene.seeded.by_card, scene.report
    page = scene.open_page(first, tokenise=2)
    scene.visit(page["redirect_url"], GOOD_CARD, Payer.pay)
    card = scene.await_status(first, "paid", "PAID")["gateway"]["card"]
    listed = scene.ask("cards.list", client_id=str(scene.seeded.client))["cards"]
    known = [(one["card_id"], one["state"]) for one in listed]
    report.check("cards.list has the card, active", known == [(card["card_id"], "active")], listed)
    report.tell(f"{card['scheme']} {card['masked']}, until {card['expires']}: card_id {card['card_id']}")
    asked = {"payment_id": str(second), "card_id": card["card_id"], "operation_id": f"upkeep-{second}"}
    charged = [scene.ask("payments.charge_card", **asked) for _ in range(2)]
    report.check("payments.charge_card charges it without a page", charged[0]["state"] == "PAID", charged[0])
    report.check("asked again under the same id, nothing is charged again", charged[1] == charged[0], charged[1])
    scene.await_status(second, "paid", "PAID")
    report.check("no collection has the card's token in clear", not scene.cms.holds(scene.desk.tokens()))


def books(scene: Scene) -> None:
    """Compare what PayTabs took with what is booked."""
    payments = (*scene.seeded.payments, *scene.seeded.by_card)
    titles = [scene.cms.payment(payment)["title"] for payment in payments]
    total = Decimal(0)
    for title, payment in zip(titles, payments, strict=True):
        taken, booked = scene.desk.charged(scene.cms.carts(payment)), scene.cms.captured(payment)
        total += booked
        scene.report.check(f"{title}: {booked} SAR booked, and as much charged by PayTabs", taken == booked, taken)
    everything = scene.desk.charged()
    scene.report.check(f"together {total} SAR, and PayTabs charged nothing else", everything == total, everything)


def story(scene: Scene) -> None:
    """Show the first payment's state and history."""
    payment_id = str(scene.seeded.payments[0])
    view = scene.ask("payments.get", payment_id=payment_id)
    history = scene.ask("payments.history", payment_id=payment_id)
    found = {event["correlation_id"] for event in history}
    scene.report.check(f"all its events carry the caller's id {CORRELATION_ID}", found == {CORRELATION_ID}, found)
    scene.report.console.print(state_table(view))
    scene.report.console.print(history_table(history))


#: Every step and its title, in their order.
STEPS: Mapping[str, Callable[[Scene], None]] = MappingProxyType(
    {
        "A payment of the CMS, from enqueue to paid": first_payment,
        "A declined card, paid at the second attempt": second_attempt,
        "A payment that the payer cancels": cancelled,
        "A page that dies, and is made anew": dead_page,
        "Forged callbacks": forged,
        "The aggregation aggregations.contract_employees": aggregation,
        "Every aggregation over seeded data, and again from the cache": heavy_reads,
        "What the paid payments lead to": told,
        "A stored card, charged for the next payment": stored_card,
        "The books: the sandbox's ledger against the CMS's documents": books,
        "The first payment's state and history": story,
    }
)


def _webhooks(scene: Scene, kind: str, count: int) -> list[dict[str, Any]] | None:
    """Give the webhooks of a kind, once there are so many."""
    found = [event for event in scene.told.cms.events if event["type"] == kind]
    return found if len(found) >= count else None


def _accepted(scene: Scene, tran_ref: str) -> Mapping[str, Any] | None:
    """Give the delivery of a transaction's notice that the receiver answered with 200."""
    return next((one for one in scene.desk.notices(tran_ref) if one["status"] == requests.codes.ok), None)


def _about(request: Mapping[str, Any], tran_ref: str) -> bool:
    """Tell whether a query is about a transaction."""
    body = request["body"]
    return isinstance(body, dict) and body.get("tran_ref") == tran_ref


def _claim(body: object) -> bytes:
    """Turn a genuine notice into the claim that its payment was authorised."""
    members = json.loads(body) if isinstance(body, str) else dict(body)  # type: ignore[call-overload] # the desk's JSON
    members["payment_result"] |= {"response_status": "A", "response_code": "G00000", "response_message": "Authorised"}
    return json.dumps(members).encode()


def _post(scene: Scene, body: bytes, signed: str) -> int:
    headers = {"Content-Type": "application/json"} | ({"Signature": signed} if signed else {})
    url = f"{scene.receiver}/webhooks/paytabs"
    return requests.post(url, data=body, headers=headers, timeout=NOTICE_SECONDS).status_code
