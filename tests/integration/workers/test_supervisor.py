import signal
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console

from tests.support.processes import Program, alive, descendants
from tests.support.waiting import eventually
from workers.errors import ProcessDied, ProcessNotReady
from workers.supervisor import Supervisor
from workers.supervisor_spec import ProcessSpec, answers, writes

TICKING = "import time\nprint('up', flush=True)\nwhile True: time.sleep(0.05)"

STUBBORN = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(300)"
)

FOREGROUND = """
import sys
from contextlib import suppress
from pathlib import Path
from workers.errors import ProcessDied
from workers.supervisor import Supervisor
from workers.supervisor_spec import ProcessSpec, writes
home, code, grace = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
specs = [
    ProcessSpec(name, (sys.executable, "-c", code), ready=writes("up"), grace_seconds=grace) for name in ("one", "two")
]
try:
    with (
        suppress(KeyboardInterrupt),
        Supervisor(specs, log_directory=home, on_ready=lambda name, seconds: None) as supervisor,
    ):
        supervisor.start()
        print("everything runs", flush=True)
        supervisor.wait()
except ProcessDied as died:
    print(died)
    sys.exit(3)
print("orderly end")
"""

UNHEARD = """
import os, signal, sys, threading, time, weakref
from contextlib import suppress
from pathlib import Path
from workers.supervisor import Supervisor
from workers.supervisor_spec import ProcessSpec
home, code, moment = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
class Thing: pass
def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)
def in_finalizer():
    thing = Thing()
    weakref.finalize(thing, interrupt)
    del thing
def never(output):
    if not asked:
        asked.append(1)
        in_finalizer()
    return False
asked = []
spec = ProcessSpec("one", (sys.executable, "-c", code), ready=never if moment == "start" else None)
with suppress(KeyboardInterrupt), Supervisor([spec], log_directory=home, quiet=True) as supervisor:
    supervisor.start()
    in_finalizer()
    supervisor.wait()
print("orderly end")
"""


def python(name: str, code: str, **options: Any) -> ProcessSpec:
    """Specify a small Python program."""
    return ProcessSpec(name, (sys.executable, "-c", code), **options)


def until(program: Program, text: str) -> list[str]:
    """Read a program's lines up to the one with the text."""
    lines: list[str] = []
    while not lines or text not in lines[-1]:
        lines.append(program.line())
        assert len(lines) < 50, lines
    return lines


