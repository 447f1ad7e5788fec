import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pymongo.database import Database

from payments.audit_entries import ACCEPT, AuditEntries
from payments.errors import SealsDiffer
from payments.events import content_hash
from payments.seals import Seal
from tests.integration.payments.stage import Stage
from tests.integration.payments.trail import (
    SEALABLE_SECONDS,
    broken,
    chained_anew,
    events,
    paid,
    record,
    refunded,
    rewrite,
    seal,
    verify,
    where,
)
from tests.support.cms import SeededPayment, seed_payment
from tests.unit.payments.stories import CREATED
from workers.cli_audit_entry import operator_action

Document = dict[str, Any]


class TestSeals:
    """The seals are as safe as what they seal."""

    @pytest.fixture
    def three(self, stage: Stage, seeded: SeededPayment) -> list[Seal]:
        """Three seals, of which the second covers nothing."""
        paid(stage, seeded)
        made = [*seal(stage), *seal(stage)]
        refunded(stage, seeded)
        return [*made, *seal(stage)]

    def lines(self, stage: Stage) -> list[str]:
        """Read the copy's lines."""
        return self.path(stage).read_text().splitlines()

    def path(self, stage: Stage) -> Path:
        """Return where the copy is."""
        return Path(str(stage.settings.seal_file))

    def test_copy(self, stage: Stage, three: list[Seal]) -> None:
        """The copy has the same seals, each a line of JSON, and each leads to the one before."""
        read = [Seal.model_validate(json.loads(line)) for line in self.lines(stage)]
        assert read == three
        assert [one.prev_hash for one in read[1:]] == [one.hash for one in read[:-1]]
        assert (read[1].count, read[1].heads, read[2].since) == (0, [], read[1].horizon)

    def test_gone_from_database(self, stage: Stage, three: list[Seal]) -> None:
        """A seal that was removed from the database is found by its copy, whichever it is."""
        for one in three:
            row = stage.database["audit_seals"].find_one_and_delete({"_id": one.n}) or {}
            (finding,) = broken(stage)
            assert finding.seal == one.n
            assert "gone from the database" in finding.words
            stage.database["audit_seals"].insert_one(row)

    def test_all_gone_from_database(self, stage: Stage, three: list[Seal]) -> None:
        """So are all of them."""
        stage.database["audit_seals"].delete_many({})
        assert [finding.seal for finding in broken(stage)] == [one.n for one in three]

    def test_gone_from_file(self, stage: Stage, three: list[Seal]) -> None:
        """A seal that was removed from the copy is found by the database, whichever it is."""
        lines = self.lines(stage)
        for place, one in enumerate(three):
            self.path(stage).write_text("\n".join([*lines[:place], *lines[place + 1 :], ""]))
            (finding,) = broken(stage)
            assert finding.seal == one.n
            assert "not in" in finding.words

    @pytest.mark.usefixtures("three")
    def test_file_gone(self, stage: Stage) -> None:
        """A copy that is not there at all is found."""
        self.path(stage).unlink()
        (finding,) = broken(stage)
        assert str(self.path(stage)) in finding.words

    @pytest.mark.usefixtures("three")
    def test_gone_from_both(self, stage: Stage) -> None:
        """A seal that was removed from both is named by its place."""
        stage.database["audit_seals"].delete_one({"_id": 2})
        left = [line for line in self.lines(stage) if json.loads(line)["n"] != 2]
        self.path(stage).write_text("\n".join([*left, ""]))
        assert str(broken(stage)[0]) == "between seal 1 and seal 2: seal 2 is missing"

    @pytest.mark.usefixtures("three")
    def test_changed(self, stage: Stage) -> None:
        """A seal changed in the database differs from its copy; without the copy its hash tells."""
        stage.database["audit_seals"].update_one({"_id": 2}, {"$set": {"count": 7}})
        assert [finding.seal for finding in broken(stage)] == [2]
        assert broken(stage, with_file=False)[0].seal == 2

    def test_forged_with_events(self, stage: Stage, seeded: SeededPayment, three: list[Seal]) -> None:
        """Who forges a payment and all seals after it in the database is found by the copy alone, and named."""
        forged = events(stage, seeded)
        forged[3]["data"]["amount"] = "1.00"
        rewrite(stage, chained_anew(forged))
        path = self.path(stage)
        kept = path.read_text()
        path.unlink()
        stage.database["audit_seals"].delete_many({})
        assert stage.world.sealer.seal(60)
        assert broken(stage) == []
        path.write_text(kept)
        found = broken(stage)
        assert (seeded.payment_id, three[0].head_marks[seeded.payment_id].version) in [where(one) for one in found]

    @pytest.mark.usefixtures("three")
    def test_foreign_lines(self, stage: Stage) -> None:
        """A line that is no seal, or stands twice, is found; one that a dying writer has left torn is none of them."""
        first, *rest = self.lines(stage)
        self.path(stage).write_text("\n".join([first, "what is this?", *rest, ""]))
        assert "line 2" in broken(stage)[0].words
        self.path(stage).write_text("\n".join([first, first, *rest, ""]))
        assert "line 2" in broken(stage)[0].words
        self.path(stage).write_text("\n".join([first, rest[0][:20], rest[0][:40], *rest, rest[0][:5]]))
        assert broken(stage) == []

    def test_torn(self, stage: Stage, three: list[Seal]) -> None:
        """After a writer died in the middle of a line, the next one writes the whole line behind it."""
        whole = self.path(stage).read_text()
        self.path(stage).write_text(whole[:-30])
        (more,) = seal(stage)
        assert more.n == len(three) + 1
        assert broken(stage) == []
        assert len(self.lines(stage)) == more.n + 1

    @pytest.mark.usefixtures("three")
    def test_rolled_back(self, stage: Stage) -> None:
        """Once the database has other seals than the copy, none is added to either until a person has looked."""
        stage.database["audit_seals"].delete_one({"_id": 3})
        before = self.lines(stage)
        with pytest.raises(SealsDiffer, match="seal 3"):
            seal(stage)
        assert self.lines(stage) == before
        assert stage.database["audit_seals"].count_documents({}) == 2


