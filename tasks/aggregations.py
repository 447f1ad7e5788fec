"""Tasks for heavy reads: `aggregations.run` by name, and one named task per row of the catalogue."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from bson import Timestamp
from celery import Task
from pydantic import ValidationError, create_model
from pymongo.errors import PyMongoError

from aggregations.catalogue import CATALOGUE, Aggregation, Parameters
from aggregations.readers import operation_time
from aggregations.tokens import cluster_time, written
from payments.events import Context
from paytabs.resilience import INVALIDATION
from schedules.aggregations import REFRESH_SECONDS
from tasks.arguments import Arguments, Invalidate, RefreshAggregation, RunAggregation
from tasks.base import domain_task
from tasks.errors import InvalidArguments
from tasks.sweeping import enqueued
from tasks.wiring import World

#: How far a told time of the database may be ahead of what the primary says, in seconds: while the set elects, the node
#: that is asked may not have heard of it yet.
AHEAD_SECONDS = 60


@domain_task("aggregations.run", RunAggregation)
def run(world: World, asked: RunAggregation, context: Context) -> dict[str, Any]:
    """Answer the aggregation of that name."""
    del context
    after = changed_at(world, asked.cluster_time) if asked.cluster_time is not None else None
    return world.aggregations.run(asked.name, parameters(world, asked), asked.max_age_seconds, after)


@domain_task("aggregations.refresh", RefreshAggregation)
def refresh(world: World, asked: RefreshAggregation, context: Context) -> dict[str, Any]:
    """Build a remembered answer anew that has reached its soft age, unless somebody does."""
    del context
    return world.aggregations.refresh(asked.name, parameters(world, asked))


#: How many hot reads one look has built anew.
HOTTEST = 50

#: How many looks fit, at least, between the one that has a read built anew and the read's hard age.
LOOKS_LEFT = 3


@domain_task("aggregations.refresh_hot", Arguments)
def refresh_hot(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
    """Have what is asked for most built anew between its soft age and its hard one."""
    del asked
    catalogue = world.aggregations.catalogue
    hot = [one for one in world.hot.hottest(HOTTEST) if one.name in catalogue]
    return enqueued(
        world.send("aggregations.refresh", correlation_id=context.correlation_id, name=one.name, params=one.params)
        for one in hot
        if world.hot.due(one, between_refreshes(catalogue[one.name]))
    )


def between_refreshes(row: Aggregation) -> float:
    """Return the longest time between two refreshes, in seconds, after which none is past its hard age.

    A refresh leaves alone what has not reached its soft age yet: that is this much older at the next one, which the
    looks' own period may delay, twice if one is lost.
    """
    return max(REFRESH_SECONDS / 2, row.hard_seconds - row.soft_seconds - LOOKS_LEFT * REFRESH_SECONDS)


def named_task(row: Aggregation) -> Task:  # type: ignore[type-arg] # the stubs' parameter does not exist at run time
    """Register the task that answers one aggregation; it takes the aggregation's parameters as its arguments."""

    def answer(world: World, asked: Arguments, context: Context) -> dict[str, Any]:
        del context
        return world.aggregations.run(row.name, parameters_of(row, asked))

    answer.__name__, answer.__doc__ = row.name, row.about
    return domain_task(f"aggregations.{row.name}", arguments_of(row))(answer)


def arguments_of(row: Aggregation) -> type[Arguments]:
    """Return the model of a named task's arguments: the aggregation's parameters, and who asks."""
    bases = cast("tuple[type[Arguments], ...]", (Arguments, row.parameters))
    return create_model(f"Of_{row.name}", __doc__=row.about, __base__=bases)


def parameters_of(row: Aggregation, asked: Arguments) -> Parameters:
    """Return an aggregation's own parameters, without who asks: one answer is everybody's."""
    return row.parameters.model_validate(asked.model_dump(include=set(row.parameters.model_fields)))


#: The named tasks, by the name of their aggregation.
NAMED: Mapping[str, Task] = MappingProxyType({name: named_task(row) for name, row in CATALOGUE.items()})  # type: ignore[type-arg] # as above


@domain_task("aggregations.invalidate", Invalidate, policy=INVALIDATION)
def invalidate(world: World, asked: Invalidate, context: Context) -> dict[str, Any]:
    """Make every cached read a miss that was built under one of these tags, and have later builds read the change."""
    del context
    return {"invalidated": world.invalidator.invalidate(asked.tags, at=changed_at(world, asked.cluster_time))}


def parameters(world: World, asked: RunAggregation | RefreshAggregation) -> Parameters:
    """Return what an aggregation is asked with.

    Raises:
        UnknownAggregation: there is none of that name.
        InvalidArguments: every mistake, each naming its field.
    """
    try:
        return world.aggregations.find(asked.name).parameters.model_validate(asked.params)
    except ValidationError as error:
        raise InvalidArguments.from_validation(error, under=("params",)) from None


def changed_at(world: World, told: str | None) -> Timestamp | None:
    """Return the database's time of a change: as told, else now, which is later; None while the database is away.

    Raises:
        InvalidArguments: the time lies in the database's future; every read would wait for it.
    """
    try:
        now = operation_time(world.db)
    except PyMongoError:
        now = None  # what is remembered must be a miss all the same
    at = cluster_time(told) if told is not None else now
    if at is not None and now is not None and at.time > now.time + AHEAD_SECONDS:
        raise InvalidArguments(f"cluster_time: expected a time of the database, which is at {written(now)} now")
    return at
