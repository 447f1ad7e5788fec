"""Whether what is read of an answer is used: a member that is parsed and goes nowhere is a promise nobody keeps."""

import ast
import functools
from dataclasses import fields

import pytest

from paytabs.answers import Answer
from paytabs.transactions import Transaction
from tests.support.processes import ROOT

#: The packages that answers are read for; `paytabs` itself only fills them in.
READERS = ("payments", "tasks", "webhooks", "workers", "observability")

#: What nobody outside `paytabs` reads, and why it is there all the same.
READ_WITHIN: dict[tuple[type, str], str] = {
    (Answer, "http_status"): "stands in the log line of each call, and in the breaker's verdict",
    (Answer, "trace"): "stands in the log line of each call: PayTabs finds the call by it",
}


@functools.cache
def attributes_read() -> set[str]:
    """Return the names of attributes that are read in files that know of answers."""
    found: set[str] = set()
    for package in READERS:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if _knows_of_answers(tree):
                found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found


def _knows_of_answers(tree: ast.Module) -> bool:
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return bool(modules & {"paytabs.responses", "paytabs.answers", "paytabs.transactions"})


class TestMembers:
    """Every member of every answer."""

    @pytest.mark.parametrize(
        ("model", "name"), [(model, field.name) for model in (Answer, Transaction) for field in fields(model)]
    )
    def test_read(self, model: type, name: str) -> None:
        """It is read where answers are used, or it is said why it is kept."""
        assert (name in attributes_read()) or (model, name) in READ_WITHIN

    @pytest.mark.parametrize(("model", "name"), READ_WITHIN)
    def test_used_within(self, model: type, name: str) -> None:
        """What is said to be read within `paytabs` is read there by something else than the reader that fills it in."""
        assert name in {field.name for field in fields(model)}
        texts = [path.read_text(encoding="utf-8") for path in (ROOT / "paytabs").rglob("*.py")]
        assert any(f"answer.{name}" in text for text in texts)
