import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.alert_names import PACKAGES

ROOT = Path(__file__).parents[3]


#: What tells this machine's own time of day.
OWN = frozenset({"now", "utcnow", "today", "time", "time_ns", "own_time", "utc_now"})

#: Modules and classes by which it is told; a method of another object is that object's clock.
TELLS = frozenset({"datetime", "time", "date"})

#: Where a machine's own time is told or passed on, and why nobody else waits for it or compares it with another's.
NAMED = {
    "paytabs/headers.py": "counts a date of an answer that has no date of its own",
    "payments/cms_webhook.py": "the default of tests; the system signs by the database's",
    "payments/inbox.py": "the receiver accepts also before it has heard the database; the sweep wakes what comes of it",
    "payments/server_clock.py": "tells it",
    "tasks/broker_clock.py": "compares it with the broker's, and stands in before the broker was ever heard",
    "tasks/dead_letters.py": "says when a letter was made, for people and for retention in days",
    "tasks/wiring.py": "defines it for what is nobody else's",
    "webhooks/budget.py": "counts seconds left of a window that was told by the same machine",
    "workers/cli_replay.py": "helpers of one process on one machine, which write no time",
    "workers/cli_times.py": "what an operator types is counted by the operator's clock",
    "workers/clock_watch.py": "compares it with the servers'",
    "workers/demo_cms.py": "one desk is one machine",
    "workers/quarantine.py": "says when a message was refused, for people and for retention in days",
}


def own_times(source: str) -> Iterator[int]:
    """Give the lines in which this machine's own time is told, or handed on for others to tell."""
    for node in ast.walk(ast.parse(source)):
        if (
            (isinstance(node, ast.Attribute) and node.attr in OWN and getattr(node.value, "id", "") in TELLS)
            or (isinstance(node, ast.Name) and node.id in ("own_time", "utc_now", "time_ns"))
            or (isinstance(node, ast.ImportFrom) and node.module == "time" and OWN & {one.name for one in node.names})
        ):
            yield node.lineno


def found() -> dict[str, list[int]]:
    """Return the lines by file."""
    paths = (path for folder in PACKAGES for path in sorted((ROOT / folder).rglob("*.py")))
    lines = {str(path.relative_to(ROOT)): [*own_times(path.read_text())] for path in paths}
    return {name: where for name, where in lines.items() if where}


class TestOwnTime:
    """Whatever others wait for is written by the clock of a server that all share."""

    def test_named(self) -> None:
        """A machine's own time is told only where it is named with the reason why nobody waits for it."""
        seen = found()
        assert {name: lines for name, lines in seen.items() if name not in NAMED} == {}
        assert NAMED.keys() - seen.keys() == set()

    def test_the_scan_sees(self) -> None:
        """The scan finds each form in which a machine's time was ever told here."""
        for line in (
            "now = datetime.now(UTC)",
            "Alerts(db, clock=lambda: datetime.now(UTC))",
            "make_sealer(settings, db, utc_now, alert)",
            "seconds = int(time.time())",
            "clock: Clock = own_time",
            "x = datetime.utcnow()",
            "from time import time",
        ):
            assert [*own_times(line)], line
        for line in ("now = world.clock()", "began = time.monotonic()", "now = self.ledger.now()", "client.time()"):
            assert not [*own_times(line)], line
