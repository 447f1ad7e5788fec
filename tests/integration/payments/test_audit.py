import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from payments.audit import Audit
from payments.audit_entries import AuditEntries
from payments.errors import SealsDiffer
from payments.events import content_hash, stored_content
from payments.facts import Fact
from payments.findings import Finding, Report
from payments.seals import Seal
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment, seed_payment
from tests.unit.payments.stories import CREATED, after, opened, seen, sent

Document = dict[str, Any]

#: Time enough for what was recorded to be sealed.
SEALABLE_SECONDS = 91.0


@pytest.fixture
def stage(stage: Stage, tmp_path: Path) -> Stage:
    """A stage whose seals' copy is this test's own."""
    stage.settings = stage.settings.model_copy(update={"audit_seal_file": tmp_path / "audit" / "seals.jsonl"})
    stage.world = stage.another_world()
    return stage


@pytest.fixture
def others(stage: Stage) -> list[SeededPayment]:
    """Two more payments that are paid, one before and one after the payment under test in the order of their ids."""
    both = [seed_payment(stage.database) for _ in range(2)]
    for one in both:
        paid(stage, one)
    return both


def paid(stage: Stage, seeded: SeededPayment) -> None:
    """Have a payment paid, in three changes that PayTabs' answers would lead to."""
    reference = f"T{seeded.payment_id}"
    for told in ([CREATED, sent()], [opened(1, reference)], [seen(reference, "sale", "A")]):
        record(stage, seeded, *told)


def refunded(stage: Stage, seeded: SeededPayment) -> None:
    """Have it refunded."""
    record(stage, seeded, after(f"T{seeded.payment_id}", f"R{seeded.payment_id}", "refund", "A"))


def record(stage: Stage, seeded: SeededPayment, *told: Fact) -> None:
    """Commit facts."""
    stage.world.store.change(seeded.payment_id, stage.context(), lambda change: change.record(*told))


def seal(stage: Stage) -> list[Seal]:
    """Let time pass until everything is old enough, and seal it."""
    stage.clock.advance(SEALABLE_SECONDS)
    return stage.world.sealer.seal(60)


def verify(stage: Stage, *, with_file: bool = True) -> Report:
    """Verify the whole trail."""
    file = stage.world.sealer._parts.file if with_file else None
    return Audit(stage.database, file, lambda _name, _by: None).verify()


def broken(stage: Stage, *, with_file: bool = True) -> list[Finding]:
    """List the broken places."""
    return verify(stage, with_file=with_file).findings


def events(stage: Stage, seeded: SeededPayment) -> list[Document]:
    """List a payment's events as they are stored."""
    return list(stage.database["payment_events"].find({"payment_id": seeded.payment}).sort("version", 1))


def rewrite(stage: Stage, documents: list[Document]) -> None:
    """Put documents in the place of those of the same payment."""
    rows = stage.database["payment_events"]
    rows.delete_many({"payment_id": documents[0]["payment_id"]})
    rows.insert_many(documents)


def chained_anew(documents: list[Document]) -> list[Document]:
    """Return a history whose links and hashes are right again, as a forger makes it who knows how."""
    prev_hash = "0" * 64
    for document in documents:
        document["prev_hash"] = prev_hash
        prev_hash = document["hash"] = content_hash(stored_content(document))
    return documents


def where(finding: Finding) -> tuple[str | None, int | None]:
    """Return the payment and the version that a finding names."""
    return finding.payment_id, finding.version


