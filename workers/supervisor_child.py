"""One process under supervision: its specification, its present incarnation and what that one has written."""

import os
from pathlib import Path

from workers.errors import ProcessDied
from workers.stack_files import begin_log
from workers.stack_process import GuardedProcess
from workers.supervisor_restarts import Restarts
from workers.supervisor_spec import ProcessSpec


class Child:
    """A specified process that is started, ends, and may be started again.

    Args:
        spec: What is to be run.
        log: The file that takes its output.
    """

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self.process: GuardedProcess | None = None
        #: Whether its end was asked for, by a stop or by a deliberate kill.
        self.ended_by_us = False
        self.restarts = Restarts()
        self._offset = 0

    def prepare_log(self) -> None:
        """Make the log file ready to be written and followed."""
        begin_log(self.log)
        with self.log.open("ab"):
            pass

    def launch(self) -> None:
        """Start the process without waiting for it."""
        self._offset = self.log.stat().st_size
        with self.log.open("ab") as output:
            self.process = GuardedProcess(
                self.spec.argv,
                output=output,
                env={**os.environ, **self.spec.env},
                cwd=self.spec.cwd,
                grace_seconds=self.spec.grace_seconds,
            )
        self.ended_by_us = False
        self.restarts.began()

    def output(self) -> str:
        """Give what the present incarnation has written."""
        with self.log.open("rb") as log:
            log.seek(self._offset)
            return log.read().decode(errors="replace")

    def death(self) -> ProcessDied | None:
        """Give the error for an end that nobody asked for, None otherwise."""
        code = self.process.returncode if self.process else None
        return None if code is None or self.ended_by_us else ProcessDied(self.spec.name, code, self.log)
