"""How the demo tells what it does: a line per step with its time, a line per check with what was found."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.markup import escape

from workers.cli_errors import DemoFailed
from workers.errors import WorkersError

#: How long anything that the demo waits for may take, in seconds, unless a step says otherwise.
WAIT_SECONDS = 20.0

#: How often it looks meanwhile, in seconds.
LOOK_SECONDS = 0.02

Value = TypeVar("Value")


class NotSo(Exception):
    """Raised when a check finds something else than it promises; its text is what was found."""


class Report:
    """Prints steps and checks, and ends the demo at the first one that fails.

    Args:
        console: Where it prints.
        logs: Where the processes' logs are, for who wants to know why.
    """

    def __init__(self, console: Console, logs: Path) -> None:
        self.console = console
        self.checks = 0
        self._logs = logs
        self._number = 0
        self._began = 0.0

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Do one step of the demo and print its time.

        Raises:
            DemoFailed: a check failed, or something went wrong on the way.
        """
        self._number += 1
        began = self._began = time.monotonic()
        self.console.print(f"\n[bold]{self._number}  {escape(title)}[/bold]")
        try:
            with self.console.status(f"{escape(title)} …"):
                yield
        except WorkersError as error:
            self._fail(title, str(error).rstrip("."), error)
        except NotSo as error:
            self._fail(title, str(error), error)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong has to name its step
            self._fail(title, f"{type(error).__name__}: {error}", error)
        self.console.print(f"   [dim]step {self._number} took {time.monotonic() - began:.2f} s[/dim]")

    def tell(self, text: str) -> None:
        """Print something that happened, with the seconds since the step began."""
        self.console.print(f"   [dim]{time.monotonic() - self._began:6.2f} s[/dim]    {escape(text)}", soft_wrap=True)

    def check(self, promise: str, holds: object, found: object = None) -> None:
        """Print that a promise is kept.

        Raises:
            NotSo: it is not.
        """
        if not holds:
            raise NotSo(f"not so: {promise}" + ("" if found is None else f"; found: {found}"))
        self.checks += 1
        seconds = time.monotonic() - self._began
        self.console.print(f"   [dim]{seconds:6.2f} s[/dim]  [green]✓[/green] {escape(promise)}", soft_wrap=True)

    def wait(self, what: str, look: Callable[[], Value | None], seconds: float = WAIT_SECONDS) -> Value:
        """Look until there is something, and return it.

        Raises:
            NotSo: it did not come in time.
        """
        deadline = time.monotonic() + seconds
        while not (value := look()):
            if time.monotonic() > deadline:
                raise NotSo(f"not so within {seconds:g} s: {what}")
            time.sleep(LOOK_SECONDS)
        return value

    def _fail(self, title: str, happened: str, error: Exception) -> None:
        self.console.print(f"           [bold red]✗ {escape(happened)}[/bold red]", soft_wrap=True)
        raise DemoFailed(title, happened, self._logs) from error
