import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from aggregations.cache import Turn
from aggregations.entries import decode
from aggregations.errors import NotFound, ReadsBusy
from aggregations.memory import Limits
from tests.integration.aggregations.conftest import MakeShelf
from tests.integration.aggregations.shelf import NAME, Shelf, together
from tests.support.waiting import eventually
from workers.stack import EmbeddedValkey


def counted(result: str) -> float:
    """How often the cache has served this test's aggregation so."""
    return REGISTRY.get_sample_value("nestcms_aggregation_cache_total", {"name": NAME, "result": result}) or 0


def server_ms(shelf: Shelf) -> int:
    """Return the time of the cache's server in milliseconds."""
    seconds, microseconds = shelf.text.time()
    return int(seconds) * 1_000 + int(microseconds) // 1_000


def forgotten_at(shelf: Shelf, key: str) -> int:
    """Return when the server forgets a key, by its own clock in milliseconds."""
    return int(shelf.text.pexpiretime(key))


class TestAge:
    """An answer is remembered, refreshed elsewhere past its soft age, and not served past its hard one."""

    def test_hit(self, shelf: Shelf) -> None:
        """The second caller gets the first one's answer, with the time of its read, though the thing has changed."""
        first, before = shelf.ask(), counted("hit")
        shelf.put(2)
        second = shelf.ask()
        assert first["source"] == "primary"
        assert second == {"data": 1, "as_of": first["as_of"], "source": "cache"}
        assert (shelf.builds, counted("hit")) == (1, before + 1)

    def test_stale(self, shelf: Shelf) -> None:
        """Past the soft age the old answer is served at once, and of many callers one has a refresh asked for."""
        shelf.ask()
        shelf.put(2)
        shelf.late = timedelta(seconds=31)
        answers = [got["data"] for _, got in together(20, shelf.ask)]
        assert (answers, shelf.builds) == ([1] * 20, 1)
        assert shelf.asked == [(NAME, {"thing": shelf.thing})]

    def test_refresh(self, shelf: Shelf) -> None:
        """The refresh builds once; a second one of the same finds a young answer and builds nothing."""
        shelf.ask()
        shelf.put(2)
        shelf.late = timedelta(seconds=31)
        refreshed = shelf.refresh()
        assert (refreshed["refreshed"], shelf.refresh()) == (True, {"refreshed": False, "as_of": None})
        assert shelf.ask() == {"data": 2, "as_of": refreshed["as_of"], "source": "cache"}
        assert shelf.builds == 2

    def test_hard(self, shelf: Shelf) -> None:
        """Past the hard age nobody gets the old answer."""
        shelf.ask()
        shelf.put(2)
        shelf.late = timedelta(seconds=301)
        assert shelf.told() == (2, "primary")

    def test_max_age(self, shelf: Shelf) -> None:
        """A caller may want it younger; longer than the hard age it is not."""
        shelf.ask()
        shelf.put(2)
        shelf.late = timedelta(seconds=10)
        assert shelf.told(11) == (1, "cache")
        assert shelf.told(9) == (2, "primary")
        assert shelf.told(9) == (2, "cache")
        shelf.put(3)
        shelf.late = timedelta(seconds=10, milliseconds=1)
        assert shelf.told(0) == (3, "primary")
        shelf.late = timedelta(seconds=400)
        assert shelf.told(10_000) == (3, "primary")
        assert shelf.builds == 4

    def test_from_the_future(self, shelf: Shelf) -> None:
        """What a builder whose clock is ahead has left is not taken for new by the others."""
        shelf.late = timedelta(hours=1)
        shelf.ask()
        shelf.put(2)
        shelf.late = timedelta()
        assert shelf.told() == (2, "primary")
        assert shelf.told() == (2, "cache")

    def test_kept_no_longer(self, shelf: Shelf) -> None:
        """The server itself forgets an entry at its hard age."""
        before = server_ms(shelf)
        shelf.ask()
        assert before <= forgotten_at(shelf, shelf.key) - 300_000 <= server_ms(shelf)


