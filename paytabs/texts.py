"""Which texts of PayTabs' are taken: references and words of a bounded length that a database and a page can hold.

What decides something is taken as it is or not at all; what only tells people something is cut and cleaned.
"""

import re
import unicodedata
from urllib.parse import urlsplit

#: The longest reference of a transaction: 16 characters today, opaque to us.
MAX_REFERENCE = 64

#: The longest token: 32 characters today.
MAX_TOKEN = 128

#: The longest code, status, type or currency.
MAX_WORD = 64

#: The longest text of any other member, a cart's id (at most 64 characters when we send one) for example.
MAX_TEXT = 255

#: The longest address that a payer is sent to; browsers and proxies cut longer ones.
MAX_LINK = 2_048

_REFERENCE = re.compile(r"[!-~]+")

#: The characters of an address, by RFC 3986: none that could end it where it is shown.
_LINK = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", re.IGNORECASE)

#: Control characters, line and paragraph separators, and halves of characters, which no database stores.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

#: What belongs to the character before it, beside combining marks: joiners, variation selectors, skin tones, tags.
_JOINED = re.compile(r"[\u200c\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\U000e0100-\U000e01ef]")

#: What binds the next character to the one before.
_JOINER = "\u200d"


def is_reference(text: str, longest: int = MAX_REFERENCE) -> bool:
    """Tell whether a text can be a reference or a token: printable ASCII without spaces, not too long."""
    return len(text) <= longest and _REFERENCE.fullmatch(text) is not None


def is_fit(text: str, longest: int = MAX_TEXT) -> bool:
    """Tell whether a text can be stored and shown as it is."""
    return len(text) <= longest and _UNFIT.search(text) is None


def is_link(text: str) -> bool:
    """Tell whether a payer may be sent to an address: http or https, whole, and of a length that browsers take."""
    if len(text) > MAX_LINK or not _LINK.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def cleaned(text: str, longest: int) -> str:
    """Return a text for people: without control characters, blanks run together, cut between two characters.

    Args:
        text: Any text.
        longest: How many characters are left at most.
    """
    plain = " ".join(_UNFIT.sub(" ", unicodedata.normalize("NFC", text)).split())
    return cut(plain, longest).rstrip()


def cut(text: str, longest: int) -> str:
    """Cut a text, never within what is seen as one character."""
    if len(text) <= longest:
        return text
    end = longest
    while end > 0 and _continues(text, end):
        end -= 1
    return text[:end]


def _continues(text: str, place: int) -> bool:
    """Tell whether the character at a place belongs to the one before it."""
    here, before = text[place], text[place - 1]
    is_flag = _is_indicator(here) and _indicators_before(text, place) % 2 == 1
    return bool(unicodedata.combining(here)) or bool(_JOINED.match(here)) or before == _JOINER or is_flag


def _indicators_before(text: str, place: int) -> int:
    """Count the regional indicators in front of a place: two of them are one flag."""
    count = 0
    while count < place and _is_indicator(text[place - 1 - count]):
        count += 1
    return count


def _is_indicator(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"
