import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from rich.console import Console

from tests.support.waiting import eventually
from workers.cli_errors import BrokerInUse, DemoFailed
from workers.demo_report import Report
from workers.demo_stack import require_unused


@pytest.fixture
def report() -> Report:
    """A report whose text can be read."""
    return Report(Console(file=io.StringIO(), width=100), Path("/var/logs"))


class TestReport:
    """How a step that fails is told."""

    def test_failed_check(self, report: Report) -> None:
        """The step, what was found and where the logs are: all in one sentence."""
        with pytest.raises(DemoFailed) as caught, report.step("The payer pays"):
            report.check("it is paid once", holds=False, found="twice")
        assert str(caught.value) == (
            "the step “The payer pays” failed: not so: it is paid once; found: twice. The processes' logs are in "
            "/var/logs."
        )

    def test_any_error(self, report: Report) -> None:
        """An error that nobody foresaw names its step, too."""
        with (
            pytest.raises(DemoFailed, match="“The payer pays” failed: KeyError: 'tran_ref'"),
            report.step("The payer pays"),
        ):
            raise KeyError("tran_ref")

    def test_waiting_ends(self, report: Report) -> None:
        """What does not come in its time fails the step."""
        with pytest.raises(DemoFailed, match=r"not so within 0\.1 s: a callback"), report.step("The payer pays"):
            report.wait("a callback", lambda: None, seconds=0.1)


@pytest.fixture
def broker(redis_url: str) -> Iterator[redis.Redis]:
    """A client of an empty broker."""
    with redis.Redis.from_url(redis_url) as client:
        yield client


class TestForeignBroker:
    """A configured broker that others use."""

    def test_unused(self, redis_url: str) -> None:
        """One that nobody uses is taken."""
        require_unused(redis_url)

    def test_waiting_messages(self, redis_url: str, broker: redis.Redis) -> None:
        """The demo never takes other people's messages."""
        broker.lpush("payments", "{}")
        with pytest.raises(BrokerInUse, match="has messages in payments"):
            require_unused(redis_url)

    def test_tasks_in_work(self, redis_url: str, broker: redis.Redis) -> None:
        """What a worker has taken counts as well."""
        broker.hset("unacked", "1", "{}")
        with pytest.raises(BrokerInUse, match="has tasks in work"):
            require_unused(redis_url)

    def test_listening_worker(self, redis_url: str, broker: redis.Redis) -> None:
        """The demo never gives its tasks to other people's workers."""
        worker = threading.Thread(target=broker.brpop, args=(["payments"],), kwargs={"timeout": 5})
        worker.start()
        with redis.Redis.from_url(redis_url) as other:
            eventually(lambda: any(one["cmd"] == "brpop" for one in other.client_list()), what="a listening worker")
            with pytest.raises(BrokerInUse, match="has workers listening"):
                require_unused(redis_url)
            other.lpush("payments", "{}")
        worker.join()
