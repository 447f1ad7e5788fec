"""Values: dataclasses that the type checker holds to be frozen, and that are made in a third of a frozen one's time.

A frozen dataclass sets its members one by one past its own guard. The verdict over one payment makes a dozen values,
and a replay judges every payment there is; what crosses no boundary needs no guard beyond the type checker's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(kind: type[T]) -> type[T]:
    """Make a class a value: equal to and hashed like its members, never to be changed."""
    return dataclass(unsafe_hash=True)(kind)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def named_value(kind: type[T]) -> type[T]:
    """Make a class a value whose members are always named."""
    made: Callable[[type[T]], type[T]] = dataclass(unsafe_hash=True, kw_only=True)
    return made(kind)
