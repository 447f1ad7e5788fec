"""Which ports local servers take: free ones that no client's outgoing connection can come by.

The system gives outgoing connections ports from a range of its own. A server that is killed and shall come back on its
port must not stand in that range: a client that tries to reconnect could get the very port, and even talk to itself.
"""

import random
import socket
from pathlib import Path

import psutil

#: The lowest port that is taken; those below are many services' registered ones.
LOWEST_PORT = 15_000

#: Where Linux keeps the range of the ports that outgoing connections get.
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")

#: Where that range begins on systems that do not say.
DEFAULT_RANGE_START = 32_768

#: How many ports are tried before leaving the choice to the system.
ATTEMPTS = 50


def free_port() -> int:
    """Name a loopback port that nobody has now; it may be gone when it is used, so be ready to ask again."""
    highest = max(LOWEST_PORT + ATTEMPTS, _range_start())
    candidates = random.SystemRandom().sample(range(LOWEST_PORT, highest), ATTEMPTS)
    return next((port for port in candidates if _bindable(port)), 0) or _any_port()


def is_listening(port: int) -> bool:
    """Tell whether somebody accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def owns_port(process: int, port: int) -> bool:
    """Tell whether this very process, and not a stranger, listens on a port."""
    try:
        sockets = psutil.Process(process).net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in sockets)


def _range_start() -> int:
    try:
        return int(RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return DEFAULT_RANGE_START


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
