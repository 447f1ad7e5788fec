"""Run several processes in the foreground as one: started together, shown in one log, and never outliving the run.

Who cannot start is a mistake to be mended, and ends the run. Once all have started, one that ends by itself is started
again, as a container's restart policy would, and the log says so.
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from rich.console import Console

from workers.errors import DirectoryUnusable, ProcessNotReady, SupervisorError
from workers.supervisor_child import Child
from workers.supervisor_log import OWN_LABEL, LogFollower
from workers.supervisor_spec import ProcessSpec

#: How often the processes are looked at, in seconds.
LOOK_SECONDS = 0.05

#: What asks for the end of the run: Ctrl-C, a service manager, a closed terminal.
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Run processes from `start` to `stop`, in a `with` block that stops them however it is left.

    Ctrl-C, SIGTERM and SIGHUP end the block with KeyboardInterrupt (`wait` just returns): who says that all is
    ready expects one before the wait. A second one while the processes are ending kills those that are left at once.

    Args:
        specs: The processes, in the order in which they start; they stop in the reverse order.
        log_directory: Where each process's output goes, in a file called after it.
        quiet: Whether the terminal shows nothing.
        console: Where the one log goes, standard output by default.
        on_ready: Told each process's name and the seconds it took to become ready.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        log_directory: Path,
        quiet: bool = False,
        console: Console | None = None,
        on_ready: Callable[[str, float], None] | None = None,
    ) -> None:
        self._children = {spec.name: Child(spec, log_directory / f"{spec.name}.log") for spec in specs}
        self._log_directory = log_directory
        self._on_ready = on_ready
        self._shown = None if quiet else LogFollower(console or Console(), max(map(len, [*self._children, OWN_LABEL])))
        self._context = contextlib.ExitStack()
        self._stopping = False
        #: Whether the end was asked for by a signal.
        self._asked = False
        self._hurry = False

    def __enter__(self) -> Self:
        try:
            self._log_directory.mkdir(parents=True, exist_ok=True)
            for child in self._children.values():
                child.prepare_log()
        except OSError as error:
            reason = f"{error.strerror} ({error.filename}): give it to your user or remove it"
            raise DirectoryUnusable(self._log_directory, reason) from error
        self._context.enter_context(self._signals())
        if self._shown:
            self._context.enter_context(self._shown)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._context:
            self.stop()

    def start(self) -> Self:
        """Start every process and return when all of them are ready.

        Raises:
            ProcessDied: A required process ended instead of becoming ready.
            ProcessNotReady: A required process took longer than its time.
        """
        self._bring_up(list(self._children.values()))
        return self

    def wait(self, look_after: Callable[[], Iterable[str]] = tuple) -> None:
        """Return when the end is asked for (Ctrl-C, SIGTERM, SIGHUP); who ends by himself meanwhile is started again.

        Args:
            look_after: Looks after what is not a process of this supervisor's, and says what it did.
        """
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                self._heed()
                for child in self._children.values():
                    self._keep_going(child)
                for said in look_after():
                    self._say(said)
                time.sleep(LOOK_SECONDS)

    def restart(self, name: str) -> None:
        """End a process if it runs, start it again and return when it is ready."""
        child = self._children[name]
        self._end(child)
        self._bring_up([child])

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process and all of its children, as a fault would; its end is then no surprise.

        After SIGKILL this returns when the process and everything it started is gone.
        """
        child = self._children[name]
        child.ended_by_us = True
        if child.process is not None:
            child.process.signal(number, group=True)
            if number == signal.SIGKILL:
                child.process.wait()

    def end(self, name: str) -> None:
        """End a process by SIGTERM, and by SIGKILL when its grace is over; its end is then no surprise."""
        self._end(self._children[name])

    def pid(self, name: str) -> int | None:
        """Tell a process's id, None while it does not run."""
        process = self._children[name].process
        return process.pid if process and process.returncode is None else None

    def log(self, name: str) -> Path:
        """Tell where a process's output is."""
        return self._children[name].log

    def stop(self) -> None:
        """End every process in the reverse order of the start: SIGTERM, and SIGKILL when its grace is over."""
        self._stopping = True
        for child in reversed(self._children.values()):
            self._end(child)

    def _bring_up(self, children: list[Child]) -> None:
        """Start processes side by side and wait until each is ready."""
        began = time.monotonic()
        for child in children:
            if self._shown:
                self._shown.follow(child.spec.name, child.log)
            child.launch()
        while children := [child for child in children if not self._settled(child, time.monotonic() - began)]:
            self._heed()
            time.sleep(LOOK_SECONDS)

    def _keep_going(self, child: Child) -> None:
        """Start a process again that has ended by itself, when its time has come."""
        if child.restarts.is_due():
            child.launch()
            self._say(f"{child.spec.name} is started again")
        elif child.restarts.due is None and (death := child.death()):
            seconds = child.restarts.ended()
            self._say(f"{death.fact}; it is started again in {seconds:g} s (restart {child.restarts.count}), "
                      f"its log is {child.log}")  # fmt: skip

    def _heed(self) -> None:
        """Raise again what a signal raised where Python drops it: in a finalizer, for example."""
        if self._asked:
            raise KeyboardInterrupt

    def _settled(self, child: Child, seconds: float) -> bool:
        """Tell whether a started process needs no more waiting for: it is ready, or can be done without."""
        spec = child.spec
        ready = spec.ready is None or spec.ready(child.output())
        if failure := child.death():
            return self._give_up(child, failure)
        if ready:
            self._say(f"{spec.name} is ready after {seconds:.1f} s")
            if self._on_ready:
                self._on_ready(spec.name, seconds)
            return True
        if seconds > spec.ready_seconds:
            return self._give_up(child, ProcessNotReady(spec.name, spec.ready_seconds, child.log))
        return False

    def _give_up(self, child: Child, failure: SupervisorError) -> bool:
        """Raise the failure of a required process; end any other for good, say so and go on."""
        if child.spec.required:
            raise failure
        self._end(child)
        self._say(f"{failure.fact}; the others go on without it, its log is {child.log}")
        return True

    def _end(self, child: Child) -> None:
        child.ended_by_us = True
        process = child.process
        if process is None:
            return
        process.signal(signal.SIGTERM)
        process.signal(signal.SIGCONT, group=True)
        deadline = time.monotonic() + child.spec.grace_seconds
        while not process.wait(LOOK_SECONDS):
            if self._hurry or time.monotonic() > deadline:
                self._say(f"{child.spec.name} is killed, it did not end by itself")
                process.kill()
        child.process = None

    def _say(self, text: str) -> None:
        if self._shown:
            self._shown.say(text)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._stopping:
            self._stopping = self._asked = True
            self._say("stopping; once more to stop at once")
            raise KeyboardInterrupt
        self._hurry = True

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Handle the end signals during the block, where Python lets this thread do so."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in END_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