class TestUntouched:
    """What nobody has touched is whole."""

    def test_nothing(self, stage: Stage) -> None:
        """An empty trail is whole, sealed or not."""
        assert verify(stage).whole
        stage.world.sealer.seal(60)
        assert verify(stage).whole

    def test_whole(self, stage: Stage, seeded: SeededPayment, others: list[SeededPayment]) -> None:
        """Payments, some sealed and some not yet, are whole, and everything was looked at."""
        stage.paid(seeded)
        first = seal(stage)
        stage.follow_up(seeded, "refund")
        second = seal(stage)
        stage.paid(seed_payment(stage.database))
        report = verify(stage)
        assert report.whole, report.findings
        assert [one.n for one in (*first, *second)] == [1, 2]
        count = stage.database["payment_events"].count_documents({})
        assert report.checked == {"payments": 4, "events": count, "entries": 0, "seals": 2}
        assert report.sealed_until == second[0].horizon
        assert first[0].count + second[0].count == second[0].total == count - len(events_newer(stage, second[0]))
        assert set(first[0].head_marks) == {one.payment_id for one in (seeded, *others)}
        assert set(second[0].head_marks) == {seeded.payment_id}

    @pytest.mark.usefixtures("others")
    def test_being_written(self, stage: Stage) -> None:
        """A trail that grows while it is verified is whole."""
        seal(stage)
        with ThreadPoolExecutor(4) as pool:
            paying = [pool.submit(stage.paid, seed_payment(stage.database)) for _ in range(4)]
            reports = [verify(stage) for _ in range(5)]
            for one in paying:
                one.result()
        assert [report.findings for report in reports] == [[]] * 5


def events_newer(stage: Stage, sealed: Seal) -> list[Document]:
    """List the events after a seal's horizon."""
    found = stage.database["payment_events"].find()
    return [one for one in found if stored_content(one)["recorded_at"] > sealed.horizon]


