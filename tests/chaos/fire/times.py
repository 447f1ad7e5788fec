"""The times of a system under fire: the short ones, so that what heals with time heals within seconds."""

from config.settings import Settings
from tests.chaos.stage import Json
from tests.support.system import SHORT_TIMES

#: A third of all calls fails here on purpose, so five in a row do so now and then: the breaker opens, but not for long.
BREAKER = {"breaker_open_seconds": 1.0}

#: What a run's system is set to.
FIRE_TIMES: Json = SHORT_TIMES | {name: value for name, value in BREAKER.items() if name in Settings.model_fields}
