"""How each aggregation is put together from its view: one function per aggregation, in one table."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import MinKey, ObjectId
from pymongo.client_session import ClientSession
from pymongo.database import Database

from aggregations.aggregation import Document
from aggregations.lists import by_ids, cut, part
from aggregations.overview import WORKERS
from aggregations.payments import MOST_ROWS, payments_summary
from aggregations.public import PROJECT_IN_A_LIST, PUBLIC_WORKER
from aggregations.receivables import receivables_ageing
from aggregations.view_keys import FIRST_MOMENT, NO_DAYS, OUTSIDE, Group, day_of, starts, within
from aggregations.view_sums import added, bracket_of
from aggregations.views import View, month_of

#: Finds which groups wait for their refresh: of one group, or with None of all; None when they are too many.
Dirty = Callable[[View, Group | None], "set[Group] | None"]


#: The first and the last day of a span; None is open.
Span = tuple[str | None, str | None]


@dataclass(frozen=True)
class Asked:
    """One question to a view; all that is read for it is read in one session, which sees one moment."""

    db: Database[Document]
    view: View
    parameters: Any
    now: datetime
    dirty: Dirty
    session: ClientSession

    def rows(self, matching: Mapping[str, Any]) -> Iterator[Document]:
        """Return documents of the view."""
        return self.db[self.view.name].find(matching, {"rows": 1}, session=self.session)

    def live(self, collection: str, pipeline: list[Document]) -> list[Document]:
        """Return what a source holds at the moment at which the view is read."""
        return list(self.db[collection].aggregate(pipeline, session=self.session, comment="views.live"))


def one_group(name: str) -> Callable[[Asked], list[Document] | None]:
    """Return what answers from the one group that a parameter names, unless that waits for its refresh."""

    def answer(asked: Asked) -> list[Document] | None:
        group = ObjectId(getattr(asked.parameters, name))
        if asked.dirty(asked.view, group) != set():
            return None
        return next((row["rows"] for row in asked.rows({"_id": group})), [])

    return answer


def overview(asked: Asked) -> list[Document] | None:
    """Answer with what the view has counted; the project and its workers are read now, since no view holds people."""
    counted = one_group("project_id")(asked)
    if counted is None:
        return None
    workers = by_ids("projectworkers", "workers", [*part(WORKERS), {"$project": PUBLIC_WORKER}], "known_workers")
    shown = [workers, {"$project": PROJECT_IN_A_LIST}, {"$set": cut("known_workers", WORKERS)}]
    project = ObjectId(asked.parameters.project_id)
    found = asked.live("projects", [{"$match": {"_id": project}}, *shown])
    # A project that was made, or deleted, a moment ago is not yet in the view, or still is.
    return [{**of, **what} for of, what in zip(found, counted, strict=True)] if len(found) == len(counted) else None


def summary(asked: Asked) -> list[Document] | None:
    """Add up whole months, the other days of months that were cut or changed, and the days that have to be read now."""
    dirty = asked.dirty(asked.view, None)
    since, until = asked.parameters.since, asked.parameters.until
    if dirty is None or ((since or until) and _may_have_more(asked, dirty)):
        return None
    if until == FIRST_MOMENT:
        return []
    edges = {day_of(one) for one in (since, until) if one is not None and one != starts(day_of(one))}
    days = _span(since, until)
    live = {day for day in {*map(str, dirty)} | edges if _inside(day, days)}
    kept = [row for _, rows in _kept(asked, live, days) for row in rows]
    now = _now(asked, live, payments_summary(asked.parameters))
    return added([*kept, *now], ("currency", "status", "month"))[: MOST_ROWS + 1]


def ageing(asked: Asked) -> list[Document] | None:
    """Put each day into its bracket; the days in which one bracket ends are read now, as are those that changed."""
    dirty = asked.dirty(asked.view, None)
    if dirty is None:
        return None
    days = asked.parameters.brackets_days
    edges = {day_of(asked.now - timedelta(days=one)) for one in days}
    live = {*map(str, dirty)} | edges
    kept: list[Document] = []
    for day, rows in _kept(asked, live, (None, None)):
        for one in rows:
            known = one["_id"].get("bracket")
            bracket = _of_all_time(known, days) if day == OUTSIDE else bracket_of(day, days, asked.now)
            kept.append({**one, "_id": {"currency": one["_id"].get("currency"), "bracket": bracket}})
    found = added([*kept, *_now(asked, live, receivables_ageing(asked.parameters, asked.now))], ("currency", "bracket"))
    return [{**row, "brackets": days} for row in found]


#: How each aggregation is answered that has a view.
ANSWERS: Mapping[str, Callable[[Asked], list[Document] | None]] = {
    "payments_summary": summary,
    "receivables_ageing": ageing,
    "contract_balance": one_group("contract_id"),
    "org_earnings": one_group("org_id"),
    "project_overview": overview,
}


def _kept(asked: Asked, live: set[str], days: Span) -> Iterator[tuple[str, list[Document]]]:
    """Return what the view has of a span but for some days, each part with a day of it.

    Months are read as a whole, unless the span cuts them or a day of theirs is left out.
    """
    broken = {month_of(day) for day in live} | {month_of(day) for day in days if day is not None}
    for row in asked.rows({"_id": _months(days, broken)}):
        month = row["_id"].removeprefix("month:")
        yield month if month in NO_DAYS else f"{month}-15", row["rows"]
    for row in asked.rows({"of": {"$in": [*broken]}, "_id": {**_days(days), "$nin": [*live]}}) if broken else ():
        yield row["_id"], row["rows"]


def _may_have_more(asked: Asked, dirty: set[Group]) -> bool:
    """Tell whether a span may hold more than its days: what lies beyond all days, or in several of them."""
    return OUTSIDE in dirty or any(asked.rows({"_id": OUTSIDE}))


def _of_all_time(bracket: int | None, days: list[int]) -> int | None:
    """Return the bracket of what lies before or after all days, from the view's, whose one edge lies between."""
    return len(days) if bracket else bracket


def _now(asked: Asked, days: Iterable[str], pipeline: list[Document]) -> list[Document]:
    """Read some days from the source."""
    # The empty bound on the status is there for the index, whose second field is the day.
    matching = [{"status": {"$gte": MinKey()}, **within(day)} for day in sorted(days)]
    if not matching:
        return []
    return asked.live("payments", [{"$match": {"$or": matching}}, *pipeline])


def _span(since: datetime | None, until: datetime | None) -> Span:
    """Return the first and the last day of a span."""
    last = until - timedelta(milliseconds=1) if until is not None else None
    return (day_of(since) if since else None, day_of(last) if last else None)


def _inside(day: str, days: Span) -> bool:
    first, last = days
    if day in NO_DAYS:
        return first is None and last is None
    return (first is None or first <= day) and (last is None or day <= last)


def _days(days: Span) -> dict[str, Any]:
    first, last = days
    bounds = {name: day for name, day in (("$gte", first), ("$lte", last)) if day is not None}
    # Days begin with a digit; what has no day is in no span.
    return bounds | ({"$lt": ":"} if bounds else {})


def _months(days: Span, broken: set[str]) -> dict[str, Any]:
    first, last = (month_of(day) if day else None for day in days)
    low = {"$gt": first} if first else {"$gte": "month:"}
    return {**low, "$lt": last or ("month:a" if first else "month;"), "$nin": [*broken]}
