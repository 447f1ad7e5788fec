"""When what has come of age is forgotten."""

from schedules.entries import Entry

#: Seconds between two looks. A row comes of age once, so a look that finds nothing costs next to nothing; and beat,
#: which counts from its own start when its file is lost, would hardly ever reach the end of a whole day.
HOURLY = 3_600.0

ENTRIES = (
    Entry(
        name="redact",
        task="maintenance.redact",
        every=HOURLY,
        missed="skip",
        why="what payers told PayTabs of themselves would be kept longer than is stated",
    ),
)
