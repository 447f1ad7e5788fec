"""The catalogue: one row per aggregation, gathered from the subjects, and the one net that all answers go through."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from aggregations import balances, contracts, earnings, gateway, overview, payments, projects, receivables, users
from aggregations.aggregation import Aggregation, Document, Stage
from aggregations.errors import UnknownAggregation
from aggregations.parameters import ContractParameters, DocumentId, Parameters
from aggregations.public import without_passwords

__all__ = ["CATALOGUE", "Aggregation", "ContractParameters", "DocumentId", "Parameters", "Stage", "find"]

_SUBJECTS = (
    *contracts.ROWS, *projects.ROWS, *earnings.ROWS, *users.ROWS, *payments.ROWS, *balances.ROWS, *overview.ROWS,
    *receivables.ROWS, *gateway.ROWS,
)  # fmt: skip


def _netted(answer: Callable[[list[Document]], Any]) -> Callable[[list[Document]], Any]:
    return lambda found: without_passwords(answer(found))


#: Every aggregation by its name.
CATALOGUE: dict[str, Aggregation] = {row.name: replace(row, answer=_netted(row.answer)) for row in _SUBJECTS}


def find(name: str) -> Aggregation:
    """Return the row of an aggregation.

    Raises:
        UnknownAggregation: there is none of that name.
    """
    if name not in CATALOGUE:
        raise UnknownAggregation(name, tuple(sorted(CATALOGUE)))
    return CATALOGUE[name]
