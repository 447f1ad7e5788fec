"""When what has come of age is forgotten."""

from schedules.entries import Entry

#: Seconds between two looks. A row comes of age once, so a look that finds nothing costs next to nothing; and what one
#: leaves over the next one goes on with, in a slot of its own, so that no two are at it at once.
MINUTELY = 60.0

ENTRIES = (
    Entry(
        name="redact",
        task="maintenance.redact",
        every=MINUTELY,
        missed="skip",
        why="what payers told PayTabs of themselves would be kept longer than is stated",
    ),
)
