"""The same act by the command line and by task: one entry where it is done, with who and why."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import pytest
import redis
import requests
from bson import ObjectId
from pydantic import SecretStr
from pymongo.database import Database

from aggregations.index_sync import IndexBuilder
from config.queues import QUEUES
from config.settings import Settings
from payments.accepting import InvoiceTerms
from payments.audit_entries import AuditEntries, EntryChain
from payments.audit_trail import NO_REASON, UNNAMED
from payments.errors import InvalidArgument
from payments.events import Context
from payments.money import IN_THE_ROW
from payments.service import PageTerms
from tasks.indexing import plan_now
from tasks.wiring import World, build_world, ensure_indexes, use_world
from tests.integration.cli.conftest import Command
from tests.support.broker import Broker
from tests.support.cms import seed_payment
from tests.support.sandbox import Sandbox
from tests.support.stored_cards import CARD_KEY
from tests.support.system import serving
from workers.cli import cli
from workers.cli_enqueue import all_tasks, arguments_of
from workers.cli_enqueue_acts import acts

Json = dict[str, Any]
Documents = Database[Json]

#: Acts that stand in the audit trail, by task, whichever door they come by.
IN_THE_TRAIL = {
    "payments.capture", "payments.void", "payments.release", "payments.refund", "tokens.delete", "cards.forget",
    "invoices.cancel", "invoices.send_sms", "invoices.mark_paid", "events.replay", "indexes.sync",
    "maintenance.redact", "views.refresh",
}  # fmt: skip

#: Attempts at a payment: who asked for one stands in its events, which are chained and sealed like the trail.
IN_THE_EVENTS = {
    "payments.create_page", "payments.charge_token", "payments.charge_card", "payments.managed_form", "invoices.create",
}  # fmt: skip

#: What asks PayTabs, or does what the system owes anyway: nobody decides anything.
NOBODYS = {
    "payments.verify", "payments.poll", "webhooks.process", "events.handle", "maintenance.rebuild_views",
    "maintenance.tend_alerts", "later.keep", "later.sweep", "later.revoke", "maintenance.store_results",
    "maintenance.wake_sleepers",
}  # fmt: skip

#: Commands that change something, and by which module's hands they are written down: the act's own, or the command's
#: where there is no other door.
COMMANDS = {
    "enqueue": "the task's", "events replay": "the act's", "retention run": "the act's", "indexes sync": "the act's",
    "events redeliver": "the command's", "dead-letters replay": "the command's", "rebuild-queues": "the command's",
    "alerts close": "the command's", "audit accept": "the command's", "review settle": "the command's",
    "review override-page": "the command's", "reconcile": "the command's", "seed": "the command's",
    "review import-settled": "the command's", "review document-gone": "the command's",
    "dead-letters close": "the command's",
    "cards reencrypt": "the command's", "cards forget": "the act's", "restored": "the command's",
    "servers hand-over": "the command's",
}  # fmt: skip

LINES = {"line_items": [{"description": "Instalment", "quantity": "1", "unit_cost": "115.00", "total": "115.00"}]}


@dataclass
class Doors:
    """A world, its command line, and what its trail says."""

    world: World
    command: Command
    servers: dict[str, str]
    sandbox: Sandbox
    seen: int = 0
    made: int = 0
    payments: list[str] = field(default_factory=list)

    def task(self, name: str, arguments: Json) -> Any:
        """Run a task here and now, as a worker would."""
        return all_tasks()[name].apply(kwargs=arguments, throw=True).get()

    def by_task(self, name: str, arguments: Json, **who: str) -> list[Json]:
        """Have an act done by task, and return what the trail says of it."""
        self.task(name, {**arguments, **who})
        return self.entries()

    def by_command(self, name: str, arguments: Json, *options: str) -> list[Json]:
        """Have it typed, run the task that was enqueued, and return what the trail says of the act itself."""
        typed = [f"{key}={value if isinstance(value, str) else str(value).lower()}" for key, value in arguments.items()]
        done = self.command("enqueue", name, *typed, *options, "--no-wait", **self.servers)
        assert done.exit_code == 0, done.output
        waiting = [one for queue in QUEUES for one in Broker(self.servers["REDIS_URL"]).messages(queue)]
        (message,) = [one for one in waiting if one["task"] == name]
        with redis.Redis.from_url(self.servers["REDIS_URL"]) as broker:
            broker.delete(*QUEUES)
        self.task(message["task"], message["kwargs"])
        return [entry for entry in self.entries() if entry["command"] != "enqueue"]

    def entries(self) -> list[Json]:
        """Return what is new in the trail, whose chain has to be whole."""
        found = list(AuditEntries(self.world.db).all())
        assert list(EntryChain().findings(found)) == []
        new, self.seen = found[self.seen :], len(found)
        return new

    def payment(self) -> str:
        """Return a payment of the CMS."""
        return seed_payment(self.world.db).payment_id

    def taken(self, transaction: Any = "sale") -> str:
        """Return a payment that is paid, or authorised."""
        payment_id, context = self.payment(), Context(correlation_id="c", source="tests")
        view = self.world.service.create_page(payment_id, PageTerms(transaction=transaction), context)
        self.sandbox.pay(view.tran_ref or "", "authorised")
        self.world.service.verify(payment_id, context)
        return payment_id

    def billed(self) -> str:
        """Return a payment with an open invoice."""
        payment_id = self.payment()
        self.made += 1
        context = Context(correlation_id="c", source="tests")
        self.world.invoices.create(payment_id, InvoiceTerms(LINES), f"bill-{self.made}", context)
        return payment_id

    def token(self) -> str:
        """Return a stored card."""
        answer = requests.post(f"{self.sandbox.url}/sandbox/token", json={"card": "authorised"}, timeout=15)
        return str(answer.json()["token"])

    def card(self) -> str:
        """Return the id of a card that is kept here."""
        payment_id, context = self.payment(), Context(correlation_id="c", source="tests")
        view = self.world.service.create_page(payment_id, PageTerms(tokenise=2), context)
        self.sandbox.pay(view.tran_ref or "", "authorised")
        self.world.service.verify(payment_id, context)
        document = self.world.db["payments"].find_one({"_id": ObjectId(payment_id)}) or {}
        return str(document["gateway"]["card"]["card_id"])

    def id(self) -> str:
        """Return an operation id that was not used before."""
        self.made += 1
        return f"op-{self.made}"


@pytest.fixture
def doors(
    settings: Settings, database: Documents, command: Command, servers: dict[str, str], sandbox: Sandbox
) -> Iterator[Doors]:
    """This process's world, on a real broker that nobody serves."""
    assert database.name == settings.mongo_database
    with serving(settings):
        built = build_world(
            settings.model_copy(update={"paytabs_base_url": sandbox.url, "card_keys": SecretStr(CARD_KEY)})
        )
        ensure_indexes(built)
        use_world(built)
        yield Doors(built, command, servers, sandbox)
        use_world(None)