class TestOutOfDate:
    """What may have changed since it was read is not served."""

    def test_invalidated(self, shelf: Shelf) -> None:
        """Another token of any of its tags is a miss."""
        shelf.ask()
        shelf.change(2)
        assert shelf.told() == (2, "primary")
        shelf.put(3)
        shelf.invalidator.invalidate(["things"])
        assert shelf.told() == (3, "primary")

    def test_evicted_tag(self, shelf: Shelf) -> None:
        """A tag that the cache has thrown out is a miss, before and after somebody gives it a token again."""
        shelf.ask()
        shelf.put(2)
        shelf.text.delete(f"nestcms:tag:thing:{shelf.thing}")
        assert shelf.told() == (2, "primary")
        shelf.put(3)
        shelf.text.set(f"nestcms:tag:thing:{shelf.thing}", "another")
        assert shelf.told() == (3, "primary")

    def test_during_a_build(self, shelf: Shelf) -> None:
        """A change between the tokens and the read makes the entry a miss, though this build has seen it."""
        shelf.during = lambda: shelf.change(2) if shelf.builds == 1 else None
        shelf.ask()
        assert shelf.told() == (2, "primary")
        assert shelf.told() == (2, "cache")

    def test_read_before_the_change(self, make_shelf: MakeShelf) -> None:
        """The builder has read the old worth, then it changes: what the builder stores is not served."""

        def answer(found: list[dict[str, Any]]) -> object:
            if found[0]["worth"] == 1:
                shelf.change(2)
            return found[0]["worth"]

        shelf = make_shelf(changes={"answer": answer})
        assert shelf.told() == (1, "primary")
        assert shelf.told() == (2, "primary")

    def test_other_parameters(self, make_shelf: MakeShelf) -> None:
        """Answers about two things are two entries, and another version of the row has entries of its own."""
        shelf, other = make_shelf(), make_shelf()
        shelf.ask()
        other.put(7)
        assert other.told() == (7, "primary")
        newer = make_shelf(changes={"version": 2}, thing=shelf.thing)
        assert newer.told() == (1, "primary")

    def test_restarted_server(self, shelf: Shelf, valkey: EmbeddedValkey) -> None:
        """A server that comes back with an old entry and old tokens, its last invalidation lost, serves none of it."""
        shelf.ask()
        eventually(lambda: shelf.text.info("persistence")["aof_pending_bio_fsync"] == 0)
        shelf.text.config_set("appendonly", "no")
        shelf.change(2)
        token = shelf.text.get(f"nestcms:tag:thing:{shelf.thing}")
        valkey.kill()
        valkey.start()
        assert shelf.text.exists(shelf.key) == 1
        assert shelf.text.get(f"nestcms:tag:thing:{shelf.thing}") not in (None, token)
        assert shelf.told() == (2, "primary")
        assert shelf.told() == (2, "cache")


