"""When open alerts are looked at."""

from schedules.entries import Entry

#: Seconds between two looks.
TEND_SECONDS = 30.0

ENTRIES = (
    Entry(
        name="tend-alerts",
        task="maintenance.tend_alerts",
        every=TEND_SECONDS,
        missed="level",
        why="an alert whose cause is gone would stay open when whoever should have closed it has died",
    ),
)
