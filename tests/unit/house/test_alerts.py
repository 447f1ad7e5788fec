"""The table of alerts is what is raised, what closes, and what the docs say."""

import re
from functools import cache
from pathlib import Path

import pytest

from observability.alert_kinds import AlertKind
from observability.alert_table import ALERTS
from tasks.alert_checks import CHECKS
from tasks.alert_keys import KEYS
from tests.support.alert_names import CLOSE, RAISE, named_in, named_in_source

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "operations.md"


@cache
def raised() -> dict[str, list[str]]:
    """Return every name that the source raises, with the modules that do so."""
    return named_in_source(ROOT, RAISE)


@cache
def closed() -> dict[str, list[str]]:
    """Return every name that the source closes by itself, with the modules that do so."""
    return named_in_source(ROOT, CLOSE)


class TestRaised:
    """What is raised stands in the table, and nothing else does."""

    def test_all_of_it(self) -> None:
        """No name is raised that the table lacks, none that cannot be found out, and none stands there in vain."""
        assert {name: places for name, places in raised().items() if name not in ALERTS} == {}
        assert ALERTS.keys() == raised().keys()

    @pytest.mark.parametrize(
        ("source", "names"),
        [
            ('alerts.raise_alert("brand_new", "key", "words")', {"brand_new"}),
            ('NEW = "brand_new"\nself._parts.alert(NEW, key, "words", subject=one)', {"brand_new"}),
            ('A, B = "one", "two"\nfor name in (A, B):\n    self._alert(name, key, "words")', {"one", "two"}),
            ('self._outside.alert(f"made_{up}", key, "words")', {"?"}),
            ('alert(names[0], key, "words")', {"?"}),
            ('def _raise(self, name, key):\n    self._alert(name, key, "words")', set()),
            ('raise_alert(name="brand_new", key=key, detail="words")', {"brand_new"}),
        ],
    )
    def test_found(self, source: str, names: set[str]) -> None:
        """The look through the source sees each way of raising one; a name that it cannot find out is an error."""
        assert set(named_in(source, RAISE, {})) == names


class TestCloses:
    """Each alert has a way to close."""

    @pytest.mark.parametrize("kind", ALERTS.values(), ids=lambda kind: kind.name)
    def test_some_way(self, kind: AlertKind) -> None:
        """By itself after a while, by a look at its cause, by whoever raises it; or the table says: by a person."""
        by_itself = kind.quiet is not None or kind.name in CHECKS or kind.name in closed()
        assert by_itself != kind.closes.startswith("only a person")
        assert kind.by_hand or by_itself

    def test_of_the_table(self) -> None:
        """Looks and old keys are those of alerts that there are."""
        assert {*CHECKS, *KEYS} <= ALERTS.keys()


class TestDocs:
    """docs/operations.md has the same table."""

    def test_rows(self) -> None:
        """Word by word, in the same order, and no row more; no other table of the docs has alerts of its own."""
        for path in (ROOT / "docs").glob("*.md"):
            tables = re.findall(r"^\| alert \|.*\n\| ---.*\n((?:\|.*\n)*)", path.read_text(), re.MULTILINE)
            rows = [row for table in tables for row in table.splitlines()]
            assert rows == ([kind.row for kind in ALERTS.values()] if path == DOCS else [])

    def test_no_other(self) -> None:
        """Within the section of the alerts each row is of one that there is."""
        section = DOCS.read_text().partition("\n## Alerts\n")[2].partition("\n## ")[0]
        names = re.findall(r"^\| `(\w+)`", section, re.MULTILINE)
        assert names == list(ALERTS)

    @pytest.mark.parametrize("kind", ALERTS.values(), ids=lambda kind: kind.name)
    def test_says_it_all(self, kind: AlertKind) -> None:
        """Every cell has words, and none breaks the table."""
        assert all((kind.means, kind.key, kind.closes, kind.to_do))
        assert kind.row.count("|") == 6
