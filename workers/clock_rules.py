"""What follows from how far this machine's clock is from MongoDB's and from Valkey's; pure.

A machine is wrong when both servers say so and agree with each other. Where they disagree nobody here can tell which of
them is right, so nothing stops, and operators are told.
"""

from dataclasses import dataclass

#: What no clock may differ by unnoticed, and by what a machine may be off and still take work, in seconds.
ALERT_SECONDS, STOP_SECONDS = 5.0, 60.0


@dataclass(frozen=True)
class Reading:
    """How far this machine's clock is ahead of each server's, in seconds; behind is below zero.

    Attributes:
        mongo: of the primary's; None when it did not tell.
        valkey: of the broker's; None when it did not tell.
        error: by how much either may be wrong, since answers take time.
    """

    mongo: float | None
    valkey: float | None
    error: float = 0.0

    @property
    def apart(self) -> float | None:
        """How far the two servers are apart; None when one did not tell."""
        return None if self.mongo is None or self.valkey is None else abs(self.mongo - self.valkey)


@dataclass(frozen=True)
class Judgement:
    """What follows.

    Attributes:
        may_work: whether this machine takes work; None when that cannot be told, and it stays as it was.
        off: what operators are told of this machine; empty for nothing, None when that cannot be told.
        disagree: what they are told of the servers; likewise.
    """

    may_work: bool | None
    off: str | None
    disagree: str | None


def judge(reading: Reading) -> Judgement:
    """Judge a machine's clock."""
    if reading.apart is None:
        known = [one for one in (reading.mongo, reading.valkey) if one is not None]
        return Judgement(None, _off(reading) if _beyond(known, reading) else None, None)
    if reading.apart > ALERT_SECONDS + reading.error:
        return Judgement(may_work=True, off="", disagree=_disagree(reading))
    both = [one for one in (reading.mongo, reading.valkey) if one is not None]
    far = all(abs(one) > STOP_SECONDS + reading.error for one in both)
    told = _off(reading) if _beyond(both, reading) else ""
    return Judgement(not far, told + ("; it takes no work until that is mended" if far else ""), "")


def _beyond(known: list[float], reading: Reading) -> bool:
    return any(abs(one) > ALERT_SECONDS + reading.error for one in known)


def _off(reading: Reading) -> str:
    return f"its clock is {_words(reading)}"


def _disagree(reading: Reading) -> str:
    apart = f"the clocks of MongoDB and Valkey are {reading.apart:.0f} s apart"
    return f"{apart}: the clock of the machine that looked is {_words(reading)}; which is right is not known"


def _words(reading: Reading) -> str:
    told = {"MongoDB's": reading.mongo, "Valkey's": reading.valkey}
    return " and ".join(
        f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} {name}"
        for name, ahead in told.items()
        if ahead is not None
    )
