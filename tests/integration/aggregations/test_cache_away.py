import threading
import time
from typing import Any

import pytest

from aggregations.errors import ReadsBusy
from aggregations.memory import Limits
from tests.integration.aggregations.conftest import MakeShelf
from tests.integration.aggregations.load import changes, readers
from tests.integration.aggregations.shelf import Shelf, together
from tests.support.waiting import eventually
from workers.stack import EmbeddedValkey


def asking(shelf: Shelf) -> list[str]:
    """Note each question to the cache in the list that is returned."""
    asked: list[str] = []
    ask = shelf.plain.eval

    def noted(script: str, *arguments: Any) -> Any:
        asked.append(script)
        return ask(script, *arguments)

    vars(shelf.plain)["eval"] = noted
    return asked


class TestAway:
    """Without the cache answers come from the database, a few at a time."""

    def test_killed(self, shelf: Shelf, valkey: EmbeddedValkey) -> None:
        """Every caller gets the present answer, and the cache is used again when it is back."""
        shelf.ask()
        shelf.put(2)
        valkey.kill()
        got = [told for _, told in together(8, shelf.told)]
        assert got == [(2, "primary")] * 8
        valkey.start()
        eventually(lambda: shelf.told()[1] == "cache", what="a remembered answer")

    def test_hanging(self, shelf: Shelf, valkey: EmbeddedValkey) -> None:
        """A cache that hangs costs one short wait; then it is left alone for a second."""
        shelf.ask()
        asked, passed = asking(shelf), [0.0]
        shelf.cache._monotonic = lambda: passed[0]
        valkey.pause()
        for number in range(20):
            passed[0] = number / 20 * 0.9
            assert shelf.told() == (1, "primary")
        assert len(asked) == 1
        passed[0] = 2.0
        assert shelf.told() == (1, "primary")
        valkey.resume()
        assert len(asked) == 2

    def test_lost_during_a_build(self, shelf: Shelf, valkey: EmbeddedValkey) -> None:
        """A cache that dies while its answer is built costs that caller nothing."""
        shelf.during = valkey.kill
        assert shelf.told() == (1, "primary")
        assert shelf.builds == 1

    def test_at_once(self, make_shelf: MakeShelf, valkey: EmbeddedValkey) -> None:
        """No more reads are under way than agreed, and who would wait too long for a place is told so."""
        under_way, most, counting = [0], [0], threading.Lock()
        full = threading.Barrier(3, timeout=60)

        def during() -> None:
            with counting:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            full.wait()  # until as many are under way as may be
            with counting:
                under_way[0] -= 1

        shelf = make_shelf(during=during, limits=Limits(at_once=3, patience_seconds=60))
        valkey.kill()
        assert [told for _, told in together(9, shelf.told)] == [(1, "primary")] * 9
        assert most[0] == 3
        done = threading.Event()
        hasty = make_shelf(during=lambda: done.wait(60), limits=Limits(at_once=1, patience_seconds=0.3))
        first = threading.Thread(target=hasty.told)
        first.start()
        eventually(lambda: hasty.builds, within_seconds=60)
        with pytest.raises(ReadsBusy):
            hasty.told()
        done.set()
        first.join()


class TestUnderLoad:
    """Whatever happens to the cache: no wrong answer, and no error to any caller."""

    @pytest.mark.parametrize("mishap", ["killed", "paused", "emptied"])
    def test_mishap(self, make_shelf: MakeShelf, valkey: EmbeddedValkey, mishap: str) -> None:
        """Once a change was invalidated nobody who asks later gets what was before it."""
        shelf = make_shelf(during=lambda: time.sleep(0.002))
        worth = [1]

        with readers(shelf, worth, 6) as seen:
            changes(shelf, worth, 20)
            {"killed": valkey.kill, "paused": valkey.pause, "emptied": valkey.flush}[mishap]()
            back = threading.Timer(0.5, {"killed": valkey.start, "paused": valkey.resume}.get(mishap, lambda: None))
            back.start()
            changes(shelf, worth, 20)
            back.join()
            # A process leaves a failed cache alone for a second; then it is used again.
            eventually(lambda: shelf.told()[1] == "cache", what="a remembered answer")
            changes(shelf, worth, 20)
        assert seen.wrong == []
        assert seen.asked > 50
        assert shelf.told()[0] == 61
