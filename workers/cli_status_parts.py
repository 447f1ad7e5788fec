"""What is known of the system's health, each part by itself: one that cannot be asked says so and hides no other."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import redis
from pymongo.errors import PyMongoError

from aggregations.view_survey import view_standings
from config.connections import redis_client
from config.fingerprints import fingerprint_of
from config.queues import QUEUES
from observability.database_refusals import refusal_in, told_of
from paytabs.breaker_rules import STATE_CLOSED
from tasks.server_memory import memories
from tasks.standings import standings
from tasks.wiring import World
from workers.cli_dead_letters import moment
from workers.cli_rebuild import sources
from workers.clock_rules import judge
from workers.clock_watch import read_clocks
from workers.server_rows import parts, row_of
from workers.waiting import depth, oldest

Row = dict[str, Any]
Part = Callable[[World], list[Row]]

#: How many open alerts of a name are listed: however many there are of one, those of the others are seen.
ALERTS_SHOWN = 10

MEGABYTE = 1024 * 1024


def members(world: World) -> list[Row]:
    """Return the members of the replica set as seen from here now: `ok` unless heavy reads should avoid one."""
    rows = []
    for one in world.replicas.survey():
        row = asdict(one) | {"ok": not one.ejected and one.role != "unknown"}
        row["lag_seconds"] = None if one.lag_seconds is None else round(one.lag_seconds, 2)
        rows.append(row)
    return rows


def clocks(world: World) -> list[Row]:
    """Return how far this machine's clock is ahead of both servers'."""
    seen = read_clocks(world.db, world.settings)
    found = judge(seen)
    ahead = {"mongodb": seen.mongo, "valkey": seen.valkey}
    told = {f"ahead_of_{name}_seconds": None if by is None else round(by, 1) for name, by in ahead.items()}
    return [{"clock": "this machine", **told, "ok": found.off == "" and found.disagree == ""}]


def queues(world: World) -> list[Row]:
    """Return how many messages wait in each queue of the broker, which is the oldest, and since when that waits."""
    with redis_client(str(world.settings.redis_url)) as broker:
        return [_queue(broker, queue) for queue in QUEUES]


def _queue(broker: redis.Redis, queue: str) -> Row:
    first = oldest(broker, queue)
    told = {"oldest": first.task if first else None, "since": first.since if first else None}
    return {"queue": queue, "waiting": depth(broker, queue), **told, "ok": True}


def memory(world: World) -> list[Row]:
    """Return how full the servers of broker, results and cache are; beyond 80 % there is an alert."""
    return [
        {
            "server": " and ".join(one.parts),
            "used_mb": one.used_bytes // MEGABYTE,
            "most_mb": one.most_bytes // MEGABYTE,
            "used_percent": round(one.share * 100),
            "evicts": "yes" if one.evicts else "no",
            "ok": not one.is_short,
        }
        for one in memories(world.settings)
    ]


def servers(world: World) -> list[Row]:
    """Return which system's fingerprint the broker and the cache carry."""
    own = fingerprint_of(world.db, world.settings.paytabs_profile)
    return [row_of(name, url, own) for name, url in parts(world.settings).items()]


def cache(world: World) -> list[Row]:
    """Return whether the cache answers."""
    return [{"cache": "answers", "ok": bool(redis_client(str(world.settings.cache_url)).ping())}]


def breaker(world: World) -> list[Row]:
    """Return whether PayTabs is called."""
    seen = world.gateway.gate.breaker.snapshot()
    known = {"state": seen.state, "reason": seen.reason, "opens_in_seconds": round(seen.open_for_seconds, 1)}
    return [known | {"calls": seen.calls, "failures": seen.failures, "ok": seen.shared and seen.state == STATE_CLOSED}]


def due_work(world: World) -> list[Row]:
    """Return what is due in MongoDB and who waits longest; beyond a few sweeps of time something is stuck."""
    now = world.clock()
    patience = world.settings.visibility_timeout_seconds
    rows = []
    for source in sources(now):
        due = {source.due: {"$type": "date", "$lte": now}}
        found = world.db[source.collection].find_one({"$and": [source.open_rows, due]}, sort=[(source.due, 1)])
        oldest = None if found is None else (now - found[source.due]).total_seconds()
        rows.append({"work": source.name, "oldest_due_seconds": oldest, "ok": oldest is None or oldest < patience})
    return rows


def schedule(world: World) -> list[Row]:
    """Return the entries of the schedule that are overdue."""
    found = standings(world.slots, world.settings, world.clock())
    return [
        {"entry": one.entry.name, "overdue_since": moment(one.overdue_since), "ok": False}
        for one in found
        if one.overdue_since
    ]


def views(world: World) -> list[Row]:
    """Return how far the watcher is and how each view stands: `ok` while it may be read."""
    behind, position = world.views.seconds_behind(), world.views.state.position()
    follows = behind is not None and behind <= world.settings.views_bound_seconds
    how = "follows" if follows else "is behind" if position.ready else "has made no map"
    seconds = None if behind is None else round(behind, 1)
    watcher = {"name": "watcher", "state": how, "behind_seconds": seconds, "generation": position.generation}
    kept = [
        {"name": one.view, "state": one.how, "marks": one.marks, "ok": one.built}
        for one in view_standings(world.views.state, world.views.marks)
    ]
    return [watcher | {"marks": None, "ok": follows}, *kept]


def alerts(world: World) -> list[Row]:
    """Return the open alerts by name, those that have been open longest first, and how many more there are."""
    shown: list[Row] = []
    for count, found in world.alerts.oldest_of_each(ALERTS_SHOWN):
        shown += [
            {
                "alert": row["name"],
                "about": row["key"],
                "since": moment(row["opened_at"]),
                "times": row["count"],
                "detail": row["detail"],
                "ok": False,
            }
            for row in found
        ]
        if left := count - len(found):
            more = {"alert": found[0]["name"], "detail": f"{left} more", "ok": False}
            shown.append(dict.fromkeys(shown[-1], "") | more)
    return shown


#: Every part, in the order in which it is shown.
PARTS: dict[str, Part] = {
    "members": members,
    "clocks": clocks,
    "queues": queues,
    "servers": servers,
    "memory": memory,
    "cache": cache,
    "breaker": breaker,
    "due work": due_work,
    "schedule": schedule,
    "views": views,
    "alerts": alerts,
}


def asked(world: World, part: Part) -> list[Row]:
    """Ask for one part; what cannot be asked is not well."""
    try:
        return part(world)
    except (PyMongoError, redis.exceptions.RedisError) as error:
        if refusal := refusal_in(error):
            return [{"unknown": told_of(error, refusal), "ok": False}]
        return [{"unknown": f"not answered: {type(error).__name__}", "ok": False}]
