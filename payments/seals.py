"""What a seal is: the heads of all payments that grew within a span of time, and a hash that leads to the seal before.

A seal covers the events that were recorded after the horizon of the seal before it, up to its own. Its digest is over
each of them, its heads name the newest of each payment: whatever is changed, dropped, added or put in another order
under a seal no longer gives the digest, and the heads tell where. What the operators did is sealed with it.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from payments.events import GENESIS_HASH, content_hash
from payments.marks import MARK, SHA256, Mark, Span

_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"


def _a_moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


#: A hash in hexadecimal digits.
Hash = Annotated[str, StringConstraints(pattern=f"^{SHA256}$")]

#: A time as events have it, ISO-8601 UTC with milliseconds: later ones are greater texts.
Moment = Annotated[str, StringConstraints(pattern=f"^{_MOMENT}$"), AfterValidator(_a_moment)]

#: An event and its hash, as seals name it.
MarkText = Annotated[str, StringConstraints(pattern=f"^{MARK}$")]

#: A count of things.
Count = Annotated[int, Field(ge=0)]


class Seal(BaseModel):
    """One seal as it stands in the database and outside; members that this version does not know keep their part in it.

    Attributes:
        n: Its number; the first is 1.
        since: The horizon of the seal before; None in the first.
        horizon: Up to when the events are covered.
        sealed_at: When it was made.
        prev_hash: The hash of the seal before.
        count: How many events it covers.
        digest: The hash over them.
        total: How many events all seals up to this one cover, late ones included.
        heads: The newest covered event of each payment, by payment.
        late: Events that a seal before should have covered and that were not there yet.
        entries: The number of the newest audit entry; 0 when there is none.
        entries_hash: That entry's hash.
        hash: The hash of all this.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", hide_input_in_errors=True)

    n: Annotated[int, Field(ge=1)]
    since: Moment | None
    horizon: Moment
    sealed_at: Moment
    prev_hash: Hash
    count: Count
    digest: Hash
    total: Count
    heads: list[MarkText]
    late: list[MarkText]
    entries: Count
    entries_hash: Hash
    hash: Hash

    @property
    def content(self) -> dict[str, Any]:
        """Return what the hash covers."""
        return self.model_dump(exclude={"hash"})

    @property
    def head_marks(self) -> dict[str, Mark]:
        """Return the heads by payment."""
        return {mark.payment_id: mark for mark in map(Mark.read, self.heads)}

    @property
    def late_marks(self) -> dict[str, Mark]:
        """Return the late events by their ids."""
        return {mark.event_id: mark for mark in map(Mark.read, self.late)}

    def is_whole(self) -> bool:
        """Return whether its hash is that of its content."""
        try:
            return content_hash(self.content) == self.hash
        except (TypeError, ValueError):
            return False

    def covers(self, moment: str) -> bool:
        """Return whether what was recorded at a moment is this seal's to cover."""
        return (self.since is None or self.since < moment) and moment <= self.horizon


def make_seal(
    previous: Seal | None,
    span: Span,
    *,
    horizon: str,
    sealed_at: str,
    late: Iterable[Mark] = (),
    entries: tuple[int, str] = (0, GENESIS_HASH),
    more: Mapping[str, Any] | None = None,
) -> Seal:
    """Return the seal that follows another.

    Args:
        previous: The seal before; None for the first.
        span: The events between that one's horizon and this one's.
        horizon: Up to when.
        sealed_at: When this seal is made.
        late: Events that a seal before should have covered.
        entries: The number and the hash of the newest audit entry.
        more: Further members, which programs of before keep as they are.
    """
    tardy = sorted(map(str, late))
    content = {
        **(more or {}),
        "n": previous.n + 1 if previous else 1,
        "since": previous.horizon if previous else None,
        "horizon": horizon,
        "sealed_at": sealed_at,
        "prev_hash": previous.hash if previous else GENESIS_HASH,
        "count": span.count,
        "digest": span.digest,
        "total": (previous.total if previous else 0) + span.count + len(tardy),
        "heads": [str(span.heads[payment_id]) for payment_id in sorted(span.heads)],
        "late": tardy,
        "entries": entries[0],
        "entries_hash": entries[1],
    }
    return Seal.model_validate({**content, "hash": content_hash(content)})


def why_it_does_not_follow(previous: Seal | None, seal: Seal) -> str | None:
    """Say in words why a seal is not the one that was made after another; None when it is."""
    if not seal.is_whole():
        return "its content does not give its hash: it was changed after it was made"
    if previous is None:
        horizon, prev_hash, total, entries = None, GENESIS_HASH, 0, 0
    else:
        horizon, prev_hash, total, entries = previous.horizon, previous.hash, previous.total, previous.entries
    before = f"seal {seal.n - 1}"
    if seal.prev_hash != prev_hash:
        return f"it was made upon another {before} than the one that stands there"
    if seal.since != horizon or (horizon is not None and seal.horizon <= horizon):
        return f"it covers {seal.since} to {seal.horizon}, and {before} ends at {horizon}"
    if seal.total != total + seal.count + len(seal.late):
        return f"it counts {seal.total} events in all, where {total + seal.count + len(seal.late)} are sealed"
    if seal.entries < entries:
        return f"it knows {seal.entries} audit entries, and {before} knew {entries}"
    return None
