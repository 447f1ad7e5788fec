"""Judges a server's indexes against the declared ones; pure.

The same keys under another name, or as the beginning of a longer index, do the same work: ours is not made a second
time. An index that leaves documents out (sparse, partial), compares otherwise (collation) or is hidden does not.
"""

from collections.abc import Iterable, Mapping, Sequence

from aggregations.index_facts import BY_ID, Existing, Found, Keys, Use
from aggregations.index_standing import SETTLED, IndexPlan, Judged, Standing, State
from aggregations.indexes import Index

#: What makes an index of the same keys do other work than ours.
NARROWING = ("sparse", "partialFilterExpression", "collation", "hidden")

#: What makes an index more than a way to read: it may not be called redundant.
PROMISING = (*NARROWING, "unique", "expireAfterSeconds")


def make_plan(declared: Iterable[Index], found: Found, usage: Mapping[tuple[str, str], Use] | None = None) -> IndexPlan:
    """Compare.

    Args:
        declared: what should be there.
        found: what is there.
        usage: how often it was used, if that is known.
    """
    standings = tuple(_standing(index, found, usage or {}) for index in declared)
    serving = {(one.index.collection, one.by) for one in standings if one.state in SETTLED}
    others = tuple(
        Judged(one, (name, one.name) in serving, redundant(one, all_of_it), (usage or {}).get((name, one.name)))
        for name, all_of_it in found.indexes.items()
        for one in all_of_it
        if one.name != BY_ID
    )
    return IndexPlan(standings, others)


def redundant(index: Existing, among: Sequence[Existing]) -> str:
    """Tell why another index does this one's work as well; empty when none does."""
    if any(index.options.get(name) for name in PROMISING):
        return ""
    if index.keys[0][0] == "_id":
        return "begins with _id, as _id_ does"
    longer = (one for one in among if len(one.keys) > len(index.keys) and serves(one, index.keys))
    return next((f"is the beginning of {one.name}" for one in longer), "")


def serves(existing: Existing, keys: Keys) -> bool:
    """Tell whether an index does the work of one with those keys; read backwards, it is as good."""
    if any(existing.options.get(name) for name in NARROWING):
        return False
    first = existing.keys[: len(keys)]
    return first in (keys, tuple((name, -way if isinstance(way, int) else way) for name, way in keys))


def _standing(index: Index, found: Found, usage: Mapping[tuple[str, str], Use]) -> Standing:
    if index.collection in found.views:
        return Standing(index, State.DIFFERING, obstacle=f"{index.collection} is a view, which has no indexes")
    if index.collection not in found.indexes:
        return Standing(index, State.NO_COLLECTION)
    there = found.indexes[index.collection]
    if named := next((one for one in there if one.name == index.name), None):
        return _named(index, named, usage)
    return _elsewhere(index, there) or _unnamed(index, usage)


def _elsewhere(index: Index, there: Sequence[Existing]) -> Standing | None:
    """Tell how an index of another name stands for the declared one, if one does."""
    served = sorted((one for one in there if serves(one, index.keys)), key=lambda one: len(one.keys))
    if served:
        same = len(served[0].keys) == len(index.keys)
        return Standing(index, State.UNDER_OTHER_NAME if same else State.WITHIN_LONGER, served[0].name)
    alike = next((one for one in there if one.keys == index.keys), None)
    return Standing(index, State.DIFFERING, alike.name, _hidden(alike)) if alike else None


def _unnamed(index: Index, usage: Mapping[tuple[str, str], Use]) -> Standing:
    use = usage.get((index.collection, index.name))
    return Standing(index, State.BUILDING, index.name) if use and use.building else Standing(index, State.MISSING)


def _named(index: Index, named: Existing, usage: Mapping[tuple[str, str], Use]) -> Standing:
    if not (named.keys == index.keys and serves(named, index.keys)):
        other = _hidden(named) or f"{named.name} has other keys or options there than are declared"
        return Standing(index, State.DIFFERING, named.name, other)
    use = usage.get((index.collection, index.name))
    return Standing(index, State.BUILDING if use and use.building else State.PRESENT, named.name)


def _hidden(existing: Existing) -> str:
    hidden = existing.options.get("hidden")
    return f"{existing.name} has the same keys and is hidden: unhide it, or drop it" if hidden else ""
