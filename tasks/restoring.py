"""What a restore of the database comes to: noticed or declared, and what of it a comparison has to know."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from payments.epochs import Restore
from payments.known_elsewhere import KnownElsewhere
from payments.seal_copy import SealCopy, sent_in
from payments.seals_apart import seals_apart
from tasks.auditing import seal_file
from tasks.outside import LedgerName
from tasks.wiring import World


@dataclass(frozen=True)
class Declared:
    """What was declared.

    Attributes:
        restore: The epoch that has begun, and within which time sends may be forgotten.
        named: How many operations of that time the file of seals names.
        aside: Where that file is now, if it was moved.
    """

    restore: Restore
    named: int
    aside: Path | None


def declare_restored(world: World, since: datetime | None, *, by: str, why: str) -> Declared:
    """Begin a new epoch: sends go out again, each once PayTabs was asked for what may be forgotten.

    What the file of seals knows of the forgotten time is kept first; a file that is ahead of the database is moved
    aside, so that a new one begins.

    Args:
        world: of the database that was restored.
        since: of when the copy is; None where the restore was noticed.
        by: who says so.
        why: their words.
    """
    copy = seal_copy(world)
    beyond = list(copy.beyond()) if copy else []
    named = world.sent_elsewhere.keep(one for seal in beyond for one in sent_in(seal))
    restore = world.epochs.declare(since)
    aside = _moved_aside(copy, restore) if copy and beyond else None
    if aside is not None:
        world.alerts.close("seals_differ", "audit_seals", by=by, why=why)
    return Declared(restore, named, aside)


def seal_copy(world: World) -> SealCopy | None:
    """Return the file of seals as a copy of how far the ledger has come; None when there is none."""
    from_file, ledger = seal_file(world.settings), LedgerName(world.db, world.settings.paytabs_profile)
    return SealCopy(from_file, world.sealer.store, ledger) if from_file else None


def standing_apart(world: World) -> list[str]:
    """Say in which ways copies outside contradict the database; nothing when none does."""
    epoch, apart = world.epochs.look(), seals_apart(world.db, seal_file(world.settings))
    told = [f"Nothing is sent: {epoch.parked.copy} is ahead of the database."] if epoch.parked else []
    return [*told, *([f"The seals differ: {apart}."] if apart else [])]


def known_elsewhere(world: World, *, is_behind: bool) -> KnownElsewhere:
    """Return who looks for payments and carts of which others know more than our ledger."""
    return KnownElsewhere(
        world.db,
        world.settings.paytabs_profile,
        world.epochs.current,
        world.sent_elsewhere,
        seal_copy(world),
        is_behind,
    )


def _moved_aside(copy: SealCopy, restore: Restore) -> Path:
    path = copy.file.path
    return path.rename(path.with_name(f"{path.name}.before-epoch-{restore.epoch}"))
