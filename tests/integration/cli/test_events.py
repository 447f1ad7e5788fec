import json
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from config.settings import Settings
from payments.outbox import COLLECTION as DELIVERIES
from payments.replay_scan import Span
from payments.replaying import COLLECTION, ReplayTerms
from payments.replaying_cms import CmsPayments
from tasks.publishing import leave_to_sweeps
from tasks.wiring import World, build_world, ensure_indexes
from tests.integration.cli.conftest import Command, Shell
from tests.support.broker import Broker
from tests.support.cms import seed_payment
from tests.support.histories import Group, tellings
from tests.support.replays import damage, live, ours, stored

Documents = Database[dict[str, Any]]

#: Who mends, and why.
SIGNED = ("--by", "omar", "--reason", "a restored backup")

#: In this process alone, which has connections that helpers must not inherit.
ALONE = ("--processes", "1")

HOUR_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    """A world in which it is an hour ago."""
    built = build_world(settings, clock=lambda: HOUR_AGO, send=leave_to_sweeps)
    ensure_indexes(built)
    yield built
    built.close()


def paid(world: World, database: Documents) -> str:
    """Have a payment paid, and return its id."""
    groups: list[Group] = next(one.groups for one in tellings() if len(one.groups) == 4)
    payment_id = seed_payment(database).payment_id
    live(world.store, payment_id, groups)
    return payment_id


class TestReplay:
    """`events replay`: the difference shown, and mended where wanted."""

    def test_mending(self, command: Command, servers: dict[str, str], database: Documents, world: World) -> None:
        """First a look that changes nothing, then the mending, written down with who and why; then nothing differs."""
        assert world.db.name == database.name
        made = stored(database, 200)
        before = ours(database)
        damage(database, [one.payment_id for one in made[:2]])
        damaged = ours(database)
        look = command("events", "replay", "cms_payments", *ALONE, "--dry-run", **servers)
        assert look.exit_code == 1, look.output
        assert f"{len(made)} payments, {sum(len(one.events) for one in made)} events, 2 differing" in look.stdout
        told = ("would be mended", str(made[0].payment_id), "gateway.captured", "1.00", "gateway.state", "VOIDED")
        assert [words for words in told if words not in look.stdout] == []
        assert ours(database) == damaged
        mended = command("events", "replay", "cms_payments", *ALONE, *SIGNED, **servers)
        assert mended.exit_code == 0, mended.output
        assert "2 mended" in mended.stdout
        assert "Replaying events" in mended.stderr
        assert ours(database) == before
        assert command("events", "replay", "cms_payments", *ALONE, "--dry-run", **servers).exit_code == 0
        begun, ended = database["audit_entries"].find().sort("_id", 1)
        assert (begun["command"], begun["by"], begun["reason"]) == ("events replay", *SIGNED[1::2])
        assert "2 mended" in ended["outcome"]

    def test_range(self, command: Command, servers: dict[str, str], database: Documents) -> None:
        """A stretch of time confines it; as JSON everything is there."""
        made = stored(database, 100)
        span = ("--from", "2026-03-01T08:00:03Z", "--to", "2026-03-01T08:00:06Z")
        done = command("events", "replay", "cms_payments", *ALONE, "--dry-run", "--json", *span, **servers)
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        assert 0 < told["counts"]["payments"] < len(made)
        assert (told["phase"], told["from"], told["samples"]) == ("done", "2026-03-01T08:00:03.000Z", [])

    def test_resumed(self, command: Command, servers: dict[str, str], database: Documents, world: World,
                     monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
        """What was interrupted goes on where it was, with the reason that it was begun with."""
        monkeypatch.setattr("payments.replay_scan.STRETCH", 100)
        made = stored(database, 300)
        damage(database, [made[-1].payment_id])
        terms = ReplayTerms("cms_payments", Span(), dry_run=False, by="omar", reason="a restored backup")
        replay_id = world.replayer.begin(terms)
        assert world.replayer.go_on(replay_id, 0)["phase"] == "scan"
        wrong = command("events", "replay", "contracts", "--resume", replay_id, **servers)
        assert (wrong.exit_code, "is a replay of cms_payments" in wrong.stderr) == (2, True)
        done = command("events", "replay", "cms_payments", *ALONE, "--resume", replay_id, **servers)
        assert done.exit_code == 0, done.output
        assert f"{len(made)} payments" in done.stdout
        assert database[COLLECTION].count_documents({}) == 1
        entry = database["audit_entries"].find_one({"phase": "begun"})
        assert entry is not None
        assert (entry["reason"], entry["arguments"]["replay_id"]) == ("a restored backup", replay_id)

    def test_processes(self, shell: Shell, servers: dict[str, str], database: Documents) -> None:
        """Several processes find and mend the same."""
        made = stored(database, 9_000)
        before = ours(database)
        damage(database, [one.payment_id for one in made[::100]])
        done = shell("events", "replay", "cms_payments", "--processes", "2", *SIGNED, **servers)
        assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
        told = f"{len(made)} payments, {sum(len(one.events) for one in made)} events, {len(made[::100])} mended"
        assert told in done.stdout
        assert ours(database) == before

    def test_killed_helper(self, command: Command, servers: dict[str, str], database: Documents,
                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
        """When one of its processes is killed, a replay says how to go on."""
        stored(database, 20)

        def broken(*_: object, **__: object) -> None:
            raise BrokenExecutor

        with monkeypatch.context() as patch:
            patch.setattr(CmsPayments, "pieces", broken)
            done = command("events", "replay", "cms_payments", *ALONE, *SIGNED, **servers)
        row = database[COLLECTION].find_one()
        assert row is not None
        assert (done.exit_code, f"--resume {row['_id']}" in done.stderr) == (1, True)
        again = command("events", "replay", "cms_payments", *ALONE, "--resume", row["_id"], **servers)
        assert again.exit_code == 0, again.output

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("imagined", "--dry-run"), "cms_payments"),
            (("cms_payments",), "--reason"),
            (("cms_payments", "--resume", "replay-1", "--dry-run"), "leave out"),
            (("cms_payments", "--resume", "replay-1"), "there is none with replay-1"),
            (("cms_payments", "--dry-run", "--from", "1h", "--to", "2h"), "a beginning before the end"),
        ],
    )
    def test_senseless(self, command: Command, servers: dict[str, str], words: tuple[str, ...], said: str) -> None:
        """What makes no sense is told before anything is done."""
        done = command("events", "replay", *words, *ALONE, **servers)
        assert done.exit_code == 2
        assert said in " ".join(done.stderr.split())


