"""Tasks for materialised views: `views.refresh` does what is due, `maintenance.rebuild_views` checks them all."""

import math
from datetime import timedelta
from typing import Any

from aggregations.view_survey import view_standings
from aggregations.views import VIEWS, View
from observability import metrics
from payments.events import Context
from tasks.arguments import Arguments, RefreshViews
from tasks.base import domain_task
from tasks.sweeping import enqueued
from tasks.timekeeping import seconds_left
from tasks.wiring import World

#: How long one run goes on before it leaves the rest to the next one, in seconds.
SLICE_SECONDS = 20.0

#: What is left to a task's end when the last part of a slice begins, in seconds.
LAST_PART_SECONDS = 15.0

#: The alert about a watcher that does not follow; its key.
WATCHER_BEHIND, WATCHER = "watcher_behind", "watcher"

#: The alert about a view that does not get on; its key is the view's name.
STUCK = "view_stuck"

#: The watcher's alerts that are over once every view was read anew.
CURED = ("views_collection_changed", "change_unreadable")

#: How old a rebuild may become whatever the hour, in hours; and how old one has to be at the hour that is set.
OLDEST_HOURS, NIGHTLY_HOURS = 48, 12


@domain_task("views.refresh", RefreshViews)
def refresh(world: World, asked: RefreshViews, context: Context) -> dict[str, Any]:
    """Refresh a view, or go on with its rebuild; without a name have all refreshed that have something to do."""
    correlation_id = context.correlation_id
    if asked.name is None:
        names = [*VIEWS] if asked.full else _due(world)
        full: dict[str, Any] = {"full": True} if asked.full else {}
        if asked.full and asked.requested_by:
            full |= {"requested_by": asked.requested_by}
            full |= {"audit_reason": asked.audit_reason} if asked.audit_reason else {}
        return enqueued(world.send("views.refresh", correlation_id=correlation_id, name=name, **full) for name in names)
    view = VIEWS[asked.name]
    if asked.full:
        _begin_rebuild(world, view, asked, context)
    report = world.views.go_on(view, max(0.0, min(SLICE_SECONDS, seconds_left() - LAST_PART_SECONDS)))
    if report.left:
        world.send("views.refresh", correlation_id=correlation_id, name=asked.name)
    return report.to_json()


@domain_task("maintenance.rebuild_views", Arguments)
def rebuild_views(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Have views built anew at the hour that is set for it, and at any hour those that have waited for too long."""
    del asked
    at_night = world.clock().hour == world.settings.views_rebuild_hour
    hours = NIGHTLY_HOURS if at_night else OLDEST_HOURS
    names = world.views.overdue(timedelta(hours=hours))
    return enqueued(
        world.send("views.refresh", correlation_id=context.correlation_id, name=name, full=True) for name in names
    )


def _begin_rebuild(world: World, view: View, asked: RefreshViews, context: Context) -> None:
    """Begin to build a view anew; wanted by somebody with a name, that is this person's act."""
    if context.requested_by is None:
        world.views.begin_rebuild(view)
        return
    about, key = {"view": view.name}, f"{view.name}/{context.correlation_id}"
    with world.trail.act("views.refresh full", context, reason=asked.audit_reason, arguments=about, key=key):
        world.views.begin_rebuild(view)


def _due(world: World) -> list[str]:
    """Return the views that have something to do, after a look at how far the watcher is."""
    behind = world.views.seconds_behind()
    _show(world, behind)
    if behind is None or behind > world.settings.views_bound_seconds:
        how = "does not run" if behind is None else f"is {behind:.0f} s behind"
        world.alerts.raise_alert(WATCHER_BEHIND, WATCHER, f"the watcher {how}: reads go past the views")
    else:
        world.alerts.resolve(WATCHER_BEHIND, WATCHER, why="the watcher follows")
    _tell_standing(world)
    return world.views.due()


def _tell_standing(world: World) -> None:
    """Tell of views that do not get on, and close what a rebuild has cured."""
    stuck = world.views.stuck()
    for name, why in stuck.items():
        world.alerts.raise_alert(STUCK, name, why)
    for name in {*world.alerts.open_keys(STUCK)} - stuck.keys():
        world.alerts.resolve(STUCK, name, why="the view gets on")
    since = world.views.rebuilt_since()
    if since is not None:
        for name in CURED:
            world.alerts.resolve_before(name, since, why="every view was built anew")


def _show(world: World, behind: float | None) -> None:
    """Have metrics show how the watcher and the views stand."""
    metrics.WATCHER_BEHIND.set(math.inf if behind is None else behind)
    metrics.VIEWS_GENERATION.set(world.views.state.generation())
    for one in view_standings(world.views.state, world.views.marks):
        metrics.VIEW_MARKS.labels(view=one.view).set(one.marks)
        metrics.VIEW_BUILT.labels(view=one.view).set(one.built)
