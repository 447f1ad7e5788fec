"""How replays are put together, with helpers where whoever replays is a process of its own and may have some."""

from datetime import timedelta
from functools import partial

from config.connections import database, mongo_client
from config.settings import Settings
from payments.operations import OperationsLedger
from payments.replay_helpers import Helpers
from payments.replay_pieces import ReplayParts
from payments.store import Clock


def helpers(settings: Settings, count: int, clock: Clock) -> Helpers:
    """Begin helper processes; nothing may be connected here yet."""
    return Helpers(count, partial(_connected, settings, clock))


def _connected(settings: Settings, clock: Clock) -> ReplayParts:
    """Connect a helper to the database; it only reads the ledger, so that the lease is nobody's."""
    db = database(mongo_client(settings), settings)
    return ReplayParts(db, OperationsLedger(db, lease=timedelta(0)), clock)
