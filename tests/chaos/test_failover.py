from collections.abc import Iterator

import pytest

from tests.chaos.failover import kill_primary
from tests.chaos.stage import Stage, staged
from tests.support.sandbox import Sandbox
from tests.support.system import report

#: What is needed here; beat and receiver are in the full form.
PROCESSES = ("worker-money", "worker-reads", "watcher")

#: How many payments' pages are asked for.
PAGES = 6


@pytest.fixture
def three(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[Stage]:
    """A system that takes payments and reads, on a replica set of three nodes."""
    yield from staged(tmp_path_factory.mktemp("failover"), sandbox, members=3, processes=PROCESSES)


class TestPrimaryKilled:
    """The primary killed with SIGKILL under reads and writes costs seconds, and nothing else."""

    def test_goes_on(self, three: Stage, capsys: pytest.CaptureFixture[str]) -> None:
        """No acknowledged write is lost, reads come back, and watcher and workers go on by themselves."""
        found = kill_primary(three, seconds=1.5, pages=PAGES)
        gaps = {name: tries.longest_gap for name, tries in found.tries.items()}
        told = ", ".join(f"{name} {gap:.1f} s" for name, gap in gaps.items())
        report(capsys, f"primary killed, another after {found.elected_seconds:.1f} s; without an answer: {told}")
        assert found.acknowledged > 20
        assert found.lost == 0
        assert max(gaps.values()) < 20  # the promise is 5 s, on a machine that does nothing else
        assert found.same_processes
        assert found.pages == found.page_requests == PAGES