class TestOneBuild:
    """One builder at a time per answer, and a later one wins."""

    def test_turns(self, shelf: Shelf) -> None:
        """Of many who want the turn at once one has it; ended or not, it ends no later turn, and fences only grow."""
        tags = [f"thing:{shelf.thing}"]

        def begin() -> Turn | None:
            return shelf.cache.begin(shelf.key, tags, lease_seconds=600)

        before = server_ms(shelf)
        (first,) = [turn for _, turn in together(20, begin) if turn is not None]
        shelf.cache.give_up(shelf.key, first)
        second = begin()
        assert second is not None
        assert int(second.fence) > int(first.fence)
        assert not shelf.cache.finish(shelf.key, first, b"{}", keep_seconds=5)
        assert begin() is None
        assert before <= forgotten_at(shelf, f"{shelf.key}:lock") - 600_000 <= server_ms(shelf)

    def test_wait_for_it(self, make_shelf: MakeShelf) -> None:
        """All who ask meanwhile get the one build's answer."""
        shelf = make_shelf(during=lambda: time.sleep(0.2))
        got = [answer for _, answer in together(20, shelf.ask)]
        assert {answer["data"] for answer in got} == {1}
        assert sorted(answer["source"] for answer in got) == ["cache"] * 19 + ["primary"]
        assert shelf.builds == 1

    def test_wait_for_a_place(self, make_shelf: MakeShelf) -> None:
        """Who has waited for a place to read in looks again: what was built meanwhile is not built once more."""
        shelf = make_shelf(limits=Limits(at_once=1), during=lambda: time.sleep(0.1))
        told = [got for _, got in together(10, shelf.told)]
        assert {data for data, _ in told} == {1}
        assert shelf.builds == 1

    def test_paused_beyond_its_lease(self, make_shelf: MakeShelf) -> None:
        """A builder that slept past its lease gets its own answer, and does not replace the later one's."""
        asleep, awake = threading.Event(), threading.Event()

        def answer(found: list[dict[str, Any]]) -> object:
            if found[0]["worth"] == 1:
                asleep.set()
                awake.wait(60)
            return found[0]["worth"]

        shelf = make_shelf(changes={"answer": answer})
        before, slept = counted("fenced"), []
        sleeper = threading.Thread(target=lambda: slept.append(shelf.told()))
        sleeper.start()
        assert asleep.wait(60)
        shelf.text.delete(f"{shelf.key}:lock")  # as the server does when the lease ends
        shelf.put(2)
        assert shelf.told() == (2, "primary")
        awake.set()
        sleeper.join()
        assert slept == [(1, "primary")]
        assert shelf.told() == (2, "cache")
        assert counted("fenced") == before + 1

    def test_failed_build(self, shelf: Shelf) -> None:
        """A build that fails frees the turn at once, and nothing is remembered of it."""
        shelf.thing = "0" * 24
        for _ in range(2):
            with pytest.raises(NotFound, match=r"^thing: "):
                shelf.ask()
        assert shelf.text.exists(f"{shelf.key}:lock", shelf.key) == 0

    def test_patience(self, make_shelf: MakeShelf) -> None:
        """Nobody waits for ever for another's build."""
        release = threading.Event()
        shelf = make_shelf(during=lambda: release.wait(60), limits=Limits(patience_seconds=0.3))
        builder = threading.Thread(target=shelf.ask)
        builder.start()
        eventually(lambda: shelf.builds, within_seconds=60)
        with pytest.raises(ReadsBusy, match=r"^worth: not answered within 0\.3 s"):
            shelf.ask()
        release.set()
        builder.join()


class TestSize:
    """Long answers are compressed, and too long ones not kept."""

    def test_compressed(self, make_shelf: MakeShelf) -> None:
        """Above the limit an entry is a zlib stream, and reads the same."""
        shelf = make_shelf(limits=Limits(compress_bytes=1_000))
        shelf.put("long " * 1_000)
        shelf.ask()
        raw = shelf.plain.get(shelf.key)
        assert isinstance(raw, bytes)
        assert raw[0] == 0x78
        assert len(raw) < 1_000
        assert shelf.told() == ("long " * 1_000, "cache")

    def test_too_large(self, make_shelf: MakeShelf) -> None:
        """It is answered each time, counted, and nobody waits in turn for what will not be remembered."""
        shelf = make_shelf(limits=Limits(compress_bytes=10_000, largest_bytes=5_000))
        shelf.put("long " * 1_500)
        before = counted("too_large")
        assert shelf.told() == ("long " * 1_500, "primary")
        shelf.during = threading.Barrier(4, timeout=60).wait  # each waits until all of them are at it
        got = together(4, shelf.told)
        assert {source for _, (_, source) in got} == {"primary"}
        assert counted("too_large") == before + 5
        raw = shelf.plain.get(shelf.key)
        assert isinstance(raw, bytes)
        kept = decode(raw)
        assert kept is not None
        assert (kept.too_large, kept.data) == (True, None)

    def test_envelope(self, shelf: Shelf) -> None:
        """An entry says its form, its time, where it was read, and what it was built under."""
        answer = shelf.ask()
        raw = shelf.plain.get(shelf.key)
        assert isinstance(raw, bytes)
        entry = decode(raw)
        assert entry is not None
        assert (entry.v, entry.as_of, entry.source, entry.data) == (1, answer["as_of"], "primary", 1)
        tags = [f"thing:{shelf.thing}", "things"]
        assert entry.tokens == {tag: shelf.text.get(f"nestcms:tag:{tag}") for tag in tags}
        assert entry.run == shelf.text.info("server")["run_id"]
        assert datetime.fromisoformat(entry.built_at) >= entry.read_at
