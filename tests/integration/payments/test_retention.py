import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from observability.dead_letters import DeadLetters, Kind, Letter, letter_id
from payments.errors import OperationConflict
from payments.ordering import FollowUpTerms
from payments.redacting import redacted_delivery
from payments.retention import CHUNK, Retention, Run, rules
from tasks.retaining import make_retention
from tasks.webhooks import apply
from tests.integration.payments.stage import PAID, Stage
from tests.support.cms import SeededPayment
from tests.support.notices import notice

Document = dict[str, Any]

DAYS = 86_400
AGE_DAYS = 90
HEADERS = {"Content-Type": "application/json", "X-Forwarded-For": "10.1.2.3", "User-Agent": "Huda's"}


def redact(stage: Stage) -> Run:
    """Forget what has come of age."""
    return make_retention(stage.world).run()


def recorded(stage: Stage, body: bytes) -> str:
    """Record a delivery that nobody works on yet."""
    return stage.world.inbox.record(body, HEADERS, correlation_id="c-1").delivery_id


def worked_off(stage: Stage, body: bytes) -> Document:
    """Record a delivery and do what a worker does with it."""
    delivery = stage.world.inbox.claim(recorded(stage, body), "worker")
    assert delivery is not None
    return apply(stage.world, delivery, stage.context("notice"))


def delivery(stage: Stage, delivery_id: str) -> Document:
    """Read a delivery's row."""
    found = stage.database["webhook_inbox"].find_one({"_id": delivery_id})
    assert found is not None
    return found


def paid_by_notice(stage: Stage, seeded: SeededPayment, **changes: Any) -> tuple[str, bytes, Document]:
    """Have a payment paid, and its notice worked off: its reference, the notice and the answer of the worker."""
    tran_ref = stage.open_page(seeded)
    stage.sandbox.pay(tran_ref, PAID)
    body = stage.sandbox.notify(tran_ref, url="http://127.0.0.1:9/nobody", **changes)["body"].encode()
    return tran_ref, body, worked_off(stage, body)