class TestSupervisor:
    """Several processes are one."""

    def test_labels_and_files(self, tmp_path: Path) -> None:
        """Each line is shown behind the label of its process, and is in that process's own file."""
        shown = StringIO()
        specs = [python("talker", TICKING, ready=writes("up")), python("b", TICKING, ready=writes("up"))]
        with Supervisor(specs, log_directory=tmp_path, console=Console(file=shown)) as supervisor:
            supervisor.start()
        assert "talker | up\n" in shown.getvalue()
        assert "b      | up\n" in shown.getvalue()
        assert (tmp_path / "talker.log").read_text() == "up\n"

    def test_quiet(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Quiet leaves the terminal alone and still tells the caller who is ready."""
        ready: list[str] = []
        specs = [python("one", TICKING, ready=writes("up"))]
        with Supervisor(
            specs, log_directory=tmp_path, quiet=True, on_ready=lambda name, _: ready.append(name)
        ) as supervisor:
            supervisor.start()
        assert capsys.readouterr().out == ""
        assert ready == ["one"]

    def test_ready_over_http(self, tmp_path: Path, free_port: int) -> None:
        """A server is ready when its address answers with 200."""
        argv = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(free_port))
        spec = ProcessSpec("web", argv, ready=answers(f"http://127.0.0.1:{free_port}/"), cwd=tmp_path)
        with Supervisor([spec], log_directory=tmp_path / "logs", quiet=True) as supervisor:
            supervisor.start()
            assert answers(f"http://127.0.0.1:{free_port}/")("")

    def test_environment(self, tmp_path: Path) -> None:
        """A process gets this one's environment and what its specification adds."""
        code = "import os\nprint(os.environ['ADDED'], 'PATH' in os.environ, flush=True)\n" + TICKING
        spec = python("env", code, env={"ADDED": "yes"}, ready=writes("up"))
        with Supervisor([spec], log_directory=tmp_path, quiet=True) as supervisor:
            supervisor.start()
        assert (tmp_path / "env.log").read_text().startswith("yes True\n")

    def test_reverse_order(self, tmp_path: Path) -> None:
        """The first to start is the last to stop."""
        code = (
            "import signal, sys, time\n"
            "def end(*_):\n    open('ends', 'a').write(sys.argv[1])\n    sys.exit()\n"
            "signal.signal(signal.SIGTERM, end)\n" + TICKING
        )
        specs = [
            ProcessSpec(name, (sys.executable, "-c", code, name), ready=writes("up"), cwd=tmp_path) for name in "abc"
        ]
        with Supervisor(specs, log_directory=tmp_path, quiet=True) as supervisor:
            supervisor.start()
        assert (tmp_path / "ends").read_text() == "cba"

    def test_death_before_ready(self, tmp_path: Path) -> None:
        """A process that ends instead of becoming ready is named with its code and its log."""
        specs = [python("fine", TICKING), python("broken", "raise SystemExit(7)", ready=writes("up"))]
        with Supervisor(specs, log_directory=tmp_path, quiet=True) as supervisor:
            with pytest.raises(ProcessDied, match="broken ended with exit code 7") as caught:
                supervisor.start()
            assert caught.value.log == tmp_path / "broken.log"
            started = supervisor.pid("fine")
        assert started is not None
        assert not psutil.pid_exists(started)

    def test_never_ready(self, tmp_path: Path) -> None:
        """A process that does not become ready in its time is named."""
        spec = python("slow", TICKING, ready=writes("never"), ready_seconds=0.5)
        with (
            Supervisor([spec], log_directory=tmp_path, quiet=True) as supervisor,
            pytest.raises(ProcessNotReady, match=r"slow was not ready within 0\.5 s"),
        ):
            supervisor.start()

    def test_missing_program(self, tmp_path: Path) -> None:
        """A program that does not exist is reported like one that died."""
        spec = ProcessSpec("ghost", (str(tmp_path / "no-such-program"),), ready=writes("up"))
        with (
            Supervisor([spec], log_directory=tmp_path, quiet=True) as supervisor,
            pytest.raises(ProcessDied, match="ghost ended with exit code 127"),
        ):
            supervisor.start()
        assert "No such file" in (tmp_path / "ghost.log").read_text()

    def test_required_death(self, tmp_path: Path) -> None:
        """When a required process is killed from outside, the wait ends naming it, and the others are stopped."""
        specs = [python("one", TICKING, ready=writes("up")), python("two", TICKING, ready=writes("up"))]
        with Supervisor(specs, log_directory=tmp_path, quiet=True) as supervisor:
            supervisor.start()
            one, two = supervisor.pid("one"), supervisor.pid("two")
            assert one is not None
            assert two is not None
            psutil.Process(one).kill()
            with pytest.raises(ProcessDied, match="one was ended by signal 9"):
                supervisor.wait()
        assert not psutil.pid_exists(two)

    def test_optional_death(self, tmp_path: Path) -> None:
        """A process that can be done without may fail: the others start and go on, and the log says so."""
        shown = StringIO()
        specs = [python("extra", "raise SystemExit(7)", ready=writes("up"), required=False)]
        specs += [python("slow", TICKING, ready=writes("no"), ready_seconds=0.5, required=False)]
        specs += [python("main", TICKING, ready=writes("up"))]
        with Supervisor(specs, log_directory=tmp_path, console=Console(file=shown, width=500)) as supervisor:
            supervisor.start()
            assert supervisor.pid("main") is not None
            assert supervisor.pid("slow") is None
        assert "extra ended with exit code 7; the others go on without it" in shown.getvalue()
        assert "slow was not ready within 0.5 s; the others go on without it" in shown.getvalue()

    def test_kill_and_restart(self, tmp_path: Path) -> None:
        """A process can be killed with all its children and be had again; ready is asked of the new one."""
        code = "import subprocess\nsubprocess.Popen(['sleep', '300'])\n" + TICKING
        with Supervisor([python("one", code, ready=writes("up"))], log_directory=tmp_path, quiet=True) as supervisor:
            supervisor.start()
            before = supervisor.pid("one")
            assert before is not None
            tree = [psutil.Process(before), *eventually(lambda: descendants(before))]
            supervisor.kill("one")
            assert alive(tree) == []
            assert supervisor.pid("one") is None
            supervisor.restart("one")
            assert supervisor.pid("one") not in {None, before}
        assert (tmp_path / "one.log").read_text() == "up\nup\n"

    def test_stubborn_process(self, tmp_path: Path) -> None:
        """A process that ignores SIGTERM is killed when its grace is over."""
        spec = python("stubborn", STUBBORN, ready=writes("up"), grace_seconds=0.4)
        with Supervisor([spec], log_directory=tmp_path, quiet=True) as supervisor:
            supervisor.start()
            began = time.monotonic()
        assert 0.3 < time.monotonic() - began < 60


class TestForeground:
    """A run in a terminal ends as a person expects."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_asked_to_end(self, tmp_path: Path, number: signal.Signals) -> None:
        """Ctrl-C, SIGTERM and a closed terminal end everything in good order."""
        program = Program(FOREGROUND, tmp_path, TICKING, 10)
        until(program, "everything runs")
        started = descendants(program.pid)
        assert len(started) == 4
        program.signal(number)
        code, output = program.result()
        assert (code, output.splitlines()[-1]) == (0, "orderly end")
        assert alive(started) == []

    @pytest.mark.parametrize("moment", ["start", "wait"])
    def test_unheard(self, tmp_path: Path, moment: str) -> None:
        """A signal that arrives in a finalizer, where Python drops what is raised, ends the run all the same."""
        program = Program(UNHEARD, tmp_path, TICKING, moment)
        code, output = program.result(timeout_seconds=30)
        assert (code, output.splitlines()[-1]) == (0, "orderly end")
        assert "Exception ignored" in output

    def test_twice(self, tmp_path: Path) -> None:
        """The second Ctrl-C does not wait for those that take their time."""
        program = Program(FOREGROUND, tmp_path, STUBBORN, 60)
        until(program, "everything runs")
        started = descendants(program.pid)
        program.signal(signal.SIGINT)
        until(program, "once more to stop at once")
        program.signal(signal.SIGINT)
        code, output = program.result(timeout_seconds=15)
        assert (code, output.splitlines()[-1]) == (0, "orderly end")
        assert alive(started) == []

    def test_child_dies(self, tmp_path: Path) -> None:
        """The end of a required process gives an exit code other than 0 and says which it was."""
        program = Program(FOREGROUND, tmp_path, TICKING, 10)
        until(program, "everything runs")
        started = descendants(program.pid)
        victim = next(one for one in started if one.cmdline()[1:2] == ["-c"])
        victim.kill()
        code, output = program.result()
        assert code == 3
        assert "was ended by signal 9, so everything is stopped; its log is" in output
        assert alive(started) == []

    def test_killed(self, tmp_path: Path) -> None:
        """Even when the supervisor itself is killed, nothing is left."""
        program = Program(FOREGROUND, tmp_path, TICKING, 10)
        until(program, "everything runs")
        started = descendants(program.pid)
        program.signal(signal.SIGKILL)
        program.result()
        eventually(lambda: not alive(started), what="the end of every process")
