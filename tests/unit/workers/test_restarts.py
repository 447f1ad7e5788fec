from workers.supervisor_restarts import Restarts


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


class TestRestarts:
    """A process that ended is started again after a wait that grows while it ends again and again."""

    def test_growing(self) -> None:
        """The waits double up to a minute; a process that ran for ten seconds begins with the first again."""
        clock = Clock()
        restarts, waits = Restarts(clock), []
        for _ in range(12):
            waits.append(restarts.ended())
            assert not restarts.is_due()
            clock.now += waits[-1]
            assert restarts.is_due()
            restarts.began()
            assert not restarts.is_due()
        assert waits == [min(0.1 * 2**number, 60.0) for number in range(12)]
        clock.now += 10
        assert (restarts.ended(), restarts.count) == (0.1, 13)
