"""When the audit trail is sealed."""

from schedules.entries import Entry

#: Seconds between two seals.
SEAL_SECONDS = 60.0

ENTRIES = (
    Entry(
        name="seal-events",
        task="maintenance.seal_events",
        every=SEAL_SECONDS,
        missed="skip",
        why="events that were cut off a payment's end, or a payment that was removed whole, would never be missed",
    ),
)
