"""Which country a text means: PayTabs takes ISO 3166 codes, and people write names, in English or Arabic.

Codes and official names are pycountry's, everyday names in other languages the CLDR's (Babel). What neither has,
because it is only ever said, stands in a small table.
"""

import gettext
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

import pycountry
from babel import Locale

#: Languages in which names are known.
LANGUAGES = ("en", "ar", "tr", "fr")

#: What is said and written, and stands in no standard.
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "KSA": "SA", "Saudi": "SA", "Saudia": "SA", "Kingdom of Saudi": "SA", "السعودية": "SA", "المملكة": "SA",
        "UAE": "AE", "Emirates": "AE", "الامارات": "AE",
        "UK": "GB", "England": "GB", "Scotland": "GB", "Wales": "GB", "Great Britain": "GB", "Britain": "GB",
        "بريطانيا": "GB", "انجلترا": "GB",
        "America": "US", "امريكا": "US",
        "Palestine": "PS", "فلسطين": "PS", "Turkey": "TR", "Russia": "RU", "South Korea": "KR", "Syria": "SY",
        "Iran": "IR", "Czech Republic": "CZ", "Ivory Coast": "CI", "Holland": "NL",
    }
)  # fmt: skip

#: A name longer than this is none; nothing longer is looked at.
_LONGEST = 100

#: What stands in front of names, and says nothing.
_ARTICLE = re.compile(r"^(the|state of|republic of|دوله|جمهوريه) ")


def alpha_2(text: object) -> str | None:
    """Return the ISO 3166 code of two letters that a text means.

    Args:
        text: A code of two or three letters, or a name, in any case.

    Returns:
        The code in capitals, or None for what means no country.
    """
    if not isinstance(text, str) or len(text) > _LONGEST:
        return None
    name = _folded(text)
    return _known().get(name) or _known().get(_ARTICLE.sub("", name))


@cache
def _known() -> Mapping[str, str]:
    """Return every code and name, folded, with the code that it means."""
    known = {_folded(name): code for name, code in _names()}
    known |= {_folded(name): code for name, code in ALIASES.items()}
    known |= {code.lower(): one.alpha_2 for one in pycountry.countries for code in (one.alpha_2, one.alpha_3)}
    known.pop("", None)
    return MappingProxyType(known)


def _names() -> Iterator[tuple[str, str]]:
    arabic = gettext.translation("iso3166-1", pycountry.LOCALES_DIR, languages=["ar"])
    codes = {one.alpha_2 for one in pycountry.countries}
    for language in LANGUAGES:
        names = Locale(language).territories
        yield from ((str(name), code) for code, name in names.items() if code in codes)
    for one in pycountry.countries:
        for member in ("name", "official_name", "common_name"):
            name = getattr(one, member, None)
            if name:
                yield name, one.alpha_2
                yield arabic.gettext(name), one.alpha_2


def _folded(text: str) -> str:
    """Return a text as it is compared: without case, accents, vowel signs and punctuation, Arabic letters alike."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    letters = "".join(one for one in plain if not unicodedata.combining(one) and one != "\u0640")
    alike = letters.translate(str.maketrans("ىةٱ", "يها"))
    return " ".join(re.sub(r"[\W_]+", " ", re.sub(r"(?<=\b\w)\.(?=\w\b)|(?<=\b\w)\.$", "", alike)).split())