#: How each act of a trail is asked for: its command there, and its arguments, made anew each time.
ASKED: dict[str, tuple[str, Callable[[Doors], Json]]] = {
    "payments.refund": (
        "payments.refund", lambda at: {"payment_id": at.taken(), "operation_id": at.id(), "amount": "7.00"},
    ),
    "payments.capture": ("payments.capture", lambda at: {"payment_id": at.taken("auth"), "operation_id": at.id()}),
    "payments.void": ("payments.void", lambda at: {"payment_id": at.taken("auth"), "operation_id": at.id()}),
    "payments.release": ("payments.release", lambda at: {"payment_id": at.taken("auth"), "operation_id": at.id()}),
    "tokens.delete": ("tokens.delete", lambda at: {"token": at.token(), "operation_id": at.id()}),
    "cards.forget": ("cards.forget", lambda at: {"card_id": at.card(), "operation_id": at.id()}),
    "invoices.cancel": ("invoices.cancel", lambda at: {"payment_id": at.billed(), "operation_id": at.id()}),
    "invoices.send_sms": (
        "invoices.send_sms",
        lambda at: {"payment_id": at.billed(), "operation_id": at.id(), "phone": "+966500000123"},
    ),
    "invoices.mark_paid": (
        "invoices.mark_paid",
        lambda at: {"payment_id": at.billed(), "operation_id": at.id(), "pay_method": "cash",
                    "pay_description": "at the desk"},
    ),
    "events.replay": ("events replay", lambda at: {"projection": "cms_payments"}),  # noqa: ARG005 - as the others
    "indexes.sync": ("indexes sync", lambda at: {"drop_undeclared": True, "create_collections": not drop(at)}),
    "maintenance.redact": ("retention run", lambda at: {}),  # noqa: ARG005
    "views.refresh": ("views.refresh full", lambda at: {"name": "mv_receivables", "full": True}),  # noqa: ARG005
}  # fmt: skip


