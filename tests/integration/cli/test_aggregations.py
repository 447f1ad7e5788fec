import json
from pathlib import Path

import pytest

from aggregations.catalogue import CATALOGUE
from tests.integration.cli.conftest import Command

DOCS = Path(__file__).parents[3] / "docs" / "aggregations.md"


class TestList:
    """What can be read, as the tasks have it, where nothing at all is set."""

    def test_json(self, command: Command) -> None:
        """Every row with all that callers and operators need to know, limits included."""
        done = command("aggregations", "--json")
        assert done.exit_code == 0, done.output
        rows = {row["name"]: row for row in json.loads(done.stdout)}
        assert list(rows) == list(CATALOGUE)
        for name, row in CATALOGUE.items():
            assert rows[name]["task"] == f"aggregations.{name}"
            assert (rows[name]["soft_seconds"], rows[name]["hard_seconds"]) == (row.soft_seconds, row.hard_seconds)
            assert (rows[name]["budget_ms"], rows[name]["read"]) == (row.budget_ms, row.read)
            assert list(rows[name]["indexes"]) == list(row.indexes)
        assert rows["client_payments"]["parameters"]["properties"]["limit"]["maximum"] == 1_000

    def test_table(self, command: Command) -> None:
        """For people the same as a table, with no name cut off."""
        done = command("aggregations")
        assert done.exit_code == 0, done.output
        assert "…" not in done.stdout
        for name, row in CATALOGUE.items():
            assert all(word in done.stdout for word in (name, row.read, *row.collections, *row.indexes))
        assert "[limit]" in done.stdout
        assert "[client_id]" not in done.stdout


@pytest.mark.parametrize("name", CATALOGUE)
def test_docs_agree(name: str) -> None:
    """docs/aggregations.md has each aggregation with all its parameters."""
    line = next(line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{name}` |"))
    _, _, parameters, answer, *_ = line.split("|")
    for parameter in CATALOGUE[name].parameters.model_fields:
        assert f"`{parameter}`" in parameters
    assert answer.strip()
