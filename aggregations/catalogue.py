"""The catalogue: one row per aggregation, with everything the runner has to know about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

from aggregations.contracts import Stage, contract_employees
from aggregations.errors import NotFound, UnknownAggregation

#: A MongoDB id as callers write it.
DocumentId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]


class Parameters(BaseModel):
    """What an aggregation is asked with; subclasses name the parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class ContractParameters(Parameters):
    """A contract's id, 24 hexadecimal digits."""

    contract_id: DocumentId


@dataclass(frozen=True)
class Aggregation:
    """One row of the catalogue.

    Attributes:
        name: what callers ask for.
        collection: where the pipeline starts.
        parameters: the model of its parameters.
        build: the pipeline for given parameters; pure.
        answer: what callers get of the pipeline's documents; raises NotFound for an unknown subject.
        budget_ms: the server stops the query after this many milliseconds.
    """

    name: str
    collection: str
    parameters: type[Parameters]
    build: Callable[[Any], list[Stage]]
    answer: Callable[[list[dict[str, Any]]], Any]
    budget_ms: int


def _employees(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if not found:
        raise NotFound("contract_id", "the id of a contract of the CMS")
    employees: list[dict[str, Any]] = found[0]["employees"]
    return employees


CATALOGUE: dict[str, Aggregation] = {
    row.name: row
    for row in (
        Aggregation(
            name="contract_employees",
            collection="contracts",
            parameters=ContractParameters,
            build=lambda asked: contract_employees(asked.contract_id),
            answer=_employees,
            budget_ms=2_000,
        ),
    )
}


def find(name: str) -> Aggregation:
    """Return the row of an aggregation.

    Raises:
        UnknownAggregation: there is none of that name.
    """
    if name not in CATALOGUE:
        raise UnknownAggregation(name, tuple(sorted(CATALOGUE)))
    return CATALOGUE[name]
