"""Adds up rows of the pipelines that stand for parts of the same, as exactly as the database does."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Context, Decimal
from operator import itemgetter
from typing import Any

from bson import Decimal128

from aggregations.aggregation import Document
from aggregations.view_keys import UNDATED, starts

#: As many digits as the database's decimals have.
DIGITS = Context(prec=34)

#: What is added up.
SUMS = ("amount", "payments", "lost")


def added(rows: Iterable[Document], names: Sequence[str]) -> list[Document]:
    """Return rows with the same `_id` added up, in the database's order of their `_id`s.

    Args:
        rows: with `_id`, a document of the members named, and with `SUMS`.
        names: the members of `_id` in their order; nothing comes before anything.
    """
    key_of = itemgetter(*names)
    sums: dict[Any, Document] = {}
    for row in rows:
        key = key_of(row["_id"])
        sums[key] = _plus(sums[key], row) if key in sums else row
    try:
        order = sorted(sums)
    except TypeError:
        # Nothing does not compare with anything: it comes first.
        order = sorted(sums, key=lambda key: [(one is not None, one) for one in (key if len(names) > 1 else (key,))])
    return [sums[key] for key in order]


def bracket_of(day: str, days: Sequence[int], now: datetime) -> int | None:
    """Return the age bracket of a day that lies in one bracket as a whole."""
    if day == UNDATED:
        return None
    noon = starts(day) + timedelta(hours=12)
    return next((place for place, one in enumerate(days) if noon > now - timedelta(days=one)), len(days))


def _plus(one: Document, other: Document) -> Document:
    return one | {name: _sum(one[name], other[name]) for name in SUMS}


def _sum(one: Any, other: Any) -> Any:  # noqa: ANN401 - whole numbers or decimals of the database
    if isinstance(one, Decimal128) or isinstance(other, Decimal128):
        return Decimal128(DIGITS.add(_decimal(one), _decimal(other)))
    return one + other


def _decimal(value: Any) -> Decimal:  # noqa: ANN401 - as above
    return value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)
