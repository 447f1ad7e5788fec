"""How retention is put together: the ages that are set, and the collections they are for."""

from datetime import timedelta

from payments.retention import Retention, rules
from tasks.wiring import World


def make_retention(world: World) -> Retention:
    """Return who forgets what has come of age."""
    settings = world.settings
    return Retention(
        world.db,
        rules(
            world.store,
            inbox=timedelta(days=settings.inbox_retention_days),
            letters=timedelta(days=settings.dead_letter_retention_days),
        ),
        clock=world.clock,
        trail=world.trail,
    )