class TestRedeliver:
    """`events redeliver`: reactions that are over, done once more."""

    @pytest.fixture
    def events(self, world: World, database: Documents) -> list[str]:
        """Two paid payments whose reactions are all done; gives the ids of the events of their completion."""
        for _ in range(2):
            paid(world, database)
        done = {"status": "done", "done_at": HOUR_AGO, "due_at": None, "attempts": 3}
        database[DELIVERIES].update_many({}, {"$set": done})
        rows = database[DELIVERIES].find({"handler": "email_client"}).sort("_id", 1)
        return [row["event_id"] for row in rows]

    def test_again(
        self, command: Command, servers: dict[str, str], settings: Settings, database: Documents, events: list[str]
    ) -> None:
        """Each is owed again and enqueued; no other reaction is touched; it is written down who wanted it and why."""
        others = list(database[DELIVERIES].find({"handler": {"$ne": "email_client"}}))
        done = command("events", "redeliver", "email_client", "--since", "2h", *SIGNED, **servers)
        assert done.exit_code == 0, done.output
        assert done.stdout.splitlines()[0].startswith("2 of email_client since ")
        assert done.stdout.splitlines()[-1] == "Enqueued 2."
        rows = list(database[DELIVERIES].find({"handler": "email_client"}).sort("_id", 1))
        assert [(row["status"], row["done_at"], row["attempts"]) for row in rows] == [("waiting", None, 0)] * 2
        sent = Broker(str(settings.redis_url)).messages("events.reactions")
        assert sorted(one["kwargs"]["event_id"] for one in sent) == events
        assert {one["kwargs"]["handler"] for one in sent} == {"email_client"}
        assert list(database[DELIVERIES].find({"handler": {"$ne": "email_client"}})) == others
        begun, ended = database["audit_entries"].find().sort("_id", 1)
        assert (begun["command"], begun["by"], begun["reason"]) == ("events redeliver", *SIGNED[1::2])
        assert ended["outcome"] == "enqueued 2"

    def test_confined(self, command: Command, servers: dict[str, str], database: Documents, events: list[str]) -> None:
        """One payment's, or those of a stretch of time; what still waits is left to wait."""
        one = events[0].partition("-")[0]
        done = command("events", "redeliver", "email_client", "--since", "2h", "--payment", one, *SIGNED, **servers)
        assert done.stdout.splitlines()[-1] == "Enqueued 1."
        again = command("events", "redeliver", "email_client", "--since", "2h", *SIGNED, **servers)
        assert again.stdout.splitlines()[-1] == "Enqueued 1."
        for span in (("--since", "30m"), ("--since", "3h", "--until", "2h")):
            assert "Enqueued 0." in command("events", "redeliver", "email_client", *span, *SIGNED, **servers).stdout
        assert database[DELIVERIES].count_documents({"status": "waiting"}) == 2

    def test_unknown(self, command: Command, servers: dict[str, str]) -> None:
        """A reaction that there is not is told as such, with the ones there are."""
        done = command("events", "redeliver", "email_clint", "--since", "2h", *SIGNED, **servers)
        assert done.exit_code == 2
        assert "no reaction email_clint (did you mean email_client?)" in done.stderr
        assert "notify_cms" in done.stderr

    def test_tried_anew(self, world: World, events: list[str]) -> None:
        """A reaction that is owed again is tried for as long as a new one, however old its event is."""
        now = HOUR_AGO + timedelta(days=30)
        assert world.outbox.owe_again(events[0], "email_client", now)
        owed = world.outbox.claim(events[0], "email_client", now)
        assert owed is not None
        assert (owed.attempts, owed.owed_since) == (1, now)
        assert not world.outbox.owe_again(events[0], "email_client", now)
        assert not world.outbox.owe_again(f"{ObjectId()}-1", "email_client", now)
