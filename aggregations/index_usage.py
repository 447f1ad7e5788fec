"""What the nodes of a set say of their use of the indexes, put together; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aggregations.index_facts import Use, added


@dataclass(frozen=True)
class NodeUsage:
    """What one node says.

    Attributes:
        node: its host and port.
        used: its use of each index, by collection and name; None when it does not answer, or does not let us ask.
    """

    node: str
    used: Mapping[tuple[str, str], Use] | None


def over_all(nodes: Sequence[NodeUsage]) -> dict[tuple[str, str], Use] | None:
    """Add up the use over all nodes; None unless every one has answered: a silent one may be where an index is used."""
    if not nodes or any(node.used is None for node in nodes):
        return None
    together: dict[tuple[str, str], Use] = {}
    for node in nodes:
        for key, use in (node.used or {}).items():
            together[key] = added(together.get(key), use)
    return together
