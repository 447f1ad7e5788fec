from types import SimpleNamespace
from typing import Any

from workers.pool_mending import is_forgotten, mend


class Pool:
    """A pool of processes as Celery has it, each with its descriptor and its exit code."""

    def __init__(self, *processes: Any) -> None:
        self._pool, self.looked = list(processes), 0

    def maintain_pool(self) -> None:
        """Remove the processes that have ended."""
        self.looked += 1
        self._pool = [one for one in self._pool if one.exitcode is None]


def process(exitcode: int | None = None, **members: Any) -> Any:
    """Make a process of the pool."""
    return SimpleNamespace(pid=1, exitcode=exitcode, **members)


class TestMend:
    """After a lost connection every process that the pool has can be looked at."""

    def test_each(self) -> None:
        """One that ended unseen is removed, one that was taken for ended is seen again, others are left alone."""
        seen, new, ended, alive = process(_sentinel_poll=7), process(), process(1, _sentinel_poll=None), process(None)
        alive._sentinel_poll = None
        pool = Pool(seen, new, ended, alive)
        mend(SimpleNamespace(_pool=pool))
        assert pool._pool == [seen, new, alive]
        assert not any(map(is_forgotten, pool._pool))
        assert (seen._sentinel_poll, hasattr(alive, "_sentinel_poll"), pool.looked) == (7, False, 1)

    def test_nothing(self) -> None:
        """A pool without such a process, or without any, is left alone."""
        pool = Pool(process(_sentinel_poll=7))
        mend(SimpleNamespace(_pool=pool))
        mend(SimpleNamespace(_pool=None))
        mend(None)
        assert pool.looked == 0
