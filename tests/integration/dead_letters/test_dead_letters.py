from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
import redis
from pymongo.database import Database

from config.queues import CORRELATION_HEADER
from observability.dead_letters import DeadLetters, Kind, Letter
from paytabs.resilience import TASK_RETRY
from tasks.errors import ASK_AGAIN, OutcomeUnknown
from tests.integration.dead_letters.conftest import Command, told
from tests.support.cms import seed_payment
from tests.support.notices import notice
from tests.support.raw_message import push, raw_message
from tests.support.sandbox import Sandbox
from tests.support.system import Asked, System
from tests.support.waiting import eventually
from workers.stack import EmbeddedMongo

Documents = Database[dict[str, Any]]

#: How long a letter may take: two sweeps, a restart, and the work.
WITHIN_SECONDS = 20.0

PAYMENT_ID = "65f0c0ffee65f0c0ffee65f0"

#: Why a letter is replayed; nobody may without a reason.
WHY = ("--reason", "a test asks")


def letter(documents: Documents, **wanted: Any) -> dict[str, Any]:
    """Wait for one letter."""
    row = eventually(lambda: documents["dead_letters"].find_one(wanted), within_seconds=WITHIN_SECONDS, what="a letter")
    assert row is not None
    return row


def failed(asked: Asked) -> bool:
    """Say whether a task has ended in an error."""
    return bool(asked.meta["status"] == "FAILURE")


def has(lines: Callable[[], list[Any]], number: int) -> bool:
    """Say whether there are as many lines."""
    return len(lines()) == number


def last_try(task: str, correlation_id: str, **arguments: Any) -> dict[str, Any]:
    """Build the message of a task that has been tried as often as the policy allows, but for once."""
    message = raw_message(task, arguments, queue="payments", correlation_id=correlation_id)
    message["headers"]["retries"] = TASK_RETRY.max_attempts - 1
    return message


class TestGivenUp:
    """What was tried as often as the policy allows is written down, and a person can have it done again."""

    def test_database_away(
        self, system: System, documents: Documents, own_mongo: EmbeddedMongo, command: Command
    ) -> None:
        """The last try fails while MongoDB is away: one letter once it is back; replayed, it succeeds."""
        payment = seed_payment(documents)
        system.run("payments.get", payment_id=payment.payment_id)
        message = last_try("payments.get", "order-given-up", payment_id=payment.payment_id, requested_by="huda")
        own_mongo.freeze(0)
        try:
            asked = system.asked(push(str(system.settings.redis_url), message))
            eventually(lambda: asked.meta["status"] == "FAILURE", within_seconds=WITHIN_SECONDS)
        finally:
            own_mongo.thaw(0)
        row = letter(documents, correlation_id="order-given-up")
        assert (row["kind"], row["task"], row["queue"]) == ("given_up", "payments.get", "payments")
        assert (row["attempts"], row["seen"], row["task_id"]) == (TASK_RETRY.max_attempts, 1, asked.id)
        listed = told(command("dead-letters", "list", "--json"))
        assert [one["arguments"]["kwargs"] for one in listed if one["id"] == row["_id"]] == [
            {"payment_id": payment.payment_id, "requested_by": "huda"}
        ]
        replayed = told(
            command("dead-letters", "replay", row["_id"][:8], "--reason", "MongoDB is back", "--by", "omar")
        )
        assert system.asked(replayed["task_id"]).get()["payment_id"] == payment.payment_id
        lines = system.lines(task_id=replayed["task_id"], event="task_succeeded")
        assert [line["correlation_id"] for line in lines] == ["order-given-up"]
        self.kept(documents, command, row["_id"], replayed["task_id"])

    def kept(self, documents: Documents, command: Command, letter_id: str, task_id: str) -> None:
        """Who, when and why stands in the row; a second replay is refused, and done when it is insisted on."""
        row = documents["dead_letters"].find_one({"_id": letter_id}) or {}
        (replay,) = row["replays"]
        assert (replay["by"], replay["reason"], replay["task_id"]) == ("omar", "MongoDB is back", task_id)
        assert (datetime.now(UTC) - replay["at"]).total_seconds() < 30
        acts = {
            "arguments.id": letter_id,
            "outcome": f"enqueued as {task_id}",
            "by": "omar",
            "reason": "MongoDB is back",
        }
        assert documents["audit_entries"].count_documents(acts) == 1
        refused = command("dead-letters", "replay", letter_id, *WHY)
        assert refused.exit_code == 1
        assert "omar replayed it at" in refused.stderr
        assert letter_id not in command("dead-letters", "list").stdout
        assert letter_id in command("dead-letters", "list", "--all").stdout
        assert "omar" in command("dead-letters", "show", letter_id).stdout
        assert told(command("dead-letters", "replay", letter_id, "--again", *WHY))["task"] == "payments.get"
        shown = told(command("dead-letters", "show", letter_id, "--json"))
        assert [one["reason"] for one in shown["replays"]] == ["MongoDB is back", "a test asks"]

    def test_caller_is_told(self, system: System, documents: Documents, broker: redis.Redis) -> None:
        """An error that its caller is told of leaves no letter."""
        asked = system.enqueue("payments.get", payment_id="nobody's")
        unknown = system.enqueue("payments.get", payment_id="f" * 24)
        for one in (asked, unknown):
            eventually(partial(failed, one))
        assert broker.llen("quarantine") == 0
        assert documents["dead_letters"].count_documents({"task_id": {"$in": [asked.id, unknown.id]}}) == 0


