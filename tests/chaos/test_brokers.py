from collections.abc import Iterator

import pytest

from tests.chaos.brokers import TROUBLES, suffer, tried_valkey
from tests.chaos.stage import Stage, staged
from tests.support.sandbox import Sandbox
from tests.support.system import report


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory, running_sandbox: Sandbox) -> Iterator[Stage]:
    """A system on a broker of which everything can be tried."""
    running_sandbox.reset()
    yield from staged(tmp_path_factory.mktemp("brokers"), running_sandbox, 1, broker=tried_valkey)


class TestBrokers:
    """Whatever the broker does, no process ends and no message is lost; in full: tests/chaos/full_brokers.py."""

    def test_each_trouble(self, tried: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        """Killed, full, demoted, loading or unable to save, once each under load: all that it took is begun."""
        found = suffer(tried, list(TROUBLES), seed=1)
        assert (found.ended, found.lost, found.left) == ([], [], 0)
        assert found.taken > 20
        report(capsys, f"broker in trouble {len(TROUBLES)} times: {found.taken} tasks taken, {found.refused} refused")
