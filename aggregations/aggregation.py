"""What an aggregation is: one row with everything that the runner has to know about it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from aggregations.parameters import Parameters

Document = dict[str, Any]
Stage = dict[str, Any]


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
    answer: Callable[[list[Document]], Any]
    tags: Callable[[Any], tuple[str, ...]]
    indexes: tuple[str, ...]
    soft_seconds: float
    hard_seconds: float
    budget_ms: int
    read: Literal["replica", "primary"] = "replica"
    version: int = 1
