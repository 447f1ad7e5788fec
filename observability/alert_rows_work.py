"""The alerts about tasks, the schedule, reactions and the audit trail."""

from datetime import timedelta
from typing import Final

from observability.alert_kinds import AlertKind

#: Sealing is tried every minute: what has not failed for so long works again.
_SEALED_AGAIN = timedelta(minutes=15)

WORK: Final = (
    AlertKind(
        name="dead_letter",
        means="a task was given up, or a message was refused, that nobody waits for",
        key="task of this version, and `other` for what is none, with the last letters in it",
        closes="when none of its letters waits any more: each was replayed or closed, or what it was about was done "
        "meanwhile",
        to_do="`dead-letters list`, `show`, then `replay` or `close`",
    ),
    AlertKind(
        name="reaction_given_up",
        means="a reaction to an event was tried for a day, or refused for good; the payment is untouched by it",
        key="reaction, with the last events in it",
        closes="when none of its dead letters waits any more: each was replayed or closed, or the reaction was done "
        "meanwhile",
        to_do="mend what the sentence names, then `dead-letters replay`, or `events redeliver` for many",
    ),
    AlertKind(
        name="schedule_overdue",
        means="an entry of the schedule was not done although its policy cannot explain that",
        key="entry of the schedule",
        closes="within half a minute of the entry's next success",
        to_do="see that beat runs, that the entry's queue is read and not full, and what the entry fails with",
    ),
)

AUDIT: Final = (
    AlertKind(
        name="seals_differ",
        means="the database has other seals than the copy outside: somebody removed or changed some, or the database "
        "was restored to an earlier state. Nothing is sealed until that is settled",
        key="one",
        closes="only a person closes it: whether it was a restore or an intruder nobody else knows",
        to_do="`audit verify` names what differs. After a restore that was intended, `nestcms-workers restored` "
        "moves the file aside, the next run begins a new one from the database, and the alert closes; where "
        "it cannot tell that the file is this database's, move it aside and keep it, then close the alert",
    ),
    AlertKind(
        name="late_event",
        means="an event was committed later than a transaction lives, or somebody put it in. It is sealed as late, "
        "and `audit verify` names it",
        key="one for all, with the last events in it",
        closes="when each event in it was accepted; one with more events than it lists, only by a person",
        to_do="look at the event's `correlation_id` in the logs and at the clocks of the workers. Who knows where it "
        "came from: `audit accept EVENT --reason …`, and `audit verify` only notes it. Else treat it as put in",
    ),
    AlertKind(
        name="seal_not_written",
        means="the file outside cannot be written; sealing goes on, and the file gets what it missed with the next "
        "seal that reaches it",
        key="one, with the last paths in it",
        closes="after a quarter of an hour without another; sealing is tried every minute",
        to_do="mend the disk, or the path",
        quiet=_SEALED_AGAIN,
    ),
    AlertKind(
        name="seal_not_posted",
        means="`AUDIT_SEAL_URL` does not take seals; sealing goes on, and it gets what it missed later",
        key="one",
        closes="after a quarter of an hour without another; posting is tried every minute",
        to_do="mend the address, or the host behind it",
        quiet=_SEALED_AGAIN,
    ),
)