def drop(at: Doors) -> bool:
    """Drop an index, so that there is something to build."""
    if "projects" in at.world.db.list_collection_names():
        at.world.db["projects"].drop_indexes()
    return False


def reason_in(task: str) -> str:
    """Name the argument in which a task takes why."""
    return "audit_reason" if "audit_reason" in arguments_of(task).model_fields else "reason"


class TestTables:
    """Every task and every command is decided upon."""

    def test_tasks(self) -> None:
        """A task is an act in the trail, an attempt in the events, nobody's, or only looks; a new one has to be put."""
        decided = IN_THE_TRAIL | IN_THE_EVENTS | NOBODYS
        ours = [name for name, task in all_tasks().items() if task.__module__.startswith("tasks.")]
        assert {name for name in ours if acts(name)} == decided
        assert ASKED.keys() == IN_THE_TRAIL

    @pytest.mark.parametrize("task", sorted(IN_THE_TRAIL))
    def test_who_and_why(self, task: str) -> None:
        """Whoever asks for an act may say who and why."""
        assert {"requested_by", reason_in(task)} <= arguments_of(task).model_fields.keys()

    def test_commands(self) -> None:
        """Every command that takes a reason or a note is in the table, and no other."""
        found = {name for name, params in commands(cli) if {"reason", "note"} & params}
        assert found == COMMANDS.keys()


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Give every command with its parameters."""
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands(command, (*path, name))
        return
    yield " ".join(path), {str(one.name) for one in group.params}


class TestAnswers:
    """By task an act is answered as by its command."""

    def test_replay(self, doors: Doors) -> None:
        """A replay: the same counts in the same shape."""
        payments = [doors.taken() for _ in range(3)]
        doors.world.db["payments"].update_one({"_id": ObjectId(payments[0])}, {"$set": {"gateway.captured": "1.00"}})
        words = ("events", "replay", "cms_payments", "--processes", "1", "--dry-run", "--json")
        typed = doors.command(*words, **doors.servers)
        answer = doors.task("events.replay", {"projection": "cms_payments", "dry_run": True})
        told = json.loads(typed.stdout)
        assert (typed.exit_code, told["differs"], answer["differs"]) == (1, True, True)
        assert (
            told["counts"] == answer["counts"] == {"payments": 3, "events": answer["counts"]["events"], "differing": 1}
        )
        for name in ("members", "samples", "projection", "phase", "dry_run"):
            assert told[name] == answer[name]
        assert told.keys() == answer.keys()

    @pytest.mark.parametrize(
        ("typed", "asked"),
        [
            (["cms_payments"], {"projection": "cms_payments"}),
            (["imagined", "--dry-run"], {"projection": "imagined", "dry_run": True}),
            (["cms_payments", "--resume", "replay-1"], {"replay_id": "replay-1"}),
            (
                ["cms_payments", "--dry-run", "--from", "2026-03-02T00:00:00Z", "--to", "2026-03-01T00:00:00Z"],
                {"projection": "cms_payments", "dry_run": True,
                 "range": {"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"}},
            ),
        ],
        ids=["no reason", "no such projection", "no such replay", "no span"],
    )  # fmt: skip
    def test_refusals(self, doors: Doors, typed: list[str], asked: Json) -> None:
        """What is refused is refused in the same words."""
        done = doors.command("events", "replay", *typed, **doors.servers)
        with pytest.raises(InvalidArgument) as refused:
            doors.task("events.replay", asked)
        assert done.exit_code == 2
        assert str(refused.value) in done.stderr
        assert doors.entries() == []

    def test_indexes(self, doors: Doors) -> None:
        """Building indexes: what was built, what waits and what was refused, and nothing when there is nothing."""
        doors.taken()
        doors.world.db["projects"].insert_one({"contract": 1})
        words = ("indexes", "sync", "--json", "--reason", "drill")
        answer = doors.task("indexes.sync", {"reason": "drill"})
        built = set(answer["built"])
        assert built
        doors.world.db["projects"].drop_indexes()
        doors.world.db["payments"].drop_indexes()
        typed = json.loads(doors.command(*words, **doors.servers).stdout)
        assert typed.keys() == answer.keys()
        assert set(typed["built"]) <= built
        assert set(typed["waiting"]) == set(answer["waiting"])
        again = doors.task("indexes.sync", {"reason": "drill"})
        assert again == json.loads(doors.command(*words, **doors.servers).stdout)
        assert (again["built"], again["left"]) == ({}, [])

    def test_no_index(self, doors: Doors) -> None:
        """One that cannot be built is refused in the same sentence."""
        doors.world.db["projects"].create_index([("employee", -1)], name="nw_projects_employee")
        typed = json.loads(doors.command("indexes", "sync", "--json", "--reason", "drill", **doors.servers).stdout)
        answer = doors.task("indexes.sync", {"reason": "drill"})
        assert answer["refused"] == typed["refused"]
        assert answer["refused"]

    def test_no_time(self, doors: Doors) -> None:
        """What a run has no time for is named as left, and is built when it is asked for again."""
        doors.world.db["projects"].insert_one({"contract": 1})
        report = IndexBuilder(doors.world.db, seconds=0).sync(plan_now(doors.world.db))
        assert report.left
        assert set(doors.task("indexes.sync", {"reason": "drill"})["built"]) >= set(report.left)


class TestDoors:
    """One act, one entry that it began and one that it ended, by whichever door."""

    @pytest.mark.parametrize("task", sorted(IN_THE_TRAIL))
    def test_same_entry(self, doors: Doors, task: str) -> None:
        """By task and by the command line the trail says the same, but for who and what it was done to."""
        command, arguments = ASKED[task]
        why = {reason_in(task): "ticket 12"}
        first = doors.by_task(task, arguments(doors), requested_by="omar", **why)
        second = doors.by_command(task, arguments(doors), "--by", "huda", "--reason", "ticket 13")
        for entries, who, reason in ((first, "omar", "ticket 12"), (second, "huda", "ticket 13")):
            begun, ended = entries
            assert (begun["phase"], ended["phase"], ended["began"]) == ("begun", "ended", begun["n"])
            for entry in entries:
                assert (entry["command"], entry["by"], entry["reason"]) == (command, who, reason)
                assert entry["source"] == task
            assert begun["arguments"] == ended["arguments"]
            assert not ended["outcome"].startswith("failed")
        assert first[0].keys() == second[0].keys()
        assert first[0]["arguments"].keys() == second[0]["arguments"].keys()

    def test_own_commands(self, doors: Doors) -> None:
        """The commands for a replay, for indexes and for retention leave the entries that the tasks do."""
        stored = doors.taken()
        doors.world.db["payments"].update_many({}, {"$set": {"gateway.captured": "1.00"}})
        words = {
            "events replay": ("events", "replay", "cms_payments", "--processes", "1"),
            "indexes sync": ("indexes", "sync", "--create-collections"),
            "retention run": ("retention", "run"),
        }
        for command, typed in words.items():
            done = doors.command(*typed, "--by", "huda", "--reason", "drill", **doors.servers)
            assert done.exit_code == 0, done.output
            begun, ended = doors.entries()
            assert (begun["command"], begun["by"], begun["reason"], begun["source"]) == (
                command,
                "huda",
                "drill",
                "cli",
            )
            assert (ended["phase"], ended["began"]) == ("ended", begun["n"])
        assert doors.world.service.get(stored).state == "PAID"

    @pytest.mark.parametrize("task", sorted(IN_THE_TRAIL - {"maintenance.redact", "views.refresh"}))
    def test_unnamed(self, doors: Doors, task: str) -> None:
        """Who does not say who, or why, is written down as such."""
        needed = {"reason": "drill"} if task in ("events.replay", "indexes.sync") else {}
        for entry in doors.by_task(task, ASKED[task][1](doors), **needed):
            assert (entry["by"], entry["reason"]) == (UNNAMED, needed.get("reason", NO_REASON))

    @pytest.mark.parametrize("task", ["maintenance.redact", "views.refresh"])
    def test_the_schedules(self, doors: Doors, task: str) -> None:
        """What the schedule does is nobody's act."""
        assert doors.by_task(task, ASKED[task][1](doors)) == []

    def test_dry_run(self, doors: Doors) -> None:
        """Neither is a look."""
        assert doors.by_task("events.replay", {"projection": "cms_payments", "dry_run": True}) == []

    def test_once(self, doors: Doors) -> None:
        """Asked again under the same id, an act stands there once."""
        asked = ASKED["payments.refund"][1](doors)
        assert len(doors.by_task("payments.refund", asked)) == 2
        assert doors.by_task("payments.refund", asked) == []

    def test_refused(self, doors: Doors) -> None:
        """An act that is refused ends as such."""
        with pytest.raises(InvalidArgument):
            doors.task("payments.capture", {"payment_id": doors.taken(), "operation_id": "c-1", "requested_by": "omar"})
        _, ended = doors.entries()
        assert ended["outcome"].startswith("failed: InvalidArgument: amount: ") or "payment_id" in ended["outcome"]

    def test_callers_words(self, doors: Doors) -> None:
        """A caller's words for PayTabs may be about a payer: they stay in the row, which is redacted in time."""
        asked = {**ASKED["payments.refund"][1](doors), "reason": "Huda has moved out", "requested_by": "cms"}
        entries = doors.by_task("payments.refund", asked)
        assert {entry["reason"] for entry in entries} == {IN_THE_ROW}
        assert "Huda" not in str(entries)
        row = doors.world.ledger.get(asked["operation_id"])
        assert row is not None
        assert (row.params["title"], row.requested_by) == ("Huda has moved out", "cms")
        assert "Huda" not in str([event.content for event in doors.world.store.load(asked["payment_id"])])

    def test_secrets(self, doors: Doors) -> None:
        """A token is nowhere in the trail, and neither is a card number in somebody's words."""
        asked = ASKED["tokens.delete"][1](doors)
        entries = doors.by_task("tokens.delete", asked, audit_reason="he read me 4111 1111 1111 1111")
        assert entries
        assert asked["token"] not in str(entries)
        assert "4111" not in str(entries)

    @pytest.mark.parametrize("task", ["payments.create_page", "payments.refund"])
    def test_who_in_the_events(self, doors: Doors, task: str) -> None:
        """Typed at the command line, an attempt and a follow-up name the operator in their events."""
        asked = ASKED[task][1](doors) if task in ASKED else {"payment_id": doors.payment()}
        before = len(doors.world.store.load(asked["payment_id"]))
        doors.by_command(task, asked, "--by", "huda")
        new = doors.world.store.load(asked["payment_id"])[before:]
        assert {event.context.requested_by for event in new} == {"huda"}

    def test_killed(self, doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
        """An act whose worker dies goes on under the entry that it began with, and ends once."""
        asked = {**ASKED["payments.refund"][1](doors), "requested_by": "omar"}
        accept = type(doors.world.money._parts.follow_ups).accept

        def killed(*arguments: Any) -> Any:
            accept(*arguments)
            monkeypatch.undo()
            raise ConnectionError

        monkeypatch.setattr(type(doors.world.money._parts.follow_ups), "accept", killed)
        with pytest.raises(ConnectionError):
            doors.task("payments.refund", asked)
        (begun,) = doors.entries()
        (ended,) = doors.by_task("payments.refund", asked)
        assert (begun["phase"], ended["phase"], ended["began"]) == ("begun", "ended", begun["n"])
