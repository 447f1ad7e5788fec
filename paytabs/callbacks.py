"""Which callback addresses PayTabs takes, public https ones without a port, and which returns bring fields.

A page is refused over another one, so none is sent: what PayTabs says of the payment is then asked for, and comes by
the profile's own notices. A gateway on this machine or in this network, the sandbox, takes any.
"""

import ipaddress
from urllib.parse import urlsplit

#: Ends of host names that are nowhere in public.
_PRIVATE = (".localhost", ".local", ".internal", ".lan", ".home")


def takes_callback(url: str, gateway_url: str) -> bool:
    """Tell whether the gateway takes a callback address.

    Args:
        url: Where it is to tell.
        gateway_url: Where it is.
    """
    if not _is_public(_host(gateway_url)):
        return True
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError:
        return False
    return parts.scheme == "https" and not has_port and _is_public(parts.hostname or "")


def brings_fields(url: str, gateway_url: str) -> bool:
    """Tell whether a payer comes back to an address with the signed fields: over plain http they come without any.

    Args:
        url: Where the payer is led.
        gateway_url: Where the gateway is; one on this machine or in this network brings them over http too.
    """
    return urlsplit(url).scheme == "https" or not _is_public(_host(gateway_url))


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _is_public(host: str) -> bool:
    """Tell whether a host can be reached from everywhere, by its name alone."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host.rstrip(".") and not host.rstrip(".").endswith(_PRIVATE)