class TestInbox:
    """Deliveries that are done with lose what tells of the payer."""

    def test_in_place(self, stage: Stage, seeded: SeededPayment) -> None:
        """At the stated age and not before: body and headers; what was done with it, and when, stays."""
        tran_ref, body, answer = paid_by_notice(stage, seeded)
        assert answer["result"] == "applied"
        before = delivery(stage, answer["delivery_id"])
        stage.clock.advance(AGE_DAYS * DAYS - 1)
        assert redact(stage).redacted["webhook_inbox"] == 0
        assert delivery(stage, answer["delivery_id"]) == before
        stage.clock.advance(1)
        assert redact(stage).redacted["webhook_inbox"] == 1
        after = delivery(stage, answer["delivery_id"])
        changed = {"body", "headers", "redacted_at"}
        assert {name: after[name] for name in before if name not in changed} == {
            name: before[name] for name in before if name not in changed
        }
        assert after["headers"] == {"content-type": "application/json"}
        kept = json.loads(after["body"])
        assert (kept["tran_ref"], kept["cart_amount"], kept["payment_result"]["response_status"]) == (
            tran_ref, "115.00", "A",
        )  # fmt: skip
        assert b"huda@example.com" in body
        assert b"huda" not in after["body"]
        assert redact(stage).redacted["webhook_inbox"] == 0

    def test_open(self, stage: Stage) -> None:
        """One that nobody has taken, or that somebody works on, is left alone however old it is."""
        waiting, taken = recorded(stage, notice(cart_id="C-1")), recorded(stage, notice(cart_id="C-2"))
        assert stage.world.inbox.claim(taken, "worker")
        rows = [delivery(stage, one) for one in (waiting, taken)]
        stage.clock.advance(400 * DAYS)
        assert redact(stage).redacted["webhook_inbox"] == 0
        assert [delivery(stage, one) for one in (waiting, taken)] == rows
        assert make_retention(stage.world).status()[0]["open"] == 2

    def test_delivered_again(self, stage: Stage, seeded: SeededPayment) -> None:
        """A copy that comes after that is a copy: counted, not stored, not applied."""
        _, body, answer = paid_by_notice(stage, seeded)
        stage.clock.advance(AGE_DAYS * DAYS)
        redact(stage)
        redacted, told = delivery(stage, answer["delivery_id"]), stage.facts(seeded)
        again = stage.world.inbox.record(body, HEADERS, correlation_id="c-2")
        assert (again.delivery_id, again.is_new) == (answer["delivery_id"], False)
        assert delivery(stage, again.delivery_id) == redacted | {"seen": 2}
        assert stage.world.inbox.claim(again.delivery_id, "worker") is None
        assert stage.facts(seeded) == told

    def test_rejected(self, stage: Stage) -> None:
        """One that could not be read goes whole; should it come again and be readable by then, it is worked off."""
        body = notice(customer_details={"name": "Huda Payer"})
        kept = stage.world.inbox.record_rejected(body, HEADERS, reason="tran_type: a value", correlation_id="c-1")
        stage.clock.advance(AGE_DAYS * DAYS)
        assert redact(stage).redacted["webhook_inbox"] == 1
        assert b"Huda" not in delivery(stage, kept.delivery_id)["body"]
        assert worked_off(stage, body)["result"] == "unknown_payment"
        row = delivery(stage, kept.delivery_id)
        assert (row["status"], row["body"], "redacted_at" in row) == ("done", body, False)
        assert redact(stage).redacted["webhook_inbox"] == 1

    def test_case(self, stage: Stage, seeded: SeededPayment) -> None:
        """What a human still has to judge is kept as evidence, and redacted once that is settled."""
        _, body, answer = paid_by_notice(stage, seeded, tran_total="999.00", cart_amount="999.00")
        assert answer["result"] == "review"
        stage.clock.advance(2 * AGE_DAYS * DAYS)
        run = redact(stage)
        assert (run.redacted["webhook_inbox"], run.held, run.finished) == (0, 1, True)
        assert delivery(stage, answer["delivery_id"])["body"] == body
        (case,) = stage.world.review.cases(seeded.payment_id)
        stage.world.review.settle(seeded.payment_id, case.reason, "looked at", stage.context())
        assert redact(stage).redacted["webhook_inbox"] == 1


class TestRuns:
    """A run may be stopped anywhere, and be run twice or beside another."""

    def many(self, stage: Stage, count: int) -> None:
        """Keep so many deliveries that could not be read."""
        with ThreadPoolExecutor(4) as threads:
            for number in range(count):
                threads.submit(
                    stage.world.inbox.record_rejected, b"<%d>" % number, HEADERS, reason="body", correlation_id="c"
                )
        stage.clock.advance(AGE_DAYS * DAYS)

    def test_in_chunks(self, stage: Stage) -> None:
        """A run that has done enough leaves the rest, and the next one goes on there."""
        self.many(stage, CHUNK + 30)
        keeper = make_retention(stage.world)
        first = keeper.run(lambda: True)
        assert (first.redacted["webhook_inbox"], first.finished) == (CHUNK, False)
        assert keeper.status()[0]["due"] == 30
        rest = keeper.run()
        assert (rest.redacted["webhook_inbox"], rest.finished) == (30, True)
        assert keeper.status()[0] == {
            "collection": "webhook_inbox", "age_days": 90, "due": 0, "oldest": None, "open": 0,
            "redacted": CHUNK + 30,
        }  # fmt: skip

    def test_at_once(self, stage: Stage) -> None:
        """Four runs at the same moment change every row once."""
        self.many(stage, CHUNK + 30)
        with ThreadPoolExecutor(4) as threads:
            done = list(threads.map(lambda _: redact(stage).redacted["webhook_inbox"], range(4)))
        assert sum(done) == CHUNK + 30

    def test_changed_meanwhile(self, stage: Stage) -> None:
        """A row that was opened again after it was read is left alone."""
        self.many(stage, 1)
        rows = stage.database["webhook_inbox"]

        def reopened(row: Mapping[str, Any]) -> Document:
            rows.update_one({"_id": row["_id"]}, {"$set": {"status": "received"}})
            return redacted_delivery(row)

        age = timedelta(days=AGE_DAYS)
        rule = replace(rules(stage.world.store, inbox=age, letters=age)[0], forget=reopened)
        assert Retention(stage.database, [rule], clock=stage.clock, trail=stage.world.trail).run().redacted == {
            "webhook_inbox": 0
        }
        (row,) = rows.find()
        assert (row["body"], "redacted_at" in row) == (b"<0>", False)

    @pytest.mark.parametrize("place", range(3))
    def test_indexes(self, stage: Stage, place: int) -> None:
        """What is due is found by index, in order."""
        DeadLetters(stage.database, clock=stage.clock).ensure_indexes()
        age = timedelta(days=AGE_DAYS)
        rule = rules(stage.world.store, inbox=age, letters=age)[place]
        found = stage.database[rule.collection].find(rule.due(stage.clock.now)).sort(rule.by, 1)
        plan = repr(found.explain()["queryPlanner"]["winningPlan"])
        assert "IXSCAN" in plan
        assert "COLLSCAN" not in plan
        assert "'SORT'" not in plan


