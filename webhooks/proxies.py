"""Whose request it is: what proxies say about their peers is believed from known proxies only.

The chain of addresses is read from our end: each trusted proxy vouches for the one before it, and the first address
that is no trusted proxy is the client's. What stands further left was written by that client and means nothing.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class TrustedProxies:
    """WSGI middleware that puts the client's address and scheme where the application and the access log look.

    Args:
        app: What answers.
        networks: The proxies that are believed; from everybody else the headers are as if they were not there.
    """

    def __init__(self, app: "WSGIApplication", networks: Sequence[Network]) -> None:
        self._app = app
        self._networks = tuple(networks)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        peer = parse_address(environ.get("REMOTE_ADDR", ""))
        if peer is not None:
            environ["REMOTE_ADDR"] = str(peer)
            if self._trusts(peer):
                forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
                environ["REMOTE_ADDR"] = str(self._client(peer, forwarded))
                environ["wsgi.url_scheme"] = _scheme(environ.get("HTTP_X_FORWARDED_PROTO", ""))
        return self._app(environ, start_response)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _client(self, peer: Address, forwarded: str) -> Address:
        client = peer
        for hop in reversed(forwarded.split(",")):
            address = parse_address(hop)
            if address is None:
                break  # the proxy did not know, or somebody lied to it: it answers for this request itself
            client = address
            if not self._trusts(address):
                break
        return client


def parse_address(text: str) -> Address | None:
    """Read an address as proxies write it, with or without a port; IPv4 in IPv6's clothes is IPv4.

    Returns:
        The address, or None for anything else: an empty text, a name, "unknown".
    """
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _scheme(forwarded: str) -> str:
    # Several values come from several proxies or from a liar: one leg without TLS, or none named, is no TLS.
    schemes = {value.strip().lower() for value in forwarded.split(",")}
    return "https" if schemes == {"https"} else "http"
