import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from pymongo.database import Database

from config.settings import Settings
from payments.audit_entries import AuditEntries
from payments.events import Context, content_hash, stored_content
from payments.service import PageTerms
from tasks.publishing import enqueue
from tasks.webhooks import apply
from tasks.wiring import World, build_world, ensure_indexes
from tests.integration.cli.conftest import Command
from tests.support.broker import Broker
from tests.support.cms import SeededPayment, seed_payment
from tests.support.notices import sign
from tests.support.raw_message import raw_message
from tests.support.sandbox import Sandbox
from tests.support.system import serving
from workers.cli_audit_entry import operator_action
from workers.cli_errors import TaskFailed

Documents = Database[dict[str, Any]]

CONTEXT = Context(correlation_id="order-4711", source="payments.create_page", requested_by="cms")


@pytest.fixture
def world(settings: Settings, sandbox: Sandbox) -> Iterator[World]:
    """A world in which it is ten minutes ago, so that what happens in it is old enough to be sealed."""
    ago = timedelta(minutes=10)
    built = build_world(
        settings.model_copy(update={"paytabs_base_url": sandbox.url}), clock=lambda: datetime.now(UTC) - ago
    )
    ensure_indexes(built)
    yield built
    built.close()


@pytest.fixture
def paid(world: World, database: Documents, sandbox: Sandbox) -> SeededPayment:
    """A payment that was paid, as a raw delivery told and our question confirmed."""
    seeded = seed_payment(database)
    view = world.service.create_page(seeded.payment_id, PageTerms(), CONTEXT)
    assert view.tran_ref is not None
    sandbox.pay(view.tran_ref, "4111111111111111")
    body = sandbox.notify(view.tran_ref, url="http://127.0.0.1:9/nobody")["body"].encode()
    recorded = world.inbox.record(body, sign(body), correlation_id="delivery-1")
    world.inbox.record(body, sign(body), correlation_id="delivery-2")
    delivery = world.inbox.claim(recorded.delivery_id, "tests")
    assert delivery is not None
    apply(world, delivery, Context(correlation_id="delivery-1", source="webhooks.process"))
    return seeded


