"""What an entry of the cache looks like to whoever reads it, a Node client included.

JSON in UTF-8, which begins with `{`; a long one as a zlib stream of the same, which begins with the byte 0x78. An
answer too large to be kept leaves an entry without `data`: the next ones need not queue up for it.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from aggregations.catalogue import Aggregation, Parameters

#: The form that entries have; one of another form is a miss.
FORM = 1

#: Before every entry's key.
PREFIX = "nestcms:read:"

#: zlib's fastest level: a large answer shrinks to about a tenth, and a build does not wait for the rest.
LEVEL = 1


@dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes:
        as_of: nothing older than this was read (ISO-8601 UTC).
        source: where it was read.
        data: the answer as plain JSON; None with `too_large`.
        tokens: those of its tags, as they were before the build.
        run: the run of the cache's server in which it was built.
        built_at: when the build was done (ISO-8601 UTC).
        too_large: the answer was given, and not kept.
        v: the form.
    """

    as_of: str
    source: str
    data: Any
    tokens: dict[str, str]
    run: str
    built_at: str
    too_large: bool = False
    v: int = FORM

    @property
    def read_at(self) -> datetime:
        """Return `as_of` as an aware time."""
        return datetime.fromisoformat(self.as_of)

    def stands(self, run: str, tokens: Mapping[str, str | None]) -> bool:
        """Tell whether nothing it was made from is known to have changed."""
        return self.run == run and all(tokens.get(tag) == token for tag, token in self.tokens.items())


def key_of(row: Aggregation, parameters: Parameters) -> str:
    """Return the key of an answer: the aggregation, its version, and a digest of its parameters, defaults included."""
    canonical = json.dumps(
        parameters.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return f"{PREFIX}{row.name}:{row.version}:{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"


def encode(entry: Entry, *, compress_bytes: int) -> bytes:
    """Return an entry as it is kept; longer than `compress_bytes`, compressed."""
    members = asdict(entry)
    if not entry.too_large:
        del members["too_large"]
    text = json.dumps(members, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    return zlib.compress(text, LEVEL) if len(text) > compress_bytes else text


def decode(raw: bytes) -> Entry | None:
    """Return an entry, or None for what is none of this form."""
    try:
        members = json.loads(raw if raw.startswith(b"{") else zlib.decompress(raw))
        return Entry(**members) if members["v"] == FORM else None
    except (ValueError, KeyError, TypeError, zlib.error):
        return None


def tags_of(row: Aggregation, parameters: Parameters) -> Sequence[str]:
    """Return the tags of an answer, each once, in a fixed order."""
    return tuple(dict.fromkeys(row.tags(parameters)))
