"""The alerts about MongoDB itself."""

from datetime import timedelta
from typing import Final

from observability.alert_kinds import AlertKind
from observability.database_refusals import ALERT, REFUSALS

_TO_DO: Final = "; ".join(f"`{row.key}`, {row.reason}: {row.to_do}" for row in REFUSALS.values())

DATABASE: Final = (
    AlertKind(
        name=ALERT,
        means="MongoDB refuses what we ask until somebody acts, and nothing is lost meanwhile: see "
        '"When the database refuses us"',
        key="reason: " + ", ".join(f"`{key}`" for key in REFUSALS),
        closes="after five minutes without another: whoever waits tries at least once a minute",
        to_do=_TO_DO,
        quiet=timedelta(minutes=5),
    ),
)