@pytest.fixture
def servers(servers: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The servers, and where the seals' copy is."""
    return servers | {"AUDIT_SEAL_FILE": str(tmp_path / "seals.jsonl")}


class TestVerify:
    """`audit verify`, `audit seal` and `audit list`."""

    def test_whole(self, command: Command, servers: dict[str, str], paid: SeededPayment, tmp_path: Path) -> None:
        """Sealed and untouched: exit code 0, and how much was looked at."""
        sealed = command("audit", "seal", **servers)
        assert sealed.exit_code == 0, sealed.output
        assert sealed.stdout.startswith("Seal 1 covers ")
        done = command("audit", "verify", **servers)
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("The trail is whole: 1 payments, ")
        assert str(tmp_path / "seals.jsonl") in done.stdout
        told = json.loads(command("audit", "verify", "--json", **servers).stdout)
        assert (told["whole"], told["broken"], told["checked"]["seals"]) == (True, [], 1)
        listed = json.loads(command("audit", "list", "--json", **servers).stdout)
        assert [one["heads"][0].partition("-")[0] for one in listed["seals"]] == [paid.payment_id]
        assert "No operator has done anything yet." in command("audit", "list", **servers).stdout

    def test_broken(
        self, command: Command, servers: dict[str, str], paid: SeededPayment, database: Documents, tmp_path: Path
    ) -> None:
        """A broken trail: the place in words, all facts as JSON, and exit code 1."""
        command("audit", "seal", **servers)
        database["payment_events"].update_one({"version": 2}, {"$set": {"data.amount": "1.00"}})
        done = command("audit", "verify", **servers)
        assert done.exit_code == 1
        assert done.stdout.startswith(f"The trail is broken. payment {paid.payment_id}, version 2: its content")
        told = json.loads(command("audit", "verify", "--json", "--no-file", **servers).stdout)
        assert told["broken"][0]["payment_id"] == paid.payment_id
        copy = tmp_path / "copy.jsonl"
        copy.write_text("")
        elsewhere = json.loads(command("audit", "verify", "--json", "--file", str(copy), **servers).stdout)
        assert [one["seal"] for one in elsewhere["broken"] if "seal" in one] == [1]

    @pytest.mark.usefixtures("paid")
    def test_no_copy(self, command: Command, servers: dict[str, str], tmp_path: Path) -> None:
        """A copy that is named and is not there, or is no file, is said to be so in a sentence."""
        for named in (tmp_path, tmp_path / "mistyped.jsonl"):
            wrong = command("audit", "verify", "--file", str(named), **servers)
            assert (wrong.exit_code, "--file" in wrong.stderr) == (2, True)
        unset = command("audit", "verify", **servers | {"AUDIT_SEAL_FILE": str(tmp_path)})
        assert unset.exit_code == 1
        assert f"the seals' copy {tmp_path} cannot be read" in unset.stderr

    @pytest.mark.usefixtures("paid")
    def test_apart(self, command: Command, servers: dict[str, str], database: Documents) -> None:
        """Seals that differ from their copy are not added to, and the sentence says what to do."""
        command("audit", "seal", **servers)
        database["audit_seals"].delete_many({})
        done = command("audit", "seal", **servers)
        assert done.exit_code == 1
        assert "Nothing was sealed: seal 1 in the database is not the one in the file" in done.stderr
        told = json.loads(command("audit", "verify", "--json", **servers).stdout)
        assert [one["seal"] for one in told["broken"]] == [1]


class TestAtATime:
    """`payment show --at`."""

    def test_then(self, command: Command, servers: dict[str, str], paid: SeededPayment, world: World) -> None:
        """State and history are those of that time."""
        history = world.store.load(paid.payment_id)
        opened = next(event for event in history if event.type == "PageOpened")
        observed = next(event for event in history if event.type == "TransactionObserved")
        assert opened.recorded_at < observed.recorded_at
        at = ("--at", opened.recorded_at.isoformat())
        then = json.loads(command("payment", "show", paid.payment_id, *at, "--json", **servers).stdout)
        assert then["payment"]["state"] == "AWAITING_PAYER"
        assert [event["version"] for event in then["history"]] == list(range(1, opened.version + 1))
        assert "AWAITING_PAYER" in command("payment", "show", paid.payment_id, *at, **servers).stdout
        now = ("--at", observed.recorded_at.isoformat())
        shown = json.loads(command("payment", "show", paid.payment_id, *now, "--json", **servers).stdout)
        assert shown["payment"]["state"] == "PAID"

    def test_before(self, command: Command, servers: dict[str, str], paid: SeededPayment) -> None:
        """Before anything had happened there was nothing."""
        at = ("--at", "2020-01-01T00:00:00Z")
        assert "Nothing had happened" in command("payment", "show", paid.payment_id, *at, **servers).stdout
        told = json.loads(command("payment", "show", paid.payment_id, *at, "--json", **servers).stdout)
        assert told == {"payment": None, "history": []}

    @pytest.mark.parametrize("text", ["yesterday", "2026-08-06T10:15:30"])
    def test_no_time(self, command: Command, servers: dict[str, str], text: str) -> None:
        """A time that is none, or has no zone, is refused."""
        done = command("payment", "show", "65f0c0ffee65f0c0ffee65f0", "--at", text, **servers)
        assert done.exit_code == 2
        assert "with a zone" in done.stderr


class TestExplain:
    """`payment explain`: why it is paid."""

    def test_json(self, command: Command, servers: dict[str, str], paid: SeededPayment, database: Documents) -> None:
        """Every fact says who asked and how it was learnt; the raw delivery, the cart and the reactions are named."""
        told = json.loads(command("payment", "explain", paid.payment_id, "--json", **servers).stdout)
        decided = told["decided_by"]
        assert (decided["state"], decided["type"]) == ("PAID", "TransactionObserved")
        events = {event["type"]: event for event in told["events"]}
        assert (events["PaymentCreated"]["requested_by"], events["PaymentCreated"]["learnt"]) == (
            "cms",
            "written by us",
        )
        (delivery,) = told["deliveries"]
        observed = events["TransactionObserved"]
        assert observed["version"] == decided["version"]
        assert (observed["delivery_id"], observed["state"]) == (delivery["id"], "PAID")
        assert observed["learnt"] == f"PayTabs' answer to our query, asked because of delivery {delivery['id']}"
        assert (delivery["seen"], delivery["status"], delivery["result"]) == (2, "done", "applied")
        assert delivery["signature"] == "verified when it came, and again now"
        (operation,) = told["operations"]
        sent = database["payment_operations"].find_one({"_id": operation["operation_id"]}) or {}
        assert [one["cart_id"] for one in operation["sends"]] == [one["cart_id"] for one in sent["sends"]]
        assert {one["handler"] for one in told["reactions"]} >= {"recount_contract", "email_client"}
        assert (told["reviews"], told["acts"]) == ([], [])

    def test_story(self, command: Command, servers: dict[str, str], paid: SeededPayment) -> None:
        """For a person the same is a story without raw bodies, and without anything about the payer."""
        story = command("payment", "explain", paid.payment_id, **servers).stdout
        for expected in (
            "is PAID, because of version",
            "asked for by cms",
            "correlation id order-4711",
            "came",
            "2 times",
        ):
            assert expected in story
        assert "Huda" not in story
        assert "example.com" not in story

    def test_waiting(
        self, command: Command, servers: dict[str, str], paid: SeededPayment, settings: Settings, silent_port: int
    ) -> None:
        """What waits in the broker about it is told with its queue and since when, and so is what a worker has."""
        operation = json.loads(command("payment", "explain", paid.payment_id, "--json", **servers).stdout)["operations"]
        with serving(settings) as app:
            app.send_task("payments.refund", kwargs={"payment_id": "f" * 24, "operation_id": "another"})
            app.send_task("payments.refund", kwargs={"payment_id": paid.payment_id, "operation_id": "r-1"})
            enqueue(app, "payments.poll", {"operation_id": operation[0]["operation_id"]}, "c")
        in_hand = raw_message("payments.verify", {"tran_ref": operation[0]["tran_ref"]}, queue="payments")
        with redis.Redis.from_url(servers["REDIS_URL"]) as broker:
            broker.hset("unacked", "tag", json.dumps([in_hand, "", "payments"]))
            broker.hset("unacked", "odd", "no message")
            broker.lpush("payments", "no message either")
        told = json.loads(command("payment", "explain", paid.payment_id, "--json", **servers).stdout)["waiting"]
        assert [(one["task"], one["queue"], one["ahead"]) for one in told] == [
            ("payments.refund", "payments.staff", 1),
            ("payments.poll", "reconcile.polls", 0),
            ("payments.verify", "payments", None),
        ]
        story = command("payment", "explain", paid.payment_id, **servers).stdout
        assert f"payments.refund waits in payments.staff since {told[0]['since']}, 1 before it" in story
        assert "payments.verify is with a worker; queued in payments since when its sender did not say" in story
        away = {**servers, "REDIS_URL": f"redis://127.0.0.1:{silent_port}/0"}
        assert "not known: the broker does not answer" in command("payment", "explain", paid.payment_id, **away).stdout

    def test_kept_no_more(
        self, command: Command, servers: dict[str, str], paid: SeededPayment, database: Documents
    ) -> None:
        """Once a delivery's body is gone the story says so; the rest stands."""
        database["webhook_inbox"].update_many({}, {"$unset": {"body": True, "headers": True}})
        told = json.loads(command("payment", "explain", paid.payment_id, "--json", **servers).stdout)
        assert told["deliveries"][0]["signature"] == "verified when it came; it is not kept whole any more"
        assert command("audit", "verify", "--no-file", **servers).exit_code == 0

    def test_review_and_acts(
        self, command: Command, servers: dict[str, str], paid: SeededPayment, world: World, sandbox: Sandbox
    ) -> None:
        """An open case is told with its evidence, and so is what operators asked for."""
        body = sandbox.notify(
            world.service.get(paid.payment_id).tran_ref or "", url="http://127.0.0.1:9/nobody", cart_amount="999.00",
            tran_total="999.00",
        )["body"].encode()  # fmt: skip
        delivery = world.inbox.claim(world.inbox.record(body, sign(body), correlation_id="d-3").delivery_id, "tests")
        assert delivery is not None
        apply(world, delivery, Context(correlation_id="d-3", source="webhooks.process"))
        words = ("payments.refund", f"payment_id={paid.payment_id}", "operation_id=r-1", "--no-wait")
        command("enqueue", *words, "--reason", "ticket 12", "--by", "omar", **servers)
        told = json.loads(command("payment", "explain", paid.payment_id, "--json", **servers).stdout)
        assert (told["decided_by"]["state"], told["decided_by"]["observed"]) == (
            "PAID",
            None,
        )  # a claim takes nothing away
        assert [case["reason"] for case in told["reviews"]] == ["a notice with another amount"]
        raised = next(event for event in told["events"] if event["type"] == "ReviewRaised")
        assert raised["delivery_id"] == delivery.delivery_id
        assert [(act["by"], act["reason"], act["phase"]) for act in told["acts"]] == [
            ("omar", "ticket 12", "begun"), ("omar", "ticket 12", "ended")
        ]  # fmt: skip
        story = command("payment", "explain", paid.payment_id, **servers).stdout
        assert "a notice with another amount" in story
        assert "omar: enqueue: ticket 12" in story

    def test_untouched(self, command: Command, servers: dict[str, str], database: Documents) -> None:
        """A payment that nobody has asked us for has no story, and an unknown one is one sentence."""
        seeded = seed_payment(database)
        assert "nothing has happened to it yet" in command("payment", "explain", seeded.payment_id, **servers).stdout
        unknown = command("payment", "explain", "65f0c0ffee65f0c0ffee65f0", **servers)
        assert unknown.exit_code == 1
        assert unknown.stderr.count("\n") == 1


class TestActs:
    """Every act through the command line is written down before and after."""

    def entries(self, database: Documents) -> list[dict[str, Any]]:
        """List what was written down, oldest first."""
        return list(AuditEntries(database).all())

    def test_enqueue(self, command: Command, servers: dict[str, str], database: Documents) -> None:
        """Who, what, why and the task's id; secrets are left out, and without a reason there is a usual one."""
        words = ("payments.charge_token", f"payment_id={'a' * 24}", "token=2C4654BC67A3E935C6B691FD6C8374BE")
        done = command("enqueue", *words, "operation_id=op-1", "--no-wait", **servers)
        assert done.exit_code == 0, done.output
        began, ended = self.entries(database)
        assert (began["phase"], ended["phase"], ended["began"]) == ("begun", "ended", began["n"])
        assert ended["arguments"] == {
            "task": "payments.charge_token", "payment_id": "a" * 24, "token": "[redacted]", "operation_id": "op-1",
        }  # fmt: skip
        assert ended["outcome"] == f"enqueued as {json.loads(done.stdout)['task_id']}"
        assert (ended["reason"], "@" in ended["by"]) == ("asked on the command line", True)
        assert "2C4654BC" not in str(self.entries(database))

    def test_looking(self, command: Command, servers: dict[str, str], database: Documents) -> None:
        """What only looks is not written down, and neither is what does not exist."""
        command("enqueue", "payments.get", f"payment_id={'a' * 24}", "--no-wait", **servers)
        command("enqueue", "payments.no_such", f"payment_id={'a' * 24}", "--no-wait", **servers)
        assert self.entries(database) == []
        assert len(Broker(servers["REDIS_URL"]).messages("payments")) == 1

    def test_no_trail(self, command: Command, servers: dict[str, str], free_port: int) -> None:
        """What cannot be written down is not done."""
        dead = servers | {"MONGO_URI": f"mongodb://127.0.0.1:{free_port}/nestcms"}
        times = {"SERVER_SELECTION_TIMEOUT_MS": "2500", "MONGO_ELECTION_TIMEOUT_MS": "500", "MONGO_TIMEOUT_MS": "2500"}
        done = command("enqueue", "payments.verify", f"payment_id={'a' * 24}", "--no-wait", **dead, **times)
        assert done.exit_code == 2
        assert "MongoDB at" in done.stderr
        assert Broker(servers["REDIS_URL"]).messages("payments") == []

    def test_failed(self, database: Documents) -> None:
        """How an act failed is written down, and the error goes on its way."""
        arguments = {"big": 2**80, "part": 0.5, "list": [{"n": 1}]}
        acting = operator_action(database, command="review settle", by="omar", reason="ticket", arguments=arguments)
        with pytest.raises(TaskFailed), acting:
            raise TaskFailed("payments.refund", "password: hunter2")
        _, ended = self.entries(database)
        assert ended["outcome"] == "failed: TaskFailed: the task payments.refund failed: password: [redacted]"
        assert ended["arguments"] == {"big": str(2**80), "part": "0.5", "list": [{"n": 1}]}

    @pytest.mark.parametrize("words", [["dead-letters", "replay", "ab"], ["rebuild-queues"]])
    def test_reason_is_needed(self, command: Command, servers: dict[str, str], words: list[str]) -> None:
        """An act without a reason is refused before anything is asked."""
        done = command(*words, **servers)
        assert done.exit_code == 2
        assert "--reason" in done.stderr

    @pytest.mark.parametrize("blank", ["--reason", "--by"])
    @pytest.mark.parametrize("words", [["audit", "accept", f"{'a' * 24}-1"], ["events", "replay", "cms_payments"]])
    def test_blanks_are_no_reason(
        self, command: Command, servers: dict[str, str], database: Documents, words: list[str], blank: str
    ) -> None:
        """Blanks say neither who nor why."""
        said = {"--reason": "a reason", "--by": "omar"} | {blank: "  "}
        done = command(*words, *(word for option in said.items() for word in option), **servers)
        assert (done.exit_code, blank in done.stderr) == (2, True)
        assert database["audit_entries"].count_documents({}) == 0

    @pytest.mark.usefixtures("paid")
    def test_rebuild(self, command: Command, servers: dict[str, str], database: Documents) -> None:
        """So is the rebuilding of queues, with what was enqueued."""
        done = command("rebuild-queues", "--reason", "the broker was lost", "--json", **servers)
        assert done.exit_code == 0, done.output
        _, ended = self.entries(database)
        assert ended["outcome"].startswith("enqueued 0 operations, 0 deliveries, ")
        assert "the broker was lost" in command("audit", "list", **servers).stdout


class TestAccept:
    """`audit accept`."""

    def test_late(
        self, command: Command, servers: dict[str, str], paid: SeededPayment, database: Documents, world: World
    ) -> None:
        """An event that was there too late is named until somebody accepts it with a reason; then it is noted."""
        last = world.store.load(paid.payment_id)[-1]
        database["payment_events"].delete_one({"_id": last.event_id})
        assert command("audit", "seal", **servers).exit_code == 0
        late = {**last.to_document(), "recorded_at": datetime.now(UTC) - timedelta(seconds=100)}
        late["hash"] = content_hash(stored_content(late))
        database["payment_events"].insert_one(late)
        assert command("audit", "seal", **servers).exit_code == 0
        done = command("audit", "verify", **servers)
        assert (done.exit_code, f"version {last.version}" in done.stdout) == (1, True)
        accepted = command("audit", "accept", last.event_id, "--reason", "a slow disk", "--by", "omar", **servers)
        assert accepted.exit_code == 0, accepted.output
        done = command("audit", "verify", **servers)
        assert (done.exit_code, "omar accepted it: a slow disk" in done.stdout) == (0, True)

    def test_not_late(self, command: Command, servers: dict[str, str], paid: SeededPayment) -> None:
        """What no seal names as late is not accepted, and neither is what is no event."""
        assert command("audit", "accept", f"{paid.payment_id}-1", "--reason", "x", **servers).exit_code == 1
        assert command("audit", "accept", paid.payment_id, "--reason", "x", **servers).exit_code == 2
