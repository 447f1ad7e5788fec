import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from config.settings import Settings
from payments.events import Context
from payments.service import PageTerms
from tasks.wiring import World, build_world, ensure_indexes
from tests.integration.cli.conftest import Command
from tests.support.cms import SeededPayment, seed_payment
from tests.support.sandbox import Sandbox
from workers import cli_world
from workers.cli_run_file import RunFile

Documents = Database[dict[str, Any]]

#: Who corrects, and why.
SIGNED = ("--by", "omar", "--note", "monthly")


@pytest.fixture
def world(settings: Settings, sandbox: Sandbox) -> Iterator[World]:
    """A world as it was an hour ago, so that no query can lag behind what happened in it."""
    began = datetime.now(UTC) - timedelta(hours=1)
    built = build_world(settings.model_copy(update={"paytabs_base_url": sandbox.url}), clock=lambda: began)
    ensure_indexes(built)
    yield built
    built.close()


@pytest.fixture
def pay(world: World, database: Documents, sandbox: Sandbox) -> Callable[[], tuple[SeededPayment, str]]:
    """Has payments paid, and gives each with its reference."""

    def one() -> tuple[SeededPayment, str]:
        seeded, context = seed_payment(database), Context(correlation_id="order-4711", source="test")
        tran_ref = str(world.service.create_page(seeded.payment_id, PageTerms(), context).tran_ref)
        sandbox.pay(tran_ref, "authorised")
        world.service.verify(seeded.payment_id, context)
        return seeded, tran_ref

    return one


@pytest.fixture
def variables(servers: dict[str, str], sandbox: Sandbox) -> dict[str, str]:
    """The servers, PayTabs included."""
    return servers | {"PAYTABS_BASE_URL": sandbox.url}


Pay = Callable[[], tuple[SeededPayment, str]]


class TestReconcile:
    """The two ledgers, compared from the command line."""

    def test_agreeing(self, command: Command, variables: dict[str, str], pay: Pay, database: Documents) -> None:
        """When everything agrees that is said, with the run's id, and the exit code is 0."""
        pay()
        pay()
        done = command("reconcile", "--since", "2h", **variables)
        assert done.exit_code == 0, done.output
        (record,) = database["reconciliations"].find()
        assert done.stdout.splitlines() == [
            f"Reconciliation {record['_id']}: 2 of 2 payments compared.",
            "Entries: 2 agreeing, 0 only ours, 0 only theirs, 0 differing, 0 unanswered.",
        ]
        assert "Comparing payments" in done.stderr
        assert (record["applied"], record["complete"], "@" in record["by"]) == (False, True, True)

    def test_window(self, command: Command, variables: dict[str, str], pay: Pay) -> None:
        """What happened outside the window is not compared."""
        pay()
        for words in (("--since", "30m"), ("--since", "3h", "--until", "2h")):
            done = command("reconcile", *words, **variables)
            assert (done.exit_code, "0 of 0 payments" in done.stdout) == (0, True)
        since = (datetime.now(UTC) - timedelta(hours=2)).isoformat()
        assert "1 of 1 payments" in command("reconcile", "--since", since, **variables).stdout

    def test_only_theirs(self, command: Command, variables: dict[str, str], pay: Pay, sandbox: Sandbox,
                         database: Documents) -> None:  # fmt: skip
        """A refund at the desk: told with exit code 1, changed only when asked to, and then all agrees."""
        seeded, tran_ref = pay()
        refund = sandbox.dashboard(tran_ref, "refund", amount="40.00")["tran_ref"]
        known = list(database["payment_events"].find())
        done = command("reconcile", "--since", "1d", **variables)
        assert done.exit_code == 1
        assert done.stdout.splitlines()[0] == (
            f"{seeded.payment_id}  only_theirs  {refund}  ours nothing, "
            f"PayTabs' refund A 40.00 SAR on {tran_ref}  [open]"
        )
        assert "--apply records what PayTabs shows" in done.stdout
        assert list(database["payment_events"].find()) == known

        corrected = command("reconcile", "--since", "1d", "--apply", *SIGNED, **variables)
        assert (corrected.exit_code, "1 corrected" in corrected.stdout) == (0, True)
        cms = database["payments"].find_one({"_id": seeded.payment})
        assert cms is not None
        assert cms["gateway"]["state"] == "PART_REFUNDED"
        (event,) = database["payment_events"].find({"data.tran_ref": refund, "type": "TransactionObserved"})
        assert database["reconciliations"].find_one({"_id": event["causation_id"], "by": "omar", "note": "monthly"})
        assert command("reconcile", "--since", "1d", **variables).exit_code == 0

    def test_only_ours(self, command: Command, variables: dict[str, str], pay: Pay, sandbox: Sandbox) -> None:
        """What PayTabs does not show stays exit code 1 after it was applied: it needs a human."""
        _, tran_ref = pay()
        sandbox.reset()
        for _ in range(2):
            done = command("reconcile", "--since", "1d", "--apply", *SIGNED, **variables)
            assert done.exit_code == 1
            assert f"only_ours    {tran_ref}  ours sale A 115.00 SAR, PayTabs' nothing  [review]" in done.stdout
            assert "1 for a human" in done.stdout

    def test_json(self, command: Command, variables: dict[str, str], pay: Pay, sandbox: Sandbox) -> None:
        """For programs: everything that does not agree, and the record of the run, as one object."""
        (first, first_ref), (second, second_ref) = pay(), pay()
        for ref in (first_ref, second_ref):
            sandbox.dashboard(ref, "refund")
        done = command("reconcile", "--since", "1d", "--json", "--note", "a look", **variables)
        assert (done.exit_code, done.stderr) == (1, "")
        report = json.loads(done.stdout)
        assert [one["payment_id"] for one in report["findings"]] == sorted([first.payment_id, second.payment_id])
        assert report["findings"][0] | {"tran_ref": "", "payment_id": ""} == {
            "payment_id": "", "kind": "only_theirs", "tran_ref": "", "operation_id": None,
            "fields": [], "standing": "open", "ours": None, "question": None, "detail": None,
            "theirs": {"type": "refund", "status": "A", "amount": "115.00", "currency": "SAR",
                       "acts_on": first_ref},
        }  # fmt: skip
        assert report["counts"]["only_theirs"] == report["counts"]["open"] == 2
        assert (report["note"], report["applied"], report["complete"]) == ("a look", False, True)
        assert report["id"].startswith("rec-")
        assert report["started_at"].endswith("Z")

    def test_json_empty(self, command: Command, variables: dict[str, str], pay: Pay) -> None:
        """Without anything to tell it is one object as well."""
        pay()
        report = json.loads(command("reconcile", "--since", "1d", "--json", **variables).stdout)
        assert (report["findings"], report["counts"]["agreeing"]) == ([], 1)

    def test_unanswered(self, command: Command, variables: dict[str, str], pay: Pay, sandbox: Sandbox) -> None:
        """What PayTabs did not say is exit code 2, and nothing that anybody could take for a difference."""
        _, tran_ref = pay()
        sandbox.fault("/payment/query", "html_200", times=0)
        done = command("reconcile", "--since", "1d", "--apply", *SIGNED, "--patience", "1", **variables)
        assert done.exit_code == 2
        assert f"unanswered   tran_ref {tran_ref}  not answered: not_json" in done.stdout
        assert "0 only ours" in done.stdout
        assert "for a human" not in done.stdout

    def test_refused_key(self, command: Command, variables: dict[str, str], pay: Pay) -> None:
        """A key that PayTabs refuses ends the run at once, with exit code 2 and the alert on standard error."""
        for _ in range(3):
            pay()
        wrong = {"PAYTABS_SERVERK": "SWRONGKEY0-AAAA2222BB-CCCC3333DD", "PAYTABS_PROFILE": "987654",
                 "PAYTABS_REGION": "SAU"}  # fmt: skip
        done = command("reconcile", "--since", "1d", **variables | wrong)
        assert done.exit_code == 2
        assert "1 of 3 payments compared" in done.stdout
        assert "PayTabs does not answer: the run was given up." in done.stdout
        assert "gateway_configuration" in done.stderr
        assert "SWRONGKEY0" not in done.output