class TestOurError:
    """An error of ours in work that nobody waits for is written down, once per piece of work."""

    def test_delivery(self, system: System, documents: Documents, command: Command) -> None:
        """A delivery that cannot be read fails every time: one letter, counted; mended and replayed, it is done."""
        delivery_id, now = "ab" * 32, datetime.now(UTC)
        row = {"status": "received", "due_at": now, "sweep_at": now, "fence": 0, "attempts": 0, "postponements": 0}
        whole = {
            "body": notice(tran_ref="TSTNOBODYS"),
            "correlation_id": "delivery-7",
            "headers": {},
            "received_at": now,
            "seen": 1,
        }
        documents["webhook_inbox"].insert_one({"_id": delivery_id, **row})
        letter(documents, task="webhooks.process", seen=1)
        ended = {"lease_until": now, "sweep_at": now}  # as if its lease had passed
        documents["webhook_inbox"].update_one({"_id": delivery_id}, {"$set": ended})
        found = letter(documents, task="webhooks.process", seen={"$gte": 2})
        assert (found["kind"], found["error"], found["queue"]) == ("failed", "KeyError", "webhooks")
        assert documents["dead_letters"].count_documents({"task": "webhooks.process"}) == 1
        documents["webhook_inbox"].update_one(
            {"_id": delivery_id}, {"$set": {**row, **whole, "sweep_at": datetime.max.replace(tzinfo=UTC)}}
        )
        replayed = told(command("dead-letters", "replay", found["_id"], *WHY))
        assert system.asked(replayed["task_id"]).get()["delivery_id"] == delivery_id


