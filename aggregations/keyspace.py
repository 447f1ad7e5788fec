"""Where a database's keys are in a cache: under its name, so that two databases on one server never share an answer.

The version before had keys without a name, and its processes go on beside ours for a while. So, for this one version,
what makes a tag out of date does so under both, and an entry counts only while both are as they were.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from aggregations.entries import PREFIX as ENTRIES
from aggregations.tokens import PREFIX as TAGS

#: What every key of the version before began with.
BEFORE = "nestcms:"

#: Before the name of a tag, among an entry's tokens, whose key is the one of the version before.
MARK_BEFORE = "~"


@dataclass(frozen=True)
class Keyspace:
    """The keys of one database; those of the version before when it has no name.

    Attributes:
        database: Its name.
    """

    database: str = ""

    def of(self, key: str) -> str:
        """Return a key of the version before as it is in this database."""
        return f"nestcms@{self.database}:{key.removeprefix(BEFORE)}" if self.database else key

    def entry(self, key: str) -> str:
        """Return where an answer is; the key is `entries.key_of`'s."""
        assert key.startswith(ENTRIES)  # noqa: S101 - nothing else is an entry's key
        return self.of(key)

    def tag(self, tag: str) -> list[str]:
        """Return where the tokens of a tag are, all of which change with it."""
        return list(dict.fromkeys((self.of(f"{TAGS}{tag}"), f"{TAGS}{tag}")))

    def tokens(self, tags: Iterable[str]) -> dict[str, str]:
        """Return the keys of all tokens that an entry under these tags is built under, by their names in it."""
        named = list(dict.fromkeys(tags))
        keys = {tag: self.of(f"{TAGS}{tag}") for tag in named}
        return keys | ({f"{MARK_BEFORE}{tag}": f"{TAGS}{tag}" for tag in named} if self.database else {})

    def all_tokens(self) -> list[str]:
        """Return patterns of the keys of all tokens."""
        return self.tag("*")
