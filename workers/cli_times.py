"""Times as people type them: a moment in ISO-8601, or how long ago."""

import re
from datetime import UTC, datetime, timedelta

import click

#: Units of durations.
UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1),
         "w": timedelta(weeks=1)}  # fmt: skip


class Moment(click.ParamType[datetime]):
    """A moment in the past: `2026-08-06T10:15:30Z`, `2026-08-06` (both UTC unless they say otherwise), or `24h`."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment, aware and in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            return _ago(value) or _moment(value)
        except (ValueError, OverflowError):
            self.fail(f"expected a time such as 2026-08-06T10:15:30Z, or a duration such as 24h or 7d, got {value!r}",
                      param, ctx)  # fmt: skip


def _ago(value: str) -> datetime | None:
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", value.strip())
    return datetime.now(UTC) - int(found[1]) * UNITS[found[2]] if found else None


def _moment(value: str) -> datetime:
    moment = datetime.fromisoformat(value.strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
