"""What a batch of changes comes to: tags and groups that are out of date, and the map after it; nothing is written.

Old groups come from the map and new ones from the change, in the order of the stream, so that a document that went
through three groups marks all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import structlog
from bson import ObjectId, Timestamp

from aggregations.changes import Change, Key, fields_after, listed_in, lists_too_many
from aggregations.view_keys import Group, ids_or_text
from aggregations.view_members import Entry, Members
from aggregations.view_sources import REFERENCES, REFERRED, TAGS, is_kept, tags_of
from aggregations.views import VIEWS, groups_of

log = structlog.get_logger(__name__)

#: The collections whose changes decide what a contract comes to.
PAYMENTS, CONTRACTS = "payments", "contracts"


@dataclass
class Effects:
    """What has to be written for a batch, in this order; `failed` are the changes that nobody can read.

    `fresh` are the entries that the map has none of yet; `cut` are the documents that list more than it keeps.
    `payments` are those that were changed, `contracts` those whose payments came, went or were changed: whoever keeps
    payments wants to hear of both.
    """

    groups: dict[tuple[str, Group], Timestamp] = field(default_factory=dict)
    entries: dict[Key, Entry] = field(default_factory=dict)
    tags: dict[str, Timestamp] = field(default_factory=dict)
    failed: list[Key] = field(default_factory=list)
    fresh: set[Key] = field(default_factory=set)
    cut: list[Key] = field(default_factory=list)
    payments: set[ObjectId] = field(default_factory=set)
    contracts: set[ObjectId] = field(default_factory=set)

    def touch(self, key: Key, entry: Entry, at: Timestamp) -> None:
        """Note what is out of date when a document that belongs somewhere has changed."""
        one = key.one
        self.tags.update(dict.fromkeys(tags_of(key.collection, one, entry.fields), at))
        for view in VIEWS.values():
            for group in groups_of(view, key.collection, {**entry.fields, "_id": one}):
                self.groups[view.name, group] = at

    def touch_holder(self, holder: Key, at: Timestamp) -> None:
        """Note what is out of date when a document has changed that another one lists."""
        one = holder.one
        single, _ = TAGS[holder.collection]
        self.tags[f"{single}:{one}"] = at
        for view in VIEWS.values():
            if holder.collection in view.referring:
                for group in groups_of(view, holder.collection, {"_id": one}):
                    self.groups[view.name, group] = at


class Follower:
    """Works out what a batch comes to."""

    def __init__(self, members: Members) -> None:
        """Read the map."""
        self._members = members

    def follow(self, changes: Sequence[Change]) -> Effects:
        """Return what changes to documents come to."""
        effects = Effects()
        known = self._members.load({one.key for one in changes if is_kept(one.key.collection)})
        listed = {one.key for one in changes if one.key.collection in REFERRED}
        listing = self._members.listing(listed | {as_text(one) for one in listed})
        for change in changes:
            try:
                self._one(change, known, listing, effects)
            except Exception:
                # A document that cannot be read must not stop those that can; an operator hears of it.
                log.exception("change_unreadable", collection=change.key.collection)
                effects.failed.append(change.key)
        return effects

    def _one(self, change: Change, known: dict[Key, Entry], listing: dict[Key, set[Key]], effects: Effects) -> None:
        key, before = change.key, known.get(change.key)
        if before is not None:
            effects.touch(key, before, change.at)
        if before is None and change.kind == "update":
            # The document may be newer than this change, and where it was in between nobody else knows.
            told = fields_after(replace(change, document=None), None)
            effects.touch(key, Entry(told, frozenset(), change.at), change.at)
        after = _after(change, before)
        if lists_too_many(key.collection, change.document or {}):
            effects.cut.append(key)
        effects.touch(key, after, change.at)
        holders = listing.get(key, set()) | listing.get(as_text(key), set())
        for holder in holders:
            effects.touch_holder(holder, change.at)
        _tell_payments(change, before, after, holders, effects)
        if is_kept(key.collection) and (before is None or before.order <= change.order):
            if key.collection in REFERENCES:
                _relist(key, before.listed if before else (), after.listed, listing)
            if before is None:
                effects.fresh.add(key)
            known[key] = effects.entries[key] = after


def as_text(key: Key) -> Key:
    """Return the key under which a document is listed that names it by the text of its id."""
    return Key.of(key.collection, str(key.one)) if isinstance(key.one, ObjectId) else key


def _tell_payments(change: Change, before: Entry | None, after: Entry, holders: set[Key], effects: Effects) -> None:
    """Note which payment was changed, and the contracts that it belonged to or belongs to now.

    A contract itself counts when its list is another one, or it is new: who counts it writes its status as well.
    """
    one = change.key.one
    if change.key.collection == PAYMENTS and isinstance(one, ObjectId):
        effects.payments.add(one)
        for entry in filter(None, (before, after)):
            effects.contracts.update(ids_or_text(entry.fields.get("contractId")))
        effects.contracts.update(holder.one for holder in holders if isinstance(holder.one, ObjectId))
    elif change.key.collection == CONTRACTS and isinstance(one, ObjectId):
        listed = before.listed if before else frozenset()
        if change.kind == "insert" or listed != after.listed:
            effects.contracts.add(one)


def _after(change: Change, before: Entry | None) -> Entry:
    if change.kind == "delete":
        return Entry({}, frozenset(), change.at, gone=True, order=change.order)
    fields = fields_after(change, None if before is None or before.gone else before.fields)
    if change.kind == "update" and change.document is None:
        listed = before.listed if before else frozenset()
    else:
        listed = listed_in(change.key.collection, change.document or {})
    return Entry(fields, listed, change.at, order=change.order)


def _relist(holder: Key, before: Iterable[Key], after: Iterable[Key], listing: dict[Key, set[Key]]) -> None:
    """Have later changes of the same batch find who lists what by now."""
    for one in before:
        listing.get(one, set()).discard(holder)
    for one in after:
        listing.setdefault(one, set()).add(holder)
