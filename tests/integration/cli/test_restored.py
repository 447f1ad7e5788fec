from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from config.connections import redis_client
from config.settings import Settings
from payments.events import Context
from payments.ordering import FollowUpTerms
from payments.service import PageTerms
from tasks.wiring import World, build_world, ensure_indexes
from tests.integration.cli.conftest import Command
from tests.support.cms import SeededPayment, seed_payment
from tests.support.copies import DatabaseCopy
from tests.support.notices import sign
from tests.support.sandbox import Sandbox

Documents = Database[dict[str, Any]]

CONTEXT = Context(correlation_id="order-4711", source="test")


@dataclass
class Lost:
    """A ledger that has forgotten a refund, and how it is typed about."""

    seeded: SeededPayment
    tran_ref: str
    type: Callable[..., Any]
    world: World
    seals: Path


@pytest.fixture
def variables(servers: dict[str, str], sandbox: Sandbox, tmp_path: Path) -> dict[str, str]:
    """The servers, PayTabs included, and where the seals' copy is."""
    return servers | {"PAYTABS_BASE_URL": sandbox.url, "AUDIT_SEAL_FILE": str(tmp_path / "seals.jsonl")}


@pytest.fixture
def lost(
    settings: Settings, database: Documents, sandbox: Sandbox, command: Command, variables: dict[str, str]
) -> Iterator[Lost]:
    """A payment that was paid, copied, refunded in part, sealed, and put back to the copy; all of an hour ago."""
    now, seals = [datetime.now(UTC) - timedelta(hours=1)], Path(variables["AUDIT_SEAL_FILE"])
    own = settings.model_copy(update={"paytabs_base_url": sandbox.url, "audit_seal_file": seals})
    world = build_world(own, clock=lambda: now[0])
    ensure_indexes(world)
    seeded = seed_payment(database)
    tran_ref = str(world.service.create_page(seeded.payment_id, PageTerms(), CONTEXT).tran_ref)
    sandbox.pay(tran_ref, "authorised")
    world.service.verify(seeded.payment_id, CONTEXT)
    for is_forgotten in (False, True):
        if is_forgotten:
            copy = DatabaseCopy(database)
            world.money.follow_up(seeded.payment_id, FollowUpTerms("refund", "40.00"), "r-1", CONTEXT)
        now[0] += timedelta(minutes=5)
        world.sealer.seal(60)
    copy.restore()
    yield Lost(seeded, tran_ref, lambda *words: command(*words, **variables), world, seals)
    world.close()


def forget(lost: Lost) -> None:
    """Lose what stands outside the database."""
    lost.seals.unlink(missing_ok=True)
    redis_client(str(lost.world.settings.redis_url)).flushdb()


class TestRestored:
    """`restored`, and `reconcile` before and after it."""

    def test_compared_before(self, lost: Lost) -> None:
        """Before anybody has said so the comparison finds what the seals tell of, and says that the two differ."""
        done = lost.type("reconcile", "--since", "2h")
        assert done.exit_code == 1, done.output
        assert "Entries: 1 agreeing, 0 only ours, 1 only theirs, 0 differing, 0 unanswered." in done.stdout
        assert "Nothing is sent: " in done.stdout
        assert "The seals differ: " in done.stdout

    def test_declared(self, lost: Lost, database: Documents) -> None:
        """Declared, it is an act in the trail; what was forgotten is taken over, and then everything agrees."""
        done = lost.type("restored", "--reason", "the disk was lost", "--by", "omar")
        assert done.exit_code == 0, done.output
        assert "Epoch 1 has begun" in done.stdout
        assert "named 1 operations" in done.stdout
        acts = database["audit_entries"].find({"command": "restored", "phase": "ended"})
        assert [(act["by"], act["outcome"]) for act in acts] == [("omar", "epoch 1 has begun")]
        assert not lost.seals.exists()
        again = lost.type("restored", "--reason", "the disk was lost")
        assert (again.exit_code != 0, "--since" in again.output) == (True, True)
        done = lost.type("reconcile", "--since", "2h", "--apply", "--by", "omar", "--note", "after the restore")
        assert done.exit_code == 0, done.output
        assert lost.world.service.get(lost.seeded.payment_id).refunded == "40.00"
        view = lost.world.money.follow_up(lost.seeded.payment_id, FollowUpTerms("refund", "40.00"), "r-1", CONTEXT)
        assert (view.status, view.amount, view.state) == ("succeeded", "40.00", "PART_REFUNDED")

    def test_known_to_the_cms(self, lost: Lost, database: Documents, sandbox: Sandbox) -> None:
        """With Redis and the seals lost too, what the document or the inbox knows of is asked about, and mended."""
        forget(lost)
        world = build_world(lost.world.settings, clock=lost.world.clock)
        paid, told = seed_payment(database), seed_payment(database)
        copy = DatabaseCopy(database)
        for seeded in (paid, told):
            tran_ref = str(world.service.create_page(seeded.payment_id, PageTerms(), CONTEXT).tran_ref)
            sandbox.pay(tran_ref, "authorised")
        world.service.verify(paid.payment_id, CONTEXT)
        document = database["payments"].find_one({"_id": paid.payment}) or {}
        body = sandbox.notify(tran_ref, url="http://127.0.0.1:9/nobody")["body"].encode()
        copy.restore()
        database["payments"].replace_one({"_id": paid.payment}, document)
        world.inbox.record(body, sign(body), correlation_id="delivery-1")
        database["webhook_inbox"].update_many({}, {"$set": {"status": "done", "result": {"result": "unknown_payment"}}})
        forget(lost)
        done = lost.type("reconcile", "--since", "2h")
        assert (done.exit_code, "2 only theirs" in done.stdout) == (1, True), done.stdout
        lost.type("restored", "--since", "55m", "--reason", "the disk was lost")
        done = lost.type("reconcile", "--since", "2h", "--apply", "--by", "omar", "--note", "after the restore")
        assert done.exit_code == 0, done.output
        assert [world.service.get(one.payment_id).state for one in (paid, told)] == ["PAID", "PAID"]
        world.close()

    def test_seals_edited(self, lost: Lost, database: Documents) -> None:
        """A comparison never ends with 0 while the seals differ, though nothing else does."""
        lost.type("restored", "--since", "55m", "--reason", "the disk was lost")
        lost.type("reconcile", "--since", "2h", "--apply", "--by", "omar", "--note", "after the restore")
        lost.world.sealer.seal(60)
        agreeing = lost.type("reconcile", "--since", "2h")
        assert agreeing.exit_code == 0, agreeing.output
        database["audit_seals"].update_one({"_id": 1}, {"$set": {"count": 99}})
        done = lost.type("reconcile", "--since", "2h")
        assert (done.exit_code, "The seals differ: " in done.stdout) == (1, True)
