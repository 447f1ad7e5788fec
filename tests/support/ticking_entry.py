"""The entry that `tests.support.ticking` adds to the schedule."""

from schedules.entries import Entry

#: How long one slot lasts, in seconds; it is ticked every half of it by each beat.
SLOT_SECONDS = 2

#: The entry; `once`, so that whoever was lost is made up for.
ENTRY = Entry("tests-note", "maintenance.tests_note", SLOT_SECONDS, "a test watches it", missed="once")
