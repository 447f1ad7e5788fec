"""`python -m sandbox`: start a sandbox, say where it listens, and stop at once when told to."""

import argparse
import logging
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from sandbox.announcer import Profile
from sandbox.server import SandboxServer
from sandbox.shelf import ShelfUnusable
from sandbox.world import World

#: The profile of the published test vectors.
DEFAULT_PROFILE = Profile(987654, "SSANDBOX01-AAAA2222BB-CCCC3333DD")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sandbox until SIGTERM or Ctrl-C.

    Args:
        arguments: The command line; None for the process's own.

    Returns:
        The exit code: 0 after being stopped, 1 when the port or the ledger cannot be had.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("sandbox").setLevel(logging.WARNING if options.quiet else logging.INFO)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    profile = Profile(options.profile_id, options.server_key)
    ledger = Path(options.ledger) if options.ledger else None
    try:
        world = World(profile, ipn_url=options.ipn_url, public_url=options.public_url, ledger_file=ledger)
    except ShelfUnusable as error:
        sys.stderr.write(f"The ledger {error}.\n")
        return 1
    try:
        server = SandboxServer(world, options.host, options.port)
    except (OSError, SystemExit):
        sys.stderr.write(f"The sandbox cannot listen on {options.host}:{options.port}; give another --port.\n")
        return 1
    with server:
        sys.stdout.write(f"PayTabs sandbox on {server.url}\n")
        sys.stdout.flush()
        if options.port_file:
            _write_whole(Path(options.port_file), f"{server.port}\n")
        stop.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="A PayTabs that runs on your desk.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port; 0 takes a free one (default)")
    parser.add_argument("--profile-id", type=int, default=DEFAULT_PROFILE.profile_id, help="default: %(default)s")
    parser.add_argument("--server-key", default=DEFAULT_PROFILE.server_key, help="default: the test vectors' key")
    parser.add_argument("--ipn-url", help="the profile's IPN address; none by default")
    parser.add_argument("--public-url", help="under which address payers reach the pages, if not the one called")
    parser.add_argument("--ledger", help="file that keeps pages, transactions and cards; without, they end with it")
    parser.add_argument("--port-file", help="file to write the port into once listening")
    parser.add_argument("--quiet", action="store_true", help="no line per request")
    return parser


def _write_whole(path: Path, text: str) -> None:
    """Write a file so that a reader never sees a part of it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(text)
    Path(file.name).replace(path)


if __name__ == "__main__":
    sys.exit(main())
