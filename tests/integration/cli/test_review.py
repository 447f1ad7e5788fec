import contextlib
import getpass
import json
import os
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo import MongoClient
from pymongo.database import Database

from config.settings import Settings
from payments.cases import Case
from payments.errors import NotYet
from payments.operations import Status
from payments.owed import Kind
from tasks import wiring
from tasks.payments import refund, verify
from tests.integration.cli.conftest import Command
from tests.integration.payments.stage import PAID, Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox
from workers.cli_enqueue import read_arguments
from workers.cli_review_steps import enqueue
from workers.stack import EmbeddedMongo

DAY = 86_400.0


@pytest.fixture(scope="module")
def database_name(mongo: EmbeddedMongo) -> Iterator[str]:
    """The database of this file's tests, dropped after the last one."""
    yield "nestcms_cli_review"
    if mongo.servers[0].running:
        with MongoClient[dict[str, Any]](mongo.uri) as client:
            client.drop_database("nestcms_cli_review")


@pytest.fixture
def database(client: MongoClient[dict[str, Any]], database_name: str) -> Iterator[Database[dict[str, Any]]]:
    """The shared database, emptied after the test."""
    shared = client[database_name]
    yield shared
    for name in shared.list_collection_names():
        shared[name].delete_many({})


@pytest.fixture
def stage(
    settings: Settings, database: Database[dict[str, Any]], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    """A world that lives three days ago, where tasks run too; the command line lives today."""
    built = Stage(settings, database, sandbox)
    built.clock.advance(-3 * DAY)
    monkeypatch.setitem(wiring._worlds, os.getpid(), built.world)
    yield built
    built.close()


@pytest.fixture
def seeded(database: Database[dict[str, Any]]) -> SeededPayment:
    """A payment of 115.00 SAR."""
    return seed_payment(database)


@pytest.fixture
def gateway(servers: dict[str, str], sandbox: Sandbox) -> dict[str, str]:
    """The variables of the servers and of PayTabs, for which the sandbox stands in."""
    paytabs = {"PAYTABS_PROFILE": str(PROFILE_ID), "PAYTABS_SERVERK": SERVER_KEY, "PAYTABS_REGION": "SAU"}
    return servers | paytabs | {"PAYTABS_BASE_URL": sandbox.url}


def contradicted(stage: Stage, seeded: SeededPayment, amount: str = "1.00") -> str:
    """Have a paid payment contradicted by a signed notice, and return its reference."""
    tran_ref = stage.paid(seeded)
    stage.notice(tran_ref, cart_amount=amount, tran_total=amount)
    return tran_ref


def lost(stage: Stage, seeded: SeededPayment) -> None:
    """Lose a refund of which PayTabs never shows anything, a day before it is looked at."""
    stage.paid(seeded)
    stage.sandbox.fault("/payment/request", "http_500")
    with pytest.raises(NotYet):
        stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
    stage.live(DAY)


def paid_twice(stage: Stage, command: Command, seeded: SeededPayment, gateway: dict[str, str]) -> str:
    """Have a page overridden and paid, beside another one that is paid; return the old page's reference."""
    old = stage.open_page(seeded)
    still_open(stage)
    told(command("review", "override-page", seeded.payment_id, "--note", "lost the link", **gateway))
    stage.clock.advance(1)
    stage.paid(seeded)
    stage.sandbox.pay(old, PAID)
    stage.notice(old)
    return old


def still_open(stage: Stage) -> None:
    """Have the pages that were opened at the stage's time, days ago, live by the time of a command's own process."""
    ends = {"page.expires_at": datetime.now(UTC) + timedelta(minutes=20)}
    stage.database["payment_operations"].update_many({"open": True}, {"$set": ends})


def told(done: Any) -> Any:
    """Read what a command has printed as JSON."""
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def listed(command: Command, servers: dict[str, str]) -> list[dict[str, Any]]:
    """List the cases."""
    return list(told(command("review", "list", "--json", **servers)))


class TestList:
    """What waits for a human, of all payments."""

    def test_nothing(self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """A payment that is well is no case."""
        stage.paid(seeded)
        done = command("review", "list", **servers)
        assert (done.exit_code, done.stdout) == (0, "Nothing waits for a human.\n")
        assert listed(command, servers) == []

    def test_all_kinds(self, command: Command, servers: dict[str, str], stage: Stage) -> None:
        """Claims, doubts about operations and judged ones, the longest waiting first, also without a CMS document."""
        payments = [seed_payment(stage.database) for _ in range(3)]
        lost(stage, payments[0])
        contradicted(stage, payments[1])
        stage.clock.advance(1)
        stage.notice(stage.paid(payments[2]), cart_currency="USD", tran_currency="USD")
        stage.database["payments"].delete_many({})
        assert [(row["payment_id"], row["reason"]) for row in listed(command, servers)] == [
            (payments[0].payment_id, "refund op-1: nothing found within a day"),
            (payments[1].payment_id, "a notice with another amount"),
            (payments[2].payment_id, "a notice in another currency"),
        ]
        shown = command("review", "list", **servers).stdout
        for row in listed(command, servers):
            assert row["case_id"] in shown
            assert row["payment_id"] in shown

    def test_without_its_alert(
        self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment
    ) -> None:
        """An operation in review is found although its alert and its claim are gone."""
        lost(stage, seeded)
        stage.database["alerts"].delete_many({})
        stage.database["payment_events"].delete_many({"type": "ReviewRaised"})
        (row,) = listed(command, servers)
        assert (row["operation"]["operation_id"], row["reason"]) == ("op-1", "refund op-1: nothing found within a day")

    def test_dead_database(self, command: Command, free_port: int) -> None:
        """A database that does not answer is one sentence."""
        soon = {"MONGO_ELECTION_TIMEOUT_MS": "100", "SERVER_SELECTION_TIMEOUT_MS": "2100"}
        done = command("review", "list", MONGO_URI=f"mongodb://127.0.0.1:{free_port}/nestcms", **soon)
        assert done.exit_code == 2
        assert f"MongoDB at 127.0.0.1:{free_port} does not answer" in done.stderr


class TestShow:
    """What to do about the cases of one payment."""

    def test_in_doubt(self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """The operation, the cart to look for, what to do, and the lines to paste."""
        lost(stage, seeded)
        cart_id = stage.row(seeded).cart_id
        shown = command("review", "show", seeded.payment_id, **servers).stdout
        told_once = " ".join(shown.split())
        for expected in (cart_id, "op-1", "amount=40.00", "look for the cart and the amount in PayTabs' dashboard"):
            assert str(expected) in told_once
        assert f"nestcms-workers enqueue payments.verify payment_id={seeded.payment_id}\n" in shown
        (case,) = listed(command, servers)
        line = f"nestcms-workers review settle {case['case_id']} --not-happened --note 'what you found'"
        assert case["commands"][-1] == line
        assert f"  {line}\n" in shown

    def test_pasted(
        self, command: Command, servers: dict[str, str], gateway: dict[str, str], stage: Stage, seeded: SeededPayment
    ) -> None:
        """A payment that was paid twice is put right by pasting the proposed line, twice does no harm."""
        old = paid_twice(stage, command, seeded, gateway)
        (case,) = told(command("review", "show", seeded.payment_id, "--json", **servers))["cases"]
        look, give_back, _ = (shlex.split(line) for line in case["commands"])
        assert (look[:3], give_back[:3]) == (
            ["nestcms-workers", "enqueue", "payments.verify"], ["nestcms-workers", "enqueue", "payments.refund"],
        )  # fmt: skip
        verify.apply(kwargs=read_arguments(look[3:]), throw=True)
        for _ in range(2):
            answer: Any = refund.apply(kwargs=read_arguments(give_back[3:]), throw=True).result
            assert (answer["status"], answer["on"], answer["state"]) == ("succeeded", old, "PAID")
        assert listed(command, servers) == []
        assert stage.open_alerts() == {}
        assert sum(one["kind"] == "refund" for one in stage.sandbox.movements()) == 1

    def test_refused_proposal(
        self, command: Command, servers: dict[str, str], gateway: dict[str, str], stage: Stage, seeded: SeededPayment
    ) -> None:
        """Once PayTabs has refused what was proposed, the next line has an id of its own."""
        paid_twice(stage, command, seeded, gateway)
        ids = []
        for balance in (1.0, None):
            stage.sandbox.switch(merchant_balance=balance)
            (case,) = listed(command, servers)
            arguments = read_arguments(shlex.split(case["commands"][1])[3:])
            ids.append(arguments["operation_id"])
            refund.apply(kwargs=arguments, throw=True)
        assert [stage.world.ledger.get(name).status for name in ids] == [Status.REFUSED, Status.SUCCEEDED]  # type: ignore[union-attr]  # both are there, or this fails
        assert listed(command, servers) == []

    def test_well(self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """A payment without a case says how it stands, and that nothing waits."""
        stage.paid(seeded)
        shown = command("review", "show", seeded.payment_id, **servers).stdout
        assert "PAID" in shown
        assert shown.endswith("Nothing of it waits for a human.\n")

    def test_unknown(self, command: Command, servers: dict[str, str], stage: Stage) -> None:
        """A payment that is not there is one sentence."""
        assert stage.database.name
        done = command("review", "show", "65f0c0ffee65f0c0ffee65f0", **servers)
        assert done.exit_code == 1
        assert "cannot be shown" in done.stderr


class TestSettle:
    """Closing a case takes a name and a note, and both are kept."""

    def test_claim(self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """By the beginning of its id; who and why stand in the history and are shown; the alert is closed."""
        contradicted(stage, seeded)
        (case,) = listed(command, servers)
        done = told(command("review", "settle", case["case_id"][:5], "--note", "a test of theirs", **servers))
        assert (done["case_id"], done["state"], done["left"]) == (case["case_id"], "PAID", [])
        event = stage.world.service.history(seeded.payment_id)[-1]
        assert (event["type"], event["source"], event["requested_by"]) == ("ReviewSettled", "cli", done["by"])
        assert event["data"]["by"].startswith(f"{getpass.getuser()}@")
        assert event["data"]["note"] == "a test of theirs"
        assert (listed(command, servers), stage.open_alerts()) == ([], {})
        shown = command("review", "show", seeded.payment_id, **servers).stdout
        for expected in ("Decided before", "a test of theirs", done["by"]):
            assert expected in shown

    def test_one_of_two(self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """Another case of the payment stays, and the alert says so."""
        tran_ref = contradicted(stage, seeded)
        stage.notice(tran_ref, cart_currency="USD", tran_currency="USD")
        first, second = listed(command, servers)
        words = ("review", "settle", first["case_id"], "--note", "theirs", "--by", "omar")
        done = told(command(*words, **servers))
        assert (done["by"], done["left"]) == ("omar", [second["reason"]])
        assert stage.open_alerts() == {"payment_review": second["reason"]}

    def test_not_happened(self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """An operation in doubt is declared not to have happened, by that word only; the payment is free again."""
        lost(stage, seeded)
        (case,) = listed(command, servers)
        refused = command("review", "settle", case["case_id"], "--note", "fine", **servers)
        assert refused.exit_code == 1
        assert "operation op-1 is in doubt" in refused.stderr
        words = (*shlex.split(case["commands"][-1])[1:], "--by", "omar")
        with self.just_sent(stage):
            refused = command(*words, **servers)
            assert refused.exit_code == 1
            assert "cannot be carrying out any more; from" in refused.stderr
        assert told(command(*words, **servers))["state"] == "PAID"
        data = stage.world.service.history(seeded.payment_id)[-1]["data"]
        assert (data["operation_id"], data["by"], data["note"]) == ("op-1", "omar", "what you found")
        assert stage.follow_up(seeded, "refund").state == "REFUNDED"

    @contextlib.contextmanager
    def just_sent(self, stage: Stage) -> Iterator[None]:
        """Have the operation sent at this moment, as far as its row tells."""
        rows = stage.database["payment_operations"]
        sent = (rows.find_one({"_id": "op-1"}) or {})["sends"][0]["sent_at"]
        rows.update_one({"_id": "op-1"}, {"$set": {"sends.0.sent_at": wiring.utc_now()}})
        yield
        rows.update_one({"_id": "op-1"}, {"$set": {"sends.0.sent_at": sent}})

    def test_nothing_in_doubt(
        self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment
    ) -> None:
        """What is not about an operation cannot be declared not to have happened."""
        contradicted(stage, seeded)
        (case,) = listed(command, servers)
        refused = command("review", "settle", case["case_id"], "--not-happened", "--note", "no", **servers)
        assert "without --not-happened" in refused.stderr
        assert listed(command, servers) == [case]

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("00000000", "--note", "n"), "Error: Case 00000000 cannot be settled: there is no open case of that id"),
            (("xyz", "--note", "n"), "expected up to 8 hexadecimal digits, got 'xyz'"),
            (("00000000",), "Missing option '--note'"),
        ],
    )
    def test_refused(
        self, command: Command, servers: dict[str, str], stage: Stage, words: tuple[str, ...], said: str
    ) -> None:
        """An id that nothing has or that is none, and a missing note, are one sentence."""
        assert stage.database.name
        done = command("review", "settle", *words, **servers)
        assert done.exit_code in (1, 2)
        assert said in done.stderr

    def test_empty_note(self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """An empty note says nothing."""
        contradicted(stage, seeded)
        (case,) = listed(command, servers)
        done = command("review", "settle", case["case_id"], "--note", " ", **servers)
        assert (done.exit_code, "a word about why" in done.stderr) == (1, True)

    def test_card_number(self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """A card number that somebody pastes into a note is not kept."""
        contradicted(stage, seeded)
        (case,) = listed(command, servers)
        told(command("review", "settle", case["case_id"], "--note", "paid by 4111 1111 1111 1111", **servers))
        assert "4111" not in str(stage.world.service.history(seeded.payment_id)[-1])

    def test_ambiguous(
        self, command: Command, servers: dict[str, str], stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A beginning that several ids have names none of them."""
        for seeded in (seed_payment(stage.database), seed_payment(stage.database)):
            contradicted(stage, seeded)
        monkeypatch.setattr(Case, "case_id", property(lambda case: f"0{case.payment_id[-7:]}"))
        done = command("review", "settle", "0", "--note", "n", **servers)
        assert (done.exit_code, "several ids begin so" in done.stderr) == (1, True)
        assert len(listed(command, servers)) == 2


class TestOverridePage:
    """An open page is set aside, once PayTabs has said that nobody has paid it."""

    def test_overridden(self, command: Command, gateway: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """Another page can be made; who and why stand in the history."""
        tran_ref = stage.open_page(seeded)
        still_open(stage)
        words = ("review", "override-page", seeded.payment_id, "--note", "lost the link", "--by", "omar")
        done = told(command(*words, **gateway))
        assert done == {
            "payment_id": seeded.payment_id, "operation_id": stage.row(seeded).operation_id, "tran_ref": tran_ref,
            "by": "omar", "state": "NEW",
        }  # fmt: skip
        data = stage.world.service.history(seeded.payment_id)[-1]["data"]
        assert (data["by"], data["note"]) == ("omar", "lost the link")
        assert "lost the link" in command("review", "show", seeded.payment_id, **gateway).stdout
        stage.clock.advance(1)
        assert stage.open_page(seeded) != tran_ref

    def test_paid(self, command: Command, gateway: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """A page that was paid meanwhile is paid."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        done = command("review", "override-page", seeded.payment_id, "--note", "n", **gateway)
        assert done.exit_code == 1
        assert "is as it was: payment_id: expected a payment with an open page; this one is PAID" in done.stderr
        assert stage.state(seeded) == "PAID"

    def test_silent(self, command: Command, gateway: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """Without PayTabs' word nothing is done."""
        stage.open_page(seeded)
        gateway["PAYTABS_BASE_URL"] = "http://127.0.0.1:9"
        done = command("review", "override-page", seeded.payment_id, "--note", "n", **gateway)
        assert done.exit_code == 1
        assert "PayTabs does not say how its page stands (gateway_connect_refused)" in done.stderr
        assert stage.state(seeded) == "AWAITING_PAYER"

    def test_no_paytabs(self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """Without whole credentials and without a sandbox that runs, nobody is asked, and it says what is missing."""
        stage.open_page(seeded)
        done = command("review", "override-page", seeded.payment_id, "--note", "n", **servers)
        assert done.exit_code == 2
        assert "set PAYTABS_PROFILE, PAYTABS_SERVERK and PAYTABS_REGION" in done.stderr
        half = {"PAYTABS_SERVERK": "SREALKEY01-AAAA2222BB-CCCC3333DD"}
        done = command("review", "override-page", seeded.payment_id, "--note", "n", **servers, **half)
        assert (done.exit_code, "PAYTABS_PROFILE: missing" in done.stderr) == (2, True)
        assert stage.row(seeded).open


class TestDocumentGone:
    """A document that the CMS has deleted is looked for until a person says that it is gone."""

    def test_said(self, command: Command, servers: dict[str, str], stage: Stage, seeded: SeededPayment) -> None:
        """The line that the alert prints ends it; who and why stand in the trail. Typed too early it is refused."""
        tran_ref = stage.open_page(seeded)
        refused = command("review", "document-gone", seeded.payment_id, "--note", "n", **servers)
        assert (refused.exit_code, "is not" in refused.stderr) == (1, True)
        stage.database["payments"].delete_one({"_id": seeded.payment})
        stage.sandbox.pay(tran_ref, PAID)
        stage.notice(tran_ref)
        words = stage.open_alerts()["projection_missing"].partition("nestcms-workers ")[2].replace("WHY", "duplicate")
        closing = command("alerts", "close", "projection_missing:payments", "--reason", "none", **servers)
        assert (closing.exit_code, "document-gone" in closing.stderr) == (1, True)
        answer = told(command(*shlex.split(words), "--by", "omar", **servers))
        assert answer == {"id": seeded.payment_id, "collection": "payments", "by": "omar"}
        ended = stage.database["audit_entries"].find_one({"command": "review document-gone", "phase": "ended",
                                                          "by": "omar"}) or {}  # fmt: skip
        assert (ended["reason"], ended["arguments"]) == ("duplicate", {"id": seeded.payment_id})
        owed = stage.world.owed.rows.find(Kind.PAYMENTS, seeded.payment)
        assert owed is not None
        assert (owed.gone_by, owed.due_at) == ("omar", None)


#: Texts, also those that read as JSON, and numbers short of the 24 digits of an id.
VALUES = (
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(["115.00", "null", "1e5", "[]", '"', "65f0c0ffee65f0c0ffee65f0", "123456789012345678901234"])
    | st.integers(-(10**15), 10**15)
)


@given(VALUES)
def test_pasted_as_meant(value: object) -> None:
    """Whatever stands in a line is read back as it was."""
    words = shlex.split(enqueue("payments.refund", {"amount": value}))
    assert words[:3] == ["nestcms-workers", "enqueue", "payments.refund"]
    assert read_arguments(words[3:]) == {"amount": value}


class TestWord:
    """What the CMS says of its own payments is a person's to settle."""

    @pytest.mark.parametrize(("way", "state", "status"), [
        ("ours", "DECLINED", "failed"), ("theirs", "DECLINED", "paid"), ("outside", "SETTLED_OUTSIDE", "paid"),
    ])  # fmt: skip
    def test_three_ways(
        self, stage: Stage, command: Command, servers: dict[str, str], seeded: SeededPayment, *, way: str, state: str,
        status: str,
    ) -> None:  # fmt: skip
        """The lines that are printed settle it; who and why stand in the history and in the trail."""
        self.contradict(stage, seeded)
        (case,) = listed(command, servers)
        assert case["code"] == "cms_status_changed"
        refused = command("review", "settle", case["case_id"], "--note", "cash", **servers)
        assert (refused.exit_code != 0, "--as ours, theirs or outside" in refused.output) == (True, True)
        (line,) = [line for line in case["commands"] if f"--as {way} " in line]
        answer = told(command(*shlex.split(line)[1:], "--by", "omar", **servers))
        assert (answer["state"], answer["left"]) == (state, [])
        assert stage.cms(seeded)["status"] == status
        ended = stage.database["audit_entries"].find_one({"command": "review settle", "outcome": "done"})
        assert ended is not None
        assert (ended["arguments"]["as"], ended["by"]) == (way, "omar")
        assert listed(command, servers) == []

    def test_other_cases(self, stage: Stage, command: Command, servers: dict[str, str], seeded: SeededPayment) -> None:
        """A case about anything else is settled without saying whose word stands."""
        contradicted(stage, seeded)
        (case,) = listed(command, servers)
        done = command("review", "settle", case["case_id"], "--as", "ours", "--note", "n", **servers)
        assert (done.exit_code != 0, "without --as" in done.output) == (True, True)

    def test_import(self, stage: Stage, command: Command, gateway: dict[str, str], seeded: SeededPayment) -> None:
        """A payment that was settled outside is taken over with a reason; one that was not is refused."""
        words = ("review", "import-settled", seeded.payment_id, "--note", "cash, receipt 17", "--by", "omar")
        refused = command(*words, **gateway)
        assert (refused.exit_code != 0, "is as it was" in refused.output) == (True, True)
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"status": "paid"}})
        answer = told(command(*words, **gateway))
        assert (answer["state"], answer["status"], answer["by"]) == ("SETTLED_OUTSIDE", "paid", "omar")
        ended = stage.database["audit_entries"].find_one({"command": "review import-settled", "outcome": "done"})
        assert ended is not None
        assert (ended["reason"], ended["arguments"]["payment_id"]) == ("cash, receipt 17", seeded.payment_id)
        shown = told(command("review", "show", seeded.payment_id, "--json", **gateway))
        assert [one["what"] for one in shown["decisions"]] == ["PaymentSettledOutside"]
        assert command("review", "show", seeded.payment_id, **gateway).exit_code == 0
        assert command("payment", "explain", seeded.payment_id, **gateway).exit_code == 0

    @staticmethod
    def contradict(stage: Stage, seeded: SeededPayment) -> None:
        """Have a declined payment called paid by the CMS."""
        stage.sandbox.pay(stage.open_page(seeded), "declined")
        stage.verify(seeded)
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"status": "paid"}})
        stage.world.documents.look(seeded.payment_id, stage.context())
