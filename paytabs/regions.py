"""Where each PayTabs region answers; a profile lives in exactly one of them."""

from collections.abc import Mapping
from types import MappingProxyType

from paytabs.errors import InvalidRequest

#: Test and live profiles share these hosts. For a bank's white label that is not listed the base URL is overridden.
BASE_URLS: Mapping[str, str] = MappingProxyType(
    {
        "ARE": "https://secure.paytabs.com",
        "SAU": "https://secure.paytabs.sa",
        "OMN": "https://secure-oman.paytabs.com",
        "JOR": "https://secure-jordan.paytabs.com",
        "EGY": "https://secure-egypt.paytabs.com",
        "GLOBAL": "https://secure-global.paytabs.com",
        "IRQ": "https://secure-iraq.paytabs.com",
        "KWT": "https://secure-kuwait.paytabs.com",
        "QAT": "https://secure-doha.paytabs.com",
        "MAR": "https://secure-morocco.paytabs.com",
        "MADFOAT": "https://madfoat-secure.paytabs.com",
        "CUZDAN": "https://secure.cuzdan.az",
    }
)


def base_url(region: str) -> str:
    """Give the base URL of a region.

    Args:
        region: One of the codes of `BASE_URLS`, in capitals.

    Raises:
        InvalidRequest: When the code is not known; the message lists those that are.
    """
    try:
        return BASE_URLS[region]
    except KeyError:
        raise InvalidRequest("region", f"one of {', '.join(BASE_URLS)}") from None
