"""Tending the alerts: every half minute, what is over is closed, what has an old key is counted under its new one.

This is level-triggered: it looks at what stands, so that it does not matter who should have closed an alert and died,
or which version raised it. An alert that is raised while it is looked at stays open.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog

from observability.alert_kinds import AlertKind
from observability.alert_table import ALERTS
from paytabs.breaker_rules import STATE_CLOSED
from tasks.alert_checks import CHECKS, INDEX_MISSING
from tasks.alert_keys import KEYS
from tasks.gateway import ALERT, told
from tasks.own_indexes import missing
from tasks.wiring import World

log = structlog.get_logger(__name__)

#: How many open alerts of a name are looked at in one go: of more, any of them, so that none is left out for ever.
LOOKED_AT: Final = 200


def tend(world: World, names: Iterable[str] = tuple(ALERTS)) -> dict[str, int]:
    """Look at the open alerts of some names.

    Returns:
        How many were closed, and how many of them because they are counted under another key.
    """
    counts = {"closed": 0, "moved": 0}
    for name in names:
        for row in world.alerts.open_rows(name, LOOKED_AT):
            try:
                _tend_one(world, ALERTS[name], row, counts)
            except Exception:
                # One that cannot be looked at must not keep the others open.
                log.exception("alert_not_looked_at", alert=row["_id"])
    return counts


def tell_of_the_breaker(world: World) -> None:
    """Raise the alert that whoever opened the breaker has not raised, because it died over it."""
    breaker = world.gateway.gate.breaker
    seen = breaker.snapshot()
    if seen.shared and seen.state != STATE_CLOSED and breaker.name not in world.alerts.open_keys(ALERT):
        world.alerts.raise_alert(ALERT, breaker.name, told(seen.state))


def tell_of_indexes(world: World) -> None:
    """Raise an alert for each collection of ours that lacks an index, unless it is open."""
    told = world.alerts.open_keys(INDEX_MISSING)
    lacking: dict[str, list[str]] = {}
    for one in missing(world.db):
        lacking.setdefault(one.collection, []).append(f"{one.name} ({one.state})")
    for collection, names in lacking.items():
        if collection not in told:
            world.alerts.raise_alert(INDEX_MISSING, collection, f"{collection}: {', '.join(names)}")


def _tend_one(world: World, kind: AlertKind, row: Mapping[str, Any], counts: dict[str, int]) -> None:
    key = KEYS[kind.name](row, world.ledger) if kind.name in KEYS else row["key"]
    if key != row["key"]:
        counts["moved"] += world.alerts.absorb(row, key, str(row["key"]).removeprefix(f"{key}:"))
        return
    why = _over(world, kind, row)
    if why is not None:
        counts["closed"] += world.alerts.resolve_seen(row, why)


def _over(world: World, kind: AlertKind, row: Mapping[str, Any]) -> str | None:
    if kind.quiet is not None and row["last_seen_at"] <= world.clock() - kind.quiet:
        return f"nothing new for {kind.quiet}"
    check = CHECKS.get(kind.name)
    return check(world, row) if check else None