class TestSealing:
    """Sealing is complete, and one at a time."""

    def test_margin(self, stage: Stage, seeded: SeededPayment) -> None:
        """What is younger than 90 seconds is left for the next seal."""
        record(stage, seeded, CREATED)
        stage.clock.advance(89)
        (early,) = stage.world.sealer.seal(60)
        stage.clock.advance(60)
        (later,) = stage.world.sealer.seal(60)
        assert (early.count, later.count) == (0, len(events(stage, seeded)))
        assert stage.world.sealer.seal(60) == []

    @pytest.mark.usefixtures("others")
    def test_many_at_once(self, stage: Stage, seeded: SeededPayment) -> None:
        """Eight who seal at the same moment make one seal, in the database and in the copy."""
        paid(stage, seeded)
        stage.clock.advance(SEALABLE_SECONDS)
        worlds = [stage.another_world() for _ in range(8)]
        without_file = [
            stage.another_world(audit_seal_url="http://127.0.0.1:9/", audit_seal_file=None) for _ in range(4)
        ]
        with ThreadPoolExecutor(12) as pool:
            made = list(pool.map(lambda one: one.sealer.seal(60), [*worlds, *without_file]))
        assert sorted(len(one) for one in made) == [0] * 11 + [1]
        assert seal(stage)
        assert verify(stage).whole

    def test_backlog(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """After a long pause several seals cover what one has no room for, without a gap and without anything twice."""
        monkeypatch.setattr("payments.span_reading.MOST_HEADS", 2)
        for _ in range(5):
            record(stage, seed_payment(stage.database), CREATED)
            stage.clock.advance(7)
        stage.clock.advance(SEALABLE_SECONDS)
        (first,) = stage.world.sealer.seal(-1)
        rest = stage.world.sealer.seal(60)
        made = [first, *rest]
        assert [len(one.heads) for one in made] == [2, 2, 1]
        assert made[-1].total == stage.database["payment_events"].count_documents({})
        assert verify(stage).whole

    @pytest.mark.usefixtures("others")
    def test_late(self, stage: Stage, seeded: SeededPayment) -> None:
        """An event committed later than its time allows is sealed as late and told of, until a person accepts it."""
        paid(stage, seeded)
        history = events(stage, seeded)
        stage.database["payment_events"].delete_one({"_id": history[-1]["_id"]})
        seal(stage)
        stage.database["payment_events"].insert_one(history[-1])
        stage.clock.advance(30)
        (noticed,) = stage.world.sealer.seal(60)
        assert list(noticed.late_marks) == [f"{seeded.payment_id}-{len(history)}"]
        assert "late_event" in stage.alerts()
        stage.clock.advance(30)
        assert stage.world.sealer.seal(60)[0].late == []
        (finding,) = broken(stage)
        assert (where(finding), finding.seal) == ((seeded.payment_id, len(history)), noticed.n)
        assert "as late" in finding.words
        (mark,) = noticed.late
        given = {"mark": mark, "payment_id": seeded.payment_id}
        with operator_action(stage.database, command=ACCEPT, by="omar", reason="a slow disk", arguments=given):
            pass
        report = verify(stage)
        assert report.whole, report.findings
        assert "omar accepted it: a slow disk" in report.notes[0]
        stage.database["payment_events"].delete_one({"_id": history[-1]["_id"]})
        assert where(broken(stage)[0]) == (seeded.payment_id, len(history))

    def test_no_file_for_now(self, stage: Stage, seeded: SeededPayment) -> None:
        """While the copy cannot be written sealing goes on, somebody is told, and the copy is completed afterwards."""
        path = Path(str(stage.settings.seal_file))
        path.parent.parent.joinpath("audit").write_text("in the way")
        record(stage, seeded, CREATED)
        assert len(seal(stage)) == 1
        assert "seal_not_written" in stage.alerts()
        path.parent.unlink()
        assert len(seal(stage)) == 1
        assert len(path.read_text().splitlines()) == 2
        assert verify(stage).whole


class Taker(BaseHTTPRequestHandler):
    """Takes seals, or answers what it is told to."""

    answers: list[int]
    taken: list[Document]

    def do_POST(self) -> None:
        """Take one."""
        body = self.rfile.read(int(self.headers["content-length"]))
        answer = self.answers.pop(0) if self.answers else 204
        if answer == 204:
            self.taken.append(json.loads(body))
        self.send_response(answer)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def taker() -> Iterator[tuple[str, type[Taker]]]:
    """Somebody outside who takes seals: the address, and what was taken."""
    kind = type("OwnTaker", (Taker,), {"answers": [], "taken": []})
    with HTTPServer(("127.0.0.1", 0), kind) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/seals", kind
        server.shutdown()


class TestPosting:
    """Seals can be posted to somebody outside."""

    def test_until_taken(self, stage: Stage, seeded: SeededPayment, taker: tuple[str, type[Taker]]) -> None:
        """Each seal is posted in its order until it is taken; meanwhile somebody is told, and sealing goes on."""
        url, kind = taker
        stage.world = stage.another_world(audit_seal_url=url, audit_seal_file=None)
        kind.answers = [503]
        paid(stage, seeded)
        (first,) = seal(stage)
        assert "503" in stage.alerts()["seal_not_posted"]
        (second,) = seal(stage)
        assert [Seal.model_validate(one) for one in kind.taken] == [first, second]
        seal(stage)
        assert [one["n"] for one in kind.taken] == [1, 2, 3]
        assert verify(stage).whole


class TestEntries:
    """What operators did is sealed as well."""

    @pytest.fixture
    def entries(self, stage: Stage) -> AuditEntries:
        """Three entries, of which two are sealed."""
        entries = AuditEntries(stage.database)
        for number in range(2):
            entries.append({"command": "enqueue", "arguments": {"number": number}}, stage.clock.now)
        seal(stage)
        entries.append({"command": "enqueue", "arguments": {"number": 2}}, stage.clock.now)
        return entries

    def test_whole(self, stage: Stage, entries: AuditEntries) -> None:
        """Untouched they are whole, and many writers leave no gap."""
        with ThreadPoolExecutor(6) as pool:
            numbers = list(pool.map(lambda n: entries.append({"n_was": n}, stage.clock.now), range(12)))
        assert sorted(numbers) == list(range(4, 16))
        report = verify(stage)
        assert report.whole, report.findings
        assert report.checked["entries"] == 15

    def test_removed(self, stage: Stage, entries: AuditEntries) -> None:
        """One that was removed is named."""
        entries.rows.delete_one({"_id": 2})
        assert broken(stage)[0].entry == 2
        entries.rows.delete_one({"_id": 1})
        assert broken(stage)[0].entry == 1

    def test_cut(self, stage: Stage, entries: AuditEntries) -> None:
        """The newest ones, cut off after they were sealed, are missed by the seal."""
        entries.rows.delete_many({"_id": {"$gte": 2}})
        (finding,) = broken(stage)
        assert finding.seal == 1
        assert "audit entry 2" in finding.words

    def test_changed(self, stage: Stage, entries: AuditEntries) -> None:
        """One that was changed is named, and found by the seal when its hashes were made right again."""
        entries.rows.update_one({"_id": 2}, {"$set": {"arguments.number": 9}})
        assert broken(stage)[0].entry == 2
        prev_hash = "0" * 64
        for entry in entries.all():
            content = {name: value for name, value in entry.items() if name not in ("_id", "hash")}
            content["prev_hash"], prev_hash = prev_hash, content_hash(content | {"prev_hash": prev_hash})
            entries.rows.replace_one({"_id": entry["_id"]}, {**content, "hash": prev_hash})
        assert [finding.seal for finding in broken(stage)] == [1]


class TestCost:
    """A minute's seal costs what the minute brought."""

    @pytest.mark.usefixtures("others")
    def test_index(self, stage: Stage, database: Database[Document]) -> None:
        """What a seal reads is read in the order of an index, and no more of it."""
        seal(stage)
        record(stage, seed_payment(database), CREATED)
        since, upto = stage.clock.now.replace(microsecond=0), stage.clock.now
        query = {"recorded_at": {"$gt": since, "$lte": upto}}
        order = [("recorded_at", 1), ("payment_id", 1), ("version", 1)]
        told = database["payment_events"].find(query).sort(order).explain()["executionStats"]
        fresh = database["payment_events"].count_documents(query)
        assert (told["totalDocsExamined"], told["totalKeysExamined"] <= fresh + 1) == (fresh, True)
