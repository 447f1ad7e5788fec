"""Tasks for heavy reads: `aggregations.run` by name, and one named task per aggregation."""

from typing import Any

from pydantic import ValidationError

from aggregations.catalogue import ContractParameters, find
from payments.events import Context
from tasks.arguments import Invalidate, OfContract, RunAggregation
from tasks.base import domain_task
from tasks.errors import InvalidArguments
from tasks.wiring import World


@domain_task("aggregations.run", RunAggregation)
def run(world: World, asked: RunAggregation, context: Context) -> dict[str, Any]:
    """Answer the aggregation of that name."""
    del context
    try:
        parameters = find(asked.name).parameters.model_validate(asked.params)
    except ValidationError as error:
        raise InvalidArguments.from_validation(error, under=("params",)) from None
    return world.aggregations.run(asked.name, parameters)


@domain_task("aggregations.contract_employees", OfContract)
def contract_employees(world: World, asked: OfContract, context: Context) -> dict[str, Any]:
    """List the employees of a contract, without anything secret."""
    del context
    return world.aggregations.run("contract_employees", ContractParameters(contract_id=asked.contract_id))


@domain_task("aggregations.invalidate", Invalidate)
def invalidate(world: World, asked: Invalidate, context: Context) -> dict[str, Any]:
    """Make every cached read a miss that was built under one of these tags."""
    del context
    return {"invalidated": world.invalidator.invalidate(asked.tags)}
