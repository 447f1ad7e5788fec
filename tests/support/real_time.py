"""Which tests go by real time, and how: found in their sources, so that each can be named with the reason why it may.

A verdict must not depend on how busy the machine is. What can make it depend on that is a sleep, a time that was taken
and is compared, the time that a key of the cache has left, and a clock that is the real one moved by so much.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

#: How a test goes by real time.
SLEEPS, TAKES_TIME, LOOKS_AT_TTL, MOVES_REAL_CLOCK = "sleeps", "takes time", "looks at a TTL", "moves the real clock"

#: Clocks whose difference says how long something took.
_CLOCKS = frozenset({"monotonic", "perf_counter", "time"})

#: What tells how long a key is kept.
_TTLS = frozenset({"ttl", "pttl"})

#: What waits for so long, whatever happens; an event's `wait` ends with the event.
_SLEEPS = frozenset({"sleep"})


def dependencies(tests: Path) -> dict[str, frozenset[str]]:
    """Return how each function of the tests goes by real time, by `file::function`; those that do not are left out."""
    found: dict[str, frozenset[str]] = {}
    for path in sorted(tests.rglob("*.py")):
        for name, how in of_source(path.read_text()):
            found[f"{path.relative_to(tests)}::{name}"] = how
    return found


def of_source(source: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Give the outermost functions and methods of a source that go by real time, and how."""
    tree = ast.parse(source)
    for name, node in _functions(tree):
        if how := frozenset(_hows(node)):
            yield name, how


def _functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{within}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield f"{within}{node.name}", node
        elif not within and any(_hows(node)):
            yield "<module>", node


def _hows(function: ast.AST) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and _name(node) in _SLEEPS:
            yield SLEEPS
        elif isinstance(node, ast.Call) and _name(node) in _TTLS:
            yield LOOKS_AT_TTL
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and _is_clock(node.left):
            yield TAKES_TIME
        elif isinstance(node, ast.Lambda) and _moved(node.body):
            yield MOVES_REAL_CLOCK


def _is_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name(node) in _CLOCKS and not node.args


def _moved(node: ast.AST) -> bool:
    """Tell whether an expression is the real time and something on top of it."""
    sums = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)
    return sums and any(isinstance(one, ast.Call) and _name(one) in ("now", "utc_now") for one in ast.walk(node))


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