class TestLostWorkers:
    """A task that takes its worker with it is begun three times and no more."""

    def test_three(self, system: System, documents: Documents, broker: redis.Redis, sandbox: Sandbox) -> None:
        """After three killed workers it fails, its caller is told, a letter is written, and the worker stays."""
        payment = seed_payment(documents)
        tran_ref = system.run("payments.create_page", payment_id=payment.payment_id)["tran_ref"]
        sandbox.fault("/payment/query", "slow", times=0, seconds=30, before=True, match={"tran_ref": tran_ref})
        system.kill("beat")  # or the sweep's own question about the page would be in the way
        asked = system.enqueue("payments.verify", payment_id=payment.payment_id, correlation_id="deadly")
        for lost in (1, 2, 3):
            begun = partial(system.lines, task_id=asked.id, event="task_started")
            eventually(partial(has, begun, lost), within_seconds=WITHIN_SECONDS)
            system.kill("worker-money")
            assert broker.hlen(f"runs:{asked.id}") == lost
            # As if the visibility timeout had passed, and with it what the worker said of itself.
            broker.delete(*broker.keys("worker:*"))
            tags: list[Any] = broker.zrange("unacked_index", 0, -1)
            broker.zadd("unacked_index", dict.fromkeys(tags, 0))
            system.restart("worker-money")
        eventually(lambda: asked.meta["status"] == "FAILURE", within_seconds=WITHIN_SECONDS, what="given up")
        told = asked.meta["result"]
        assert (type(told), told.args) == (OutcomeUnknown, (None, "workers_lost", ASK_AGAIN))
        system.restart("beat")
        row = letter(documents, correlation_id="deadly")
        assert (row["kind"], row["error"], row["attempts"]) == ("lost_workers", "WorkersLost", 3)
        assert "3 workers were lost" in row["text"]
        sandbox.clear_faults()
        assert system.run("payments.verify", payment_id=payment.payment_id)["state"] == "AWAITING_PAYER"

    def test_ended_runs_do_not_count(self, system: System, broker: redis.Redis) -> None:
        """A run that ends, well or not, leaves no count behind."""
        for payment_id in (PAYMENT_ID, "f" * 24):
            asked = system.enqueue("payments.get", payment_id=payment_id)
            eventually(partial(failed, asked))
            assert not broker.exists(f"runs:{asked.id}")


class TestReplayRefused:
    """What is not whole any more, or never was a task, is not replayed."""

    def test_secret(self, system: System, documents: Documents, own_mongo: EmbeddedMongo, command: Command) -> None:
        """Arguments from which something secret was taken cannot be sent again; the letter does not hold it."""
        card = "4111 1111 1111 1111"
        message = raw_message("payments.rob", {"note": card}, queue="payments", correlation_id="secret")
        push(str(system.settings.redis_url), message)
        row = letter(documents, correlation_id="secret")
        assert own_mongo.uri
        assert card not in str(row)
        refused = command("dead-letters", "replay", row["_id"], *WHY)
        assert refused.exit_code == 1
        assert "not kept whole" in refused.stderr

    def test_never_sent(self, documents: Documents, command: Command) -> None:
        """An operation that has ended unsent is not replayed: its caller asks again, under another id."""
        kept = Letter("feed", Kind.NEVER_SENT, datetime.now(UTC), "NeverSent", "op-1", task="payments.capture")
        DeadLetters(documents, clock=lambda: datetime.now(UTC)).keep(kept)
        refused = command("dead-letters", "replay", "feed", *WHY)
        assert refused.exit_code == 1
        assert "under a new operation id" in refused.stderr

    def test_unknown_task(self, system: System, documents: Documents, command: Command) -> None:
        """A task of another version can be replayed only by a version that has it."""
        push(
            str(system.settings.redis_url), raw_message("payments.later", {}, queue="payments", correlation_id="later")
        )
        row = letter(documents, correlation_id="later")
        refused = command("dead-letters", "replay", row["_id"], *WHY)
        assert refused.exit_code == 2
        assert "no task payments.later" in refused.stderr.replace("There is ", "")

    def test_malformed(self, system: System, documents: Documents, command: Command) -> None:
        """A message that nobody can read stays what it is."""
        message = raw_message("payments.get", {}, queue="payments", correlation_id="unreadable")
        message["headers"]["timelimit"] = 5
        push(str(system.settings.redis_url), message)
        row = letter(documents, correlation_id="unreadable")
        assert "never was a task" in command("dead-letters", "replay", row["_id"], *WHY).stderr
        assert CORRELATION_HEADER in command("dead-letters", "show", row["_id"]).stdout

    @pytest.mark.parametrize(("given", "said"), [("0" * 16, "none of that id"), ("XYZ", "hexadecimal")])
    def test_no_such(self, command: Command, given: str, said: str) -> None:
        """An id that nothing has, or that is none, is one sentence."""
        done = command("dead-letters", "show", given)
        assert done.exit_code in (1, 2)
        assert said in done.stderr
