from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from bson import ObjectId

from payments.events import stored_content
from payments.seals import Seal
from tests.integration.payments.stage import Stage
from tests.integration.payments.trail import (
    broken,
    chained_anew,
    events,
    paid,
    refunded,
    rewrite,
    seal,
    verify,
    where,
)
from tests.support.cms import SeededPayment, seed_payment

Document = dict[str, Any]


class TestUntouched:
    """What nobody has touched is whole."""

    def test_nothing(self, stage: Stage) -> None:
        """An empty trail is whole, sealed or not."""
        assert verify(stage).whole
        stage.world.sealer.seal(60)
        assert verify(stage).whole

    def test_whole(self, stage: Stage, seeded: SeededPayment, others: list[SeededPayment]) -> None:
        """Payments, some sealed and some not yet, and the refund's entries are whole, and everything was looked at."""
        stage.paid(seeded)
        first = seal(stage)
        stage.follow_up(seeded, "refund")
        second = seal(stage)
        stage.paid(seed_payment(stage.database))
        report = verify(stage)
        assert report.whole, report.findings
        assert [one.n for one in (*first, *second)] == [1, 2]
        count = stage.database["payment_events"].count_documents({})
        assert report.checked == {"payments": 4, "events": count, "entries": 2, "seals": 2}
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
