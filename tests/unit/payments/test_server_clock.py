from datetime import UTC, datetime, timedelta

import pytest

from payments.server_clock import REST_SECONDS, SAMPLED_SECONDS, ServerClock

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)


class Server:
    """A server whose clock is told, and a machine's monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now, self.passed, self.took = NOON, 0.0, 0.0
        self.asked, self.is_silent = 0, False

    def ask(self) -> datetime:
        """Tell the time, half of `took` after it was asked for."""
        self.asked += 1
        if self.is_silent:
            raise ConnectionError
        self.pass_by(self.took / 2)
        told = self.now
        self.pass_by(self.took / 2)
        return told

    def pass_by(self, seconds: float) -> None:
        """Let time pass for both."""
        self.passed += seconds
        self.now += timedelta(seconds=seconds)

    def clock(self, **options: object) -> ServerClock:
        """Return a clock that asks it."""
        return ServerClock(self.ask, outages=(ConnectionError,), monotonic=lambda: self.passed, **options)  # type: ignore[arg-type]


class TestServerClock:
    """The server's time, without asking each time."""

    def test_gone_on_from(self) -> None:
        """One answer is gone on from by the monotonic clock, then the server is asked again."""
        server = Server()
        clock = server.clock()
        for _ in range(20):
            assert clock() == server.now
            server.pass_by(SAMPLED_SECONDS / 10)
        assert server.asked == 2

    def test_slow_answer(self) -> None:
        """The time is that of the middle of question and answer, and never goes back for a slow one."""
        server = Server()
        clock = server.clock()
        clock()
        server.pass_by(SAMPLED_SECONDS)
        before, server.took = clock(), 0.6
        server.pass_by(SAMPLED_SECONDS)
        server.now -= timedelta(seconds=0.4)
        assert clock() >= before + timedelta(seconds=SAMPLED_SECONDS)

    def test_put_back(self) -> None:
        """A server whose clock is mended by an hour is believed with the next answer."""
        server = Server()
        clock = server.clock()
        clock()
        server.now -= timedelta(hours=1)
        server.pass_by(SAMPLED_SECONDS)
        assert clock() == server.now

    def test_silent(self) -> None:
        """A server that does not answer costs a question now and then; its last answer is gone on from."""
        server = Server()
        clock = server.clock()
        clock()
        server.is_silent = True
        server.pass_by(SAMPLED_SECONDS)
        for _ in range(10):
            assert clock() == server.now
            server.pass_by(REST_SECONDS / 5)
        assert server.asked == 3

    def test_never_heard(self) -> None:
        """Without any answer its error is raised, or another clock told until the first one."""
        server = Server()
        server.is_silent = True
        with pytest.raises(ConnectionError):
            server.clock()()
        clock = server.clock(otherwise=lambda: NOON - timedelta(days=1))
        assert clock() == NOON - timedelta(days=1)
        server.is_silent = False
        server.pass_by(REST_SECONDS)
        assert clock() == server.now
