"""A database of one node with our indexes, empty: what a measurement of events works with."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import structlog

from config.settings import Settings
from payments.replay_pieces import ReplayParts
from payments.replaying import Replayer
from tasks.publishing import leave_to_sweeps
from tasks.replaying import helpers as replay_helpers
from tasks.wiring import World, build_world, ensure_indexes, utc_now
from tests.support.sandbox import PROFILE_ID, SERVER_KEY
from workers.stack import EmbeddedMongo


@contextlib.contextmanager
def one_node(*, helpers: int = 0) -> Iterator[World]:
    """Start a mongod in a temporary directory, and give a world on it whose messages nobody gets.

    Args:
        helpers: How many processes help with replays.
    """
    # What is told meanwhile, of payments in review for example, would stand between the figures.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with contextlib.ExitStack() as parts:
        home = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="nestcms-bench-")))
        mongo = parts.enter_context(EmbeddedMongo(home / "mongo"))
        settings = Settings(
            _env_file=None,
            mongo_uri=mongo.uri,
            mongo_database="bench",
            paytabs_profile=PROFILE_ID,
            paytabs_serverk=SERVER_KEY,
            paytabs_region="SAU",
        )
        helping = parts.enter_context(replay_helpers(settings, helpers, utc_now)) if helpers else None
        world = parts.enter_context(contextlib.closing(build_world(settings, send=leave_to_sweeps)))
        ensure_indexes(world)
        yield replace(world, replayer=Replayer(ReplayParts(world.db, world.ledger, world.clock, helping)))