class TestWords:
    """What is asked for is checked before anything is."""

    def test_help(self, command: Command) -> None:
        """The command explains itself, its exit codes included."""
        done = command("reconcile", "--help", LOG_LEVEL="loud")
        assert (done.exit_code, "needs a human" in done.stdout) == (0, True)

    @pytest.mark.parametrize("time", ["yesterday", "24", "2026-13-01", "99999999999d", ""])
    def test_since(self, command: Command, time: str) -> None:
        """A time that is none is refused, with what was expected."""
        done = command("reconcile", "--since", time)
        assert done.exit_code == 2
        assert "expected a time such as 2026-08-06T10:15:30Z, or a duration" in done.stderr

    def test_order(self, command: Command, variables: dict[str, str]) -> None:
        """A window that ends before it begins is refused."""
        done = command("reconcile", "--since", "1h", "--until", "2h", **variables)
        assert (done.exit_code, "--since: expected a time before" in done.stderr) == (2, True)

    @pytest.mark.parametrize("words", [(), ("--by", "omar"), ("--note", "monthly"), ("--by", "", "--note", "")])
    def test_anonymous(self, command: Command, words: tuple[str, ...]) -> None:
        """Nobody corrects anonymously, or without saying why."""
        done = command("reconcile", "--since", "1h", "--apply", *words)
        assert done.exit_code == 2
        assert "expected --by NAME and --note TEXT" in done.stderr


class TestServers:
    """Where the ledgers are."""

    def test_running_stack(self, command: Command, settings: Settings, sandbox: Sandbox, tmp_path: Path,
                           pay: Pay) -> None:  # fmt: skip
        """Without settings they are those of the `up` that runs here, the sandbox included."""
        pay()
        (tmp_path / "local").mkdir()
        file = RunFile(tmp_path / "local")
        file.write(settings, {}, sandbox_url=sandbox.url)
        done = command("reconcile", "--since", "1d")
        assert (done.exit_code, "1 of 1 payments compared" in done.stdout) == (0, True), done.output

    def test_no_paytabs(self, command: Command, servers: dict[str, str]) -> None:
        """Without credentials and without a stack that runs, the real PayTabs is not asked."""
        done = command("reconcile", "--since", "1d", **servers)
        assert done.exit_code == 2
        assert "PayTabs has to be asked first" in done.stderr

    def test_dead_database(
        self, command: Command, variables: dict[str, str], free_port: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A database that does not answer is one sentence."""
        monkeypatch.setattr(cli_world, "READ_SECONDS", 1.0)
        done = command("reconcile", "--since", "1d", **variables | {"MONGO_URI": f"mongodb://127.0.0.1:{free_port}/"})
        assert done.exit_code == 2
        assert f"MongoDB at 127.0.0.1:{free_port} does not answer" in done.stderr
