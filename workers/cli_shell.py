"""How commands end: errors that we name are one sentence and an exit code, never a traceback.

| code | when |
| --- | --- |
| 0 | done |
| 1 | what was asked for failed: a task, a check, a process |
| 2 | it could not be asked: wrong words, wrong settings, servers that are not there |
| 130 | Ctrl-C |
"""

from typing import Any

import click

from config.errors import SettingsError
from workers.cli_errors import UnknownTask
from workers.errors import StackError, WorkersError

#: Exit code of a command that failed.
FAILED = 1

#: Exit code of a command that could not even begin.
UNUSABLE = 2

#: Exit code of a command that was interrupted, as shells count it.
INTERRUPTED = 130


class CommandFailed(click.ClickException):
    """Raised to end a command whose work failed."""

    exit_code = FAILED


class CommandUnusable(click.ClickException):
    """Raised to end a command that could not begin."""

    exit_code = UNUSABLE


class PlainGroup(click.Group):
    """A group of commands whose errors are sentences."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's
        """Run the command, and turn the errors that we name into their sentence."""
        try:
            return super().invoke(ctx)
        except (SettingsError, StackError, UnknownTask) as error:
            raise CommandUnusable(sentence(error)) from error
        except WorkersError as error:
            raise CommandFailed(sentence(error)) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


def sentence(error: Exception) -> str:
    """Write an error as a sentence that stands alone."""
    text = str(error)
    return text[:1].upper() + text[1:]
