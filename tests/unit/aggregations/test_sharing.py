import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from aggregations import sharing
from aggregations.sharing import SharedLooks
from tests.support.waiting import eventually


class TestSharedLooks:
    """Those who come while a look is under way share the next one, and never the one that has begun."""

    @pytest.mark.parametrize("fails", [False, True])
    def test_next_one(self, fails: bool) -> None:
        """Ten newcomers get what one look gives that began after they came, an error included, and nothing is kept."""
        looks: SharedLooks[int] = SharedLooks()
        numbers, go = iter(range(1, 100)), threading.Event()

        def look() -> int:
            number = next(numbers)
            go.wait(5)
            if fails and number > 1:
                raise OSError(number)
            return number

        with ThreadPoolExecutor(11) as threads:
            first = threads.submit(looks, "key", look)
            eventually(lambda: looks._last["key"].begun if looks._last else False)
            rest = [threads.submit(looks, "key", look) for _ in range(10)]
            eventually(lambda: all(one.running() for one in rest) and not looks._last["key"].begun)
            threading.Event().wait(0.1)  # the last of them is about to join
            go.set()
            assert first.result() == 1
            if fails:
                assert {str(one.exception()) for one in rest} == {"2"}
            else:
                assert {one.result() for one in rest} == {2}
        assert looks._last == {}

    def test_ended_while_it_waited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who is ended before its look has begun leaves nothing behind that the next ones would wait for."""
        looks: SharedLooks[int] = SharedLooks()

        def ended(_futures: object) -> None:
            raise TimeoutError

        def ended_inside() -> int:
            monkeypatch.setattr(sharing, "wait", ended)
            with pytest.raises(TimeoutError):
                looks("key", lambda: 2)
            return 1

        assert looks("key", ended_inside) == 1
        assert looks._last == {}

    def test_keys_apart(self) -> None:
        """Looks for different things do not wait for each other."""
        looks: SharedLooks[str] = SharedLooks()
        assert looks("one", lambda: looks("other", lambda: "inner")) == "inner"
