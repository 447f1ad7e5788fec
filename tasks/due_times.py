"""Which slot of an entry a moment is in, and how long it may be begun; pure.

A slot is known by its beginning, so that whoever looks, wherever and how often, means the same one.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from config.settings import Settings
from schedules.entries import Entry

#: Where counting begins: slots of whole minutes or hours begin with the clock's.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Slot:
    """One turn of an entry.

    Attributes:
        entry: the entry's name.
        due: when it begins, aware UTC.
        ends: when the next one begins.
        begin_by: the last moment at which it may be begun.
    """

    entry: str
    due: datetime
    ends: datetime
    begin_by: datetime

    @property
    def period(self) -> timedelta:
        """How long it lasts."""
        return self.ends - self.due


def period(entry: Entry, settings: Settings) -> timedelta:
    """Return the time between two slots, or two looks, of an entry."""
    if entry.at is not None:
        return DAY
    every = getattr(settings, entry.every) if isinstance(entry.every, str) else entry.every
    return timedelta(seconds=float(every or 0))


def slot_at(entry: Entry, settings: Settings, now: datetime) -> Slot:
    """Return the slot of an entry that a moment is in."""
    length = period(entry, settings)
    if entry.at is None:
        due = EPOCH + (now - EPOCH) // length * length
    else:
        due = datetime.combine(now.date(), time.fromisoformat(entry.at), tzinfo=UTC)
        due -= DAY if due > now else timedelta()
    ends = due + length
    late = None if entry.missed == "once" else entry.late_seconds
    return Slot(entry.name, due, ends, ends if late is None else min(ends, due + timedelta(seconds=late)))