class TestTampering:
    """Whatever is done to events directly in the database, the place is named."""

    @pytest.fixture
    def sealed(self, stage: Stage, seeded: SeededPayment, others: list[SeededPayment]) -> list[Document]:
        """A paid payment's events, sealed together with other payments'."""
        paid(stage, seeded)
        (first,) = seal(stage)
        assert len(first.heads) == 1 + len(others)
        assert verify(stage).whole
        return events(stage, seeded)

    def test_flipped(self, stage: Stage, seeded: SeededPayment, sealed: list[Document]) -> None:
        """An event whose amount was changed is named."""
        flipped = sealed[3]["_id"]
        stage.database["payment_events"].update_one({"_id": flipped}, {"$set": {"data.amount": "1.00"}})
        found = broken(stage)
        assert where(found[0]) == (seeded.payment_id, 4)
        assert "changed after it was written" in found[0].words

    def test_forged(self, stage: Stage, seeded: SeededPayment, sealed: list[Document]) -> None:
        """A forger who makes all hashes after the change right again is found by the seal, without its copy too."""
        sealed[3]["data"]["amount"] = "1.00"
        rewrite(stage, chained_anew(sealed))
        for with_file in (True, False):
            (finding,) = broken(stage, with_file=with_file)
            assert (where(finding), finding.seal) == ((seeded.payment_id, len(sealed)), 1)
            assert "written anew" in finding.words

    def test_dropped(self, stage: Stage, seeded: SeededPayment, sealed: list[Document]) -> None:
        """An event that was taken out is named, wherever it stood."""
        for place in range(len(sealed) - 1):
            rewrite(stage, [*sealed[:place], *sealed[place + 1 :]])
            found = broken(stage)
            assert where(found[0]) == (seeded.payment_id, place + 1)
            assert "is missing" in found[0].words

    @pytest.mark.parametrize("ids_too", [True, False])
    def test_reordered(self, stage: Stage, seeded: SeededPayment, sealed: list[Document], *, ids_too: bool) -> None:
        """Two events that have changed places are named, whether or not their ids were changed as well."""
        first, second = sealed[1], sealed[2]
        first["version"], second["version"] = second["version"], first["version"]
        if ids_too:
            first["_id"], second["_id"] = second["_id"], first["_id"]
        rewrite(stage, sealed)
        assert where(broken(stage)[0]) == (seeded.payment_id, 2)

    def test_swapped_contents(self, stage: Stage, seeded: SeededPayment, sealed: list[Document]) -> None:
        """Two events that have swapped what they say, and all hashes made right again, are found by the seal."""
        for name in ("type", "data"):
            sealed[1][name], sealed[2][name] = sealed[2][name], sealed[1][name]
        rewrite(stage, chained_anew(sealed))
        assert where(broken(stage)[0]) == (seeded.payment_id, len(sealed))

    def test_inserted_behind(self, stage: Stage, seeded: SeededPayment, sealed: list[Document]) -> None:
        """An event put in behind the last one, rightly chained, is found by the seal that does not cover it."""
        forged = {**sealed[-1], "version": len(sealed) + 1, "_id": f"{seeded.payment_id}-{len(sealed) + 1}"}
        rewrite(stage, chained_anew([*sealed, forged]))
        (finding,) = broken(stage)
        assert where(finding) == (seeded.payment_id, len(sealed) + 1)
        assert "put in afterwards" in finding.words

    def test_inserted_between(self, stage: Stage, seeded: SeededPayment, sealed: list[Document]) -> None:
        """An event put in between, those after it moved on, is named where it stands."""
        forged = {**sealed[1], "data": {**sealed[1]["data"], "amount": "2.00"}}
        moved = [{**one} for one in (*sealed[:2], forged, *sealed[2:])]
        for version, one in enumerate(moved, start=1):
            one["version"], one["_id"] = version, f"{seeded.payment_id}-{version}"
        rewrite(stage, moved)
        assert where(broken(stage)[0]) == (seeded.payment_id, 3)
        rewrite(stage, chained_anew(moved))
        assert where(broken(stage)[0]) == (seeded.payment_id, len(sealed) + 1)

    def test_inserted_payment(self, stage: Stage, seeded: SeededPayment, sealed: list[Document]) -> None:
        """A whole payment that was never there, dated back, is found."""
        forged = ObjectId()
        copied = [{**one, "payment_id": forged, "_id": f"{forged}-{one['version']}"} for one in sealed]
        stage.database["payment_events"].insert_many(chained_anew(copied))
        (finding,) = broken(stage)
        assert where(finding) == (str(forged), len(sealed))
        assert seeded.payment_id != str(forged)

    def test_no_event(self, stage: Stage, sealed: list[Document]) -> None:
        """A document that is no event at all is found, and does not keep anything from being sealed."""
        rows = stage.database["payment_events"]
        rows.insert_one({"_id": "x", "recorded_at": stage.clock.now, "version": "one"})
        rows.insert_one({**sealed[0], "_id": "y", "payment_id": str(sealed[0]["payment_id"])})
        assert seal(stage)
        assert len(broken(stage)) == 2

    @pytest.mark.parametrize("seals_after", [0, 2])
    def test_truncated(self, stage: Stage, seeded: SeededPayment, sealed: list[Document], seals_after: int) -> None:
        """The newest events of a payment, cut off after they were sealed, are missed however many seals came since."""
        for _ in range(seals_after):
            seal(stage)
        stage.database["payment_events"].delete_many(
            {"payment_id": seeded.payment, "version": {"$gte": len(sealed) - 1}}
        )
        (finding,) = broken(stage)
        assert (where(finding), finding.seal) == ((seeded.payment_id, len(sealed)), 1)
        assert "is gone" in finding.words

    def test_truncated_across_seals(self, stage: Stage, seeded: SeededPayment, sealed: list[Document]) -> None:
        """Events of several seals, cut off, are missed under each of them."""
        refunded(stage, seeded)
        seal(stage)
        stage.database["payment_events"].delete_many({"payment_id": seeded.payment, "version": {"$gt": 1}})
        found = broken(stage)
        assert [finding.seal for finding in found] == [1, 2]
        assert found[0].version == len(sealed)

    def test_removed(self, stage: Stage, seeded: SeededPayment, sealed: list[Document]) -> None:
        """A payment that was removed whole is missed by its id."""
        stage.database["payment_events"].delete_many({"payment_id": seeded.payment})
        (finding,) = broken(stage)
        assert where(finding) == (seeded.payment_id, len(sealed))

    def test_cut_before_seal(self, stage: Stage, seeded: SeededPayment, sealed: list[Document]) -> None:
        """Of what no seal covers yet, a cut end is all that cannot be missed: the limit is a minute and a half."""
        refunded(stage, seeded)
        stage.database["payment_events"].delete_many({"payment_id": seeded.payment, "version": {"$gt": len(sealed)}})
        assert broken(stage) == []


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
        """An event committed later than its time allows is sealed as late, told of, and as safe as the others."""
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
        report = verify(stage)
        assert report.whole, report.findings
        assert f"version {len(history)}" in report.notes[0]
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
