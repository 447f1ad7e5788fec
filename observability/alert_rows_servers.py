"""The alerts about clocks, and about the indexes of this system's own collections."""

from datetime import timedelta
from typing import Final

from observability.alert_kinds import AlertKind

SERVERS: Final = (
    AlertKind(
        name="clock_off",
        means="a machine's clock is more than 5 s from MongoDB's or Valkey's. More than 60 s from both, while these "
        "agree, its workers take no work; the receiver always accepts",
        key="machine whose clock is off",
        closes="when that machine's clock is right again; of a machine that is gone after ten minutes",
        to_do="mend the machine's clock (NTP, `timedatectl`, the host of a virtual machine): its workers take work "
        "again by themselves, within seconds",
        quiet=timedelta(minutes=10),
    ),
    AlertKind(
        name="clocks_disagree",
        means="the clocks of MongoDB's primary and of Valkey are more than 5 s apart: nobody here can tell which is "
        "right, and nothing stops",
        key="one",
        closes="when they agree again; ten minutes after nobody has looked any more",
        to_do="mend the clock of the server that is wrong: compare both with the time of day. What was put to sleep by "
        "one that was ahead is woken within a minute",
        quiet=timedelta(minutes=10),
    ),
    AlertKind(
        name="own_index_missing",
        means="an index of one of this system's own collections is missing, or is another one than it should be. "
        "Without `one_open` of `payment_operations` no operation is accepted and no money is sent; what was accepted "
        "waits",
        key="collection with such an index",
        closes="when each of the collection's indexes is there",
        to_do="`indexes plan` shows them, `indexes sync --reason …` builds them; where documents stand in the way it "
        "says which",
    ),
)