class TestOperations:
    """Operations that have ended lose what was put into words."""

    def test_words(self, stage: Stage, seeded: SeededPayment) -> None:
        """The CMS's title and the caller's reason go; the same call is still the same operation, another is not."""
        stage.paid(seeded)
        terms = FollowUpTerms("refund", "15.00", None, "Huda Payer asked for it")
        follow_up = stage.world.money.follow_up
        first = follow_up(seeded.payment_id, terms, "refund-1", stage.context())
        stage.clock.advance(AGE_DAYS * DAYS)
        assert redact(stage).redacted["payment_operations"] == 2
        assert "Huda" not in repr(list(stage.database["payment_operations"].find()))
        assert "Second instalment" not in repr(list(stage.database["payment_operations"].find()))
        assert follow_up(seeded.payment_id, terms, "refund-1", stage.context()) == first
        with pytest.raises(OperationConflict, match="reason"):
            follow_up(seeded.payment_id, replace(terms, reason="another"), "refund-1", stage.context())
        assert stage.get(seeded).refunded == "15.00"

    def test_open(self, stage: Stage, seeded: SeededPayment) -> None:
        """One that is open keeps its words: it may have to be sent again."""
        stage.open_page(seeded)
        stage.clock.advance(400 * DAYS)
        assert redact(stage).redacted["payment_operations"] == 0
        assert make_retention(stage.world).status()[1]["open"] == 1
        assert stage.row(seeded).params["title"] == "Second instalment"


class TestLetters:
    """Dead letters are kept for a while."""

    def test_redacted(self, stage: Stage) -> None:
        """Then arguments, messages and texts go; given up again, the letter is whole again."""
        letters = DeadLetters(stage.database, clock=stage.clock)
        letter = Letter(
            letter_id=letter_id("invoices.send_sms", "t-1"), kind=Kind.GIVEN_UP, at=stage.clock.now, error="Silent",
            text="no answer about +966512345678", task="invoices.send_sms", task_id="t-1", intact=True, attempts=3,
            arguments=json.dumps({"args": [], "kwargs": {"payment_id": "64b0", "phone": "+966512345678"}}),
        )  # fmt: skip
        letters.keep(letter)
        stage.clock.advance(AGE_DAYS * DAYS - 1)
        assert redact(stage).redacted["dead_letters"] == 0
        stage.clock.advance(1)
        assert redact(stage).redacted["dead_letters"] == 1
        (row,) = letters.newest()
        assert "966512345678" not in repr(row)
        assert (row["task"], row["intact"], json.loads(row["arguments"])["kwargs"]) == (
            "invoices.send_sms", False, {"payment_id": "64b0"},
        )  # fmt: skip
        letters.keep(replace(letter, at=stage.clock.now))
        (row,) = letters.newest()
        assert (row["intact"], row["seen"], "redacted_at" in row) == (True, 2, False)
