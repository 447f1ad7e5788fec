"""What is kept of a sentence of PayTabs': enough for an operator, nothing about people, no card number, no token.

It may repeat what was sent. So whatever the request said of a person is taken out as it stood, and besides it what
looks like an address, a telephone or a card number.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from paytabs.texts import cleaned

#: The longest sentence that is kept.
MAX_QUOTE = 200

#: What stands in place of what was taken out.
HIDDEN = "[…]"

#: Members of a request that are about people, or are as good as a card.
_PRIVATE = (
    "customer_details",
    "shipping_details",
    "token",
    "payment_token",
    "token_info",
    "customer_ref",
    "user_defined",
)

#: Shorter values, a country's code for example, would take half of the sentence with them.
_SHORTEST = 4

#: Texts that look like an e-mail address, a telephone's or a card's number, or a token; a reference's digits follow
#: letters.
_LOOKS_PRIVATE = re.compile(
    r"[^\s@<>\"',;]+@[^\s@<>\"',;]+|(?<![A-Za-z0-9.])\+?[0-9](?:[ ().-]{0,2}[0-9]){8,}|[A-Fa-f0-9]{32,}"
)


def quoted(sentence: str | None, members: Mapping[str, object]) -> str | None:
    """Return what is kept of a sentence, or None when nothing is left.

    Args:
        sentence: what PayTabs said.
        members: those of the request that it answered.
    """
    if not sentence:
        return None
    values = sorted(set(_texts([members.get(name) for name in _PRIVATE])), key=len, reverse=True)
    for value in values:
        sentence = re.sub(re.escape(value), HIDDEN, sentence, flags=re.IGNORECASE)
    return cleaned(_LOOKS_PRIVATE.sub(HIDDEN, sentence), MAX_QUOTE) or None


def _texts(values: Iterable[object]) -> Iterator[str]:
    """Give every text within values that is long enough to be known again, and the words of a name."""
    for value in values:
        if isinstance(value, Mapping):
            yield from _texts(value.values())
        elif isinstance(value, str):
            yield from (part for part in (value, *value.split()) if len(part) >= _SHORTEST)
