"""When views are looked at."""

from schedules.entries import Entry

#: Seconds between two looks at how old the rebuilds are. Each hour is a slot, ticked every minute: beat counts from its
#: own start when its file is lost, and restarted within the hour it would never tick a plain look of this length.
HOURLY = 3_600.0

ENTRIES = (
    Entry(
        name="refresh-views",
        task="views.refresh",
        every="views_sweep_seconds",
        why="a group whose refresh was lost, or that waits for the end of another one, would stay as it was",
    ),
    Entry(
        name="rebuild-views",
        task="maintenance.rebuild_views",
        every=HOURLY,
        missed="once",
        why="a group that changed without a mark would stay wrong, and nobody would hear of it",
    ),
)
