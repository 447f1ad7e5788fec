import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.alert_names import PACKAGES

ROOT = Path(__file__).parents[3]

#: What runs the system on one desk waits for its own children only.
DESK = re.compile(r"workers/(demo|stack|seed|supervisor|cli_up)")

#: Words that a wait, or what it is made of, is called by.
WAIT = re.compile(
    r"delay|draw|rng|random|jitter|ceiling|retry_after|parked|wait|countdown|pause|spread|backoff", re.IGNORECASE
)

#: What draws.
DRAW = re.compile(r"\b(delay|spread|random|uniform|rng|_rng|wait_random|next_try|wait_after|wait_of)\(")

#: The larger of two waits, and why that takes no jitter away.
LARGER = {
    "max((answer.retry_after_seconds or 0.0 for answer in answers if answer.detail == PARKED), default=0.0)":
        "the longest of several waits, each of which ends with its own draw",
    "max(seconds, LEAST_WAIT_SECONDS)": "for how long a tick is good, which nobody waits",
}  # fmt: skip

#: Constant waits, and why it does no harm that they are.
CONSTANT = {
    "time.sleep(FIRST_SECONDS)": "one process waits for its own heartbeat",
    "self._ready.wait(2 * ROUND_SECONDS)": "ends with the event",
    "self._closed.wait(FIRST_SECONDS)": "one process waits for its own heartbeat",
    "self._closed.wait(max(0.0, ROUND_SECONDS - (self.monotonic() - began)))": "a heartbeat's period",
    "time.sleep(LOOK_SECONDS)": "the one refresher of a view looks how far the watcher is",
    "ended.wait(LEASE_SECONDS / SIGNS)": "the holder of a lease keeps it",
    "self._sleep(min(wait, left))": "the wait was drawn, and patience ends it",
    "self._sleep(look_seconds)": "drawn in the line before",
    "time.sleep(self._turn())": "a turn of its own",
    "self._sleep(self.limiter.reserve())": "a turn of its own",
    "self._stopped.wait(self._every_seconds)": "a period",
    "self._left.wait(self._holds_seconds / TIMES)": "a period",
    "time.sleep(self._seconds)": "the time that one worker has to end",
    "self._stopped.wait(LOOK_SECONDS)": "a period",
    "stopping.wait(STANDBY_SECONDS)": "a period of a watcher that stands by",
}


def sources() -> Iterator[tuple[str, str]]:
    """Give every source file that may wait, by its path."""
    for folder in PACKAGES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if not DESK.match(name):
                yield name, path.read_text()


def calls(text: str) -> Iterator[tuple[str, ast.Call]]:
    """Give every call of a source, with the name of what is called."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, node


def floors(text: str) -> list[str]:
    """List where a source takes the larger of a wait and something that is not nothing, or caps a draw."""
    found = []
    for name, call in calls(text):
        given = [ast.unparse(one) for one in call.args if not (isinstance(one, ast.Constant) and not one.value)]
        larger = name == "max" and len(given) + len(call.keywords) > 1 and any(map(WAIT.search, given))
        capped = name == "min" and any(DRAW.search(one) for one in given)
        if larger or capped:
            found.append(ast.unparse(call))
    return found


def constants(text: str) -> list[str]:
    """List where a source waits for a time into which nothing was drawn."""
    found = []
    for name, call in calls(text):
        sleeps = name in ("sleep", "_sleep", "wait") and call.args and not isinstance(call.args[0], ast.List)
        if (sleeps or name in ("wait_fixed", "ConstantBackoff", "ExponentialBackoff")) and not DRAW.search(
            ast.unparse(call)
        ):
            found.append(ast.unparse(call))
    return found


class TestWaitsInTheSource:
    """Everything that is stopped comes back after a draw, wherever in the source it waits."""

    def test_no_floor(self) -> None:
        """No draw is held against a floor or under a cap: those that it would move all come at one moment."""
        found = {one: name for name, text in sources() for one in floors(text)}
        assert {one: name for one, name in found.items() if one not in LARGER} == {}
        assert LARGER.keys() <= found.keys()

    def test_no_constant(self) -> None:
        """No wait is a bare constant, those apart that nobody shares."""
        found = {one: name for name, text in sources() for one in constants(text)}
        known = CONSTANT.keys() | {"tenacity.wait_fixed(NOTE_PAUSE_SECONDS)"}  # a draw is added to it
        assert {one: name for one, name in found.items() if one not in known} == {}
        assert known == found.keys()

    def test_the_scan_sees(self) -> None:
        """The scan finds each form in which a floor was ever written here."""
        for line in (
            "x = min(max(self.policy.delay(failed), at_least), longest)",
            "x = max(policy.delay(attempt), answer.retry_after_seconds or 0.0)",
            "x = max(ASK_AGAIN_SECONDS, parked_seconds(answers))",
            "x = max(answer.retry_after_seconds or USUAL, SHORTEST)",
            "x = min(policy.delay(attempt), 20)",
        ):
            assert floors(line), line
        for line in ("time.sleep(2)", "stopping.wait(wait)", "tenacity.wait_fixed(PAUSE)"):
            assert constants(line), line
        for line in ("x = max(wait.total_seconds(), 0.0)", "x = max(1, 2)"):
            assert not floors(line), line
