"""How events of older schema versions are read: one step per fact and version, chained up to today's version.

What is stored is never changed, and hashes are checked over what is stored, never over what a step has made of it.
Whoever changes a fact keeps to this:

- A member that may be absent is added without a new version: older events are read as they are.
- Anything else is the next `SCHEMA_VERSION` and a step here that makes its data from the version before.
- No member changes its meaning under its name. So a program may read an event of a newer version than it knows where
  the members that it needs are there, and otherwise says that it cannot.
- `data.tran_ref` keeps its name: events are looked up by it in the database, where no step is applied.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from payments.errors import EventUnreadable
from payments.facts import FACTS, Fact
from payments.reasons_before import read_sentence

Data = dict[str, Any]

#: Makes a fact's data of one version from a copy of its data of the version before.
Upcaster = Callable[[Data], Data]


def _coded(data: Data) -> Data:
    """Read the sentence that stood for a reason into its code, subject and parameters."""
    code, subject, params = read_sentence(data["reason"])
    return {**data, "code": code, "subject": subject, "params": params}


#: The steps, by the fact's type and the version from which each leads to the next.
UPCASTERS: Mapping[tuple[str, int], Upcaster] = MappingProxyType(
    {("ReviewRaised", 1): _coded, ("ReviewSettled", 1): _coded}
)


@dataclass(frozen=True)
class Schemas:
    """Which facts there are, and the steps that bring their older versions up to date.

    Raises:
        ValueError: a step is missing, or leads nowhere.
    """

    kinds: Mapping[str, type[Fact]]
    steps: Mapping[tuple[str, int], Upcaster]

    def __post_init__(self) -> None:
        needed = {(name, old) for name, kind in self.kinds.items() for old in range(1, kind.SCHEMA_VERSION)}
        if wrong := sorted(needed ^ self.steps.keys()):
            raise ValueError(f"one step was expected from each older version of each fact; missing or idle: {wrong}")

    def read(self, type_name: str, version: object, data: Any) -> Fact:  # noqa: ANN401 - whatever was stored
        """Build the fact that was stored under a type name and a schema version.

        Args:
            type_name: the event's `type`.
            version: its `schema_version`; one that no step leads from, a newer one for example, is read as it stands.
            data: its `data`; members this version does not know are ignored.

        Raises:
            EventUnreadable: the type is not known, or a member is missing that cannot be done without.
        """
        kind = self.kinds.get(type_name)
        if kind is None:
            raise EventUnreadable(type_name, version, "this version knows no such fact")
        try:
            return kind.from_data(self._up_to_date(type_name, version, data))
        except (AttributeError, KeyError, TypeError) as error:
            raise EventUnreadable(type_name, version, str(error)) from error

    def _up_to_date(self, type_name: str, version: object, data: Data) -> Data:
        while isinstance(version, int) and (step := self.steps.get((type_name, version))):
            data, version = step(dict(data)), version + 1
        return data


#: Everything that may stand in `payment_events`.
SCHEMAS = Schemas(FACTS, UPCASTERS)
