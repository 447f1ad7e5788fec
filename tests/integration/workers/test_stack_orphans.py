import signal
from pathlib import Path

import psutil
import pytest
import redis

from tests.support.processes import Program, alive, descendants
from tests.support.waiting import eventually
from workers.stack import EmbeddedValkey

HOLD_SERVERS = """
import sys, time
from pathlib import Path
from workers.stack import EmbeddedMongo, EmbeddedValkey
home = Path(sys.argv[1])
with EmbeddedValkey(home / "valkey") as valkey, EmbeddedMongo(home / "mongo") as mongo:
    print(valkey.url)
    time.sleep(300)
"""

STUBBORN_TREE = """
import sys, time
from pathlib import Path
from workers.stack_process import GuardedProcess
shell = "trap '' TERM; setsid sleep 301 & (sleep 302 &) ; sleep 303 & while true; do sleep 0.1; done"
with Path(sys.argv[1]).open("ab") as output:
    held = GuardedProcess(["/bin/sh", "-c", shell], output=output, grace_seconds=0.3)
    print("up")
    time.sleep(300)
"""


class TestNothingIsLeft:
    """However the starting process ends, what it started ends too."""

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
    def test_parent_ends(self, tmp_path: Path, number: signal.Signals) -> None:
        """After Ctrl-C, SIGTERM and even SIGKILL of the starter no server runs, and its data can be used again."""
        program = Program(HOLD_SERVERS, tmp_path)
        url = program.line()
        with redis.Redis.from_url(url) as client:
            client.set("kept", "yes")
        started = descendants(program.pid)
        assert {"mongod", "valkey-server"} <= {one.name() for one in started}
        program.signal(number)
        program.result()
        eventually(lambda: not alive(started), within_seconds=20, what="the end of every server")
        with EmbeddedValkey(tmp_path / "valkey") as again, redis.Redis.from_url(again.url) as client:
            assert client.get("kept") == b"yes"

    def test_restart_right_after_crash(self, tmp_path: Path) -> None:
        """A start while the crashed run's servers are still ending waits for them."""
        program = Program(HOLD_SERVERS, tmp_path)
        program.line()
        program.signal(signal.SIGKILL)
        program.result()
        with EmbeddedValkey(tmp_path / "valkey") as valkey:
            assert valkey.server.running

    def test_stubborn_tree(self, tmp_path: Path) -> None:
        """Children that ignore SIGTERM, leave the session or lose their parent are found all the same."""
        program = Program(STUBBORN_TREE, tmp_path / "log")
        assert program.line() == "up"
        guard = descendants(program.pid)[0]

        def tree() -> list[psutil.Process]:
            found = descendants(guard.pid)
            try:
                sleeps = {" ".join(one.cmdline()) for one in found}
            except psutil.Error:  # one ended while it was looked at
                return []
            return found if {"sleep 301", "sleep 302", "sleep 303"} <= sleeps else []

        started = [guard, *eventually(tree, what="the whole tree")]
        program.signal(signal.SIGKILL)
        program.result()
        eventually(lambda: not alive(started), what="the end of the tree")

    def test_guard_killed(self, tmp_path: Path) -> None:
        """Killing the guard itself takes its server along."""
        valkey = EmbeddedValkey(tmp_path).start()
        process = valkey.server.process
        assert process is not None
        server = psutil.Process(process.pid)
        psutil.Process(process.guard_pid).kill()
        eventually(lambda: not alive([server]), what="the end of the server")
        valkey.stop()
