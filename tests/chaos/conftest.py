"""A whole system for the tests of one module, put together again before each."""

from collections.abc import Iterator

import pytest

from tests.chaos.stage import Stage, staged
from tests.support.sandbox import Sandbox


@pytest.fixture(scope="module")
def running_stage(tmp_path_factory: pytest.TempPathFactory, running_sandbox: Sandbox) -> Iterator[Stage]:
    """One system on one node, for the tests of one module."""
    yield from staged(tmp_path_factory.mktemp("chaos"), running_sandbox, members=1)


@pytest.fixture
def stage(running_stage: Stage, sandbox: Sandbox) -> Stage:
    """The module's system, whole, with a sandbox that has forgotten the test before."""
    running_stage.mongo.start()
    running_stage.valkey.start()
    running_stage.system.revive()
    assert running_stage.sandbox is sandbox
    return running_stage
