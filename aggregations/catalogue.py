"""The catalogue: one row per aggregation, with everything the runner has to know about it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

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
        about: what it answers, in one sentence.
        parameters: the model of its parameters.
        collections: what the pipeline reads; it starts at the first.
        build: the pipeline for given parameters at a time (aware UTC); pure.
        answer: what callers get of the pipeline's documents; raises NotFound for an unknown subject.
        tags: for given parameters, what has to change for an answer to be out of date, such as `contract:65f0…`.
        indexes: the names of the declared indexes that it leans on; `_id` needs none.
        soft_seconds: an answer older than this is served once more while a fresh one is made.
        hard_seconds: an answer older than this is not served.
        budget_ms: the server stops the query after this many milliseconds.
        read: where it may be read: from a secondary within its bound, or from the primary only.
        version: counted up when the same parameters give another answer than before: older entries are not served.
    """

    name: str
    about: str
    parameters: type[Parameters]
    collections: tuple[str, ...]
    build: Callable[[Any, datetime], list[Stage]]
    answer: Callable[[list[dict[str, Any]]], Any]
    tags: Callable[[Any], tuple[str, ...]]
    indexes: tuple[str, ...]
    soft_seconds: float
    hard_seconds: float
    budget_ms: int
    read: Literal["replica", "primary"] = "replica"
    version: int = 1


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
            about="The employees of a contract, without anything secret.",
            parameters=ContractParameters,
            collections=("contracts", "users"),
            build=lambda asked, _now: contract_employees(asked.contract_id),
            answer=_employees,
            tags=lambda asked: (f"contract:{asked.contract_id}", "users"),
            indexes=(),
            soft_seconds=30.0,
            hard_seconds=300.0,
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
