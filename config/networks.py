"""How hosts and networks in settings are read; no name is ever looked up."""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach a server that listens on ``host``."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_proxy_network(text: str) -> bool:
    """Say whether ``text`` is an address or a CIDR network without stray host bits, and not everybody."""
    try:
        return ip_network(text).prefixlen > 0
    except ValueError:
        return False


def bind_address(host: str, port: int) -> str:
    """Join a host and a port as servers are told where to listen: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
