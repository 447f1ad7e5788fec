"""A database of one node with our indexes, empty: what a measurement of events works with."""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import structlog

from config.settings import Settings
from tasks.publishing import leave_to_sweeps
from tasks.wiring import World, build_world, ensure_indexes
from tests.support.sandbox import PROFILE_ID, SERVER_KEY
from workers.stack import EmbeddedMongo


@contextlib.contextmanager
def one_node() -> Iterator[World]:
    """Start a mongod in a temporary directory, and give a world on it whose messages nobody gets."""
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
        world = parts.enter_context(contextlib.closing(build_world(settings, send=leave_to_sweeps)))
        ensure_indexes(world)
        yield world
