"""`nestcms-workers events`: compute again what was computed from events, and react to them again on purpose."""

import click

from workers.cli_redeliver import redeliver
from workers.cli_replay import replay


@click.group()
def events() -> None:
    """Compute again what comes of events, or have others told of them again."""


events.add_command(replay)
events.add_command(redeliver)
