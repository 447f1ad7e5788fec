import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES = LINTER["root_packages"]

#: The contract that keeps replays from telling anybody anything.
REPLAYS = next(one for one in LINTER["contracts"] if one["name"].startswith("A replay reaches no reaction"))


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all packages and their contracts."""
    house = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "pyproject.toml", house)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, house / package, ignore=shutil.ignore_patterns("__pycache__"))
    return house


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    """Check the copy's imports."""
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--no-logo"], cwd=house, capture_output=True, text=True, timeout=60, check=False
    )


class TestImports:
    """The picture of who may know whom is checked, not only drawn."""

    def test_kept(self, copied: Path) -> None:
        """The packages as they are keep every contract."""
        result = lint(copied)
        assert result.returncode == 0, result.stdout
        assert " 0 broken" in result.stdout

    @pytest.mark.parametrize(
        ("package", "statement"),
        [
            ("payments", "import aggregations"),
            ("aggregations", "import payments"),
            ("paytabs", "import pymongo"),
            ("paytabs", "import payments.errors"),
            ("paytabs", "import config.settings"),
            ("config", "import observability.metrics"),
            ("payments", "import celery"),
            ("payments", "import tasks"),
            ("tasks", "import workers"),
            ("tasks", "import webhooks"),
            ("webhooks", "import payments.operations"),
            ("webhooks", "import paytabs.client"),
            ("webhooks", "import celery"),
            ("schedules", "import tasks"),
            ("sandbox", "import paytabs.signature"),
            ("workers", "import sandbox"),
            ("observability", "import payments.errors"),
        ],
    )
    def test_broken(self, copied: Path, package: str, statement: str) -> None:
        """One wrong import anywhere makes the check fail and is named by it."""
        wrong = copied / package / "wrong.py"
        wrong.write_text(f'"""A module that breaks a contract."""\n\n{statement}\n')
        try:
            result = lint(copied)
        finally:
            wrong.unlink()
        assert result.returncode != 0
        assert f"{package}.wrong" in result.stdout

    def test_replays_are_named(self) -> None:
        """Every module of the replays is held to their contract, and the reactions are what it keeps away."""
        modules = {f"payments.{path.stem}" for path in (ROOT / "payments").glob("replay*.py")}
        assert set(REPLAYS["source_modules"]) == modules
        assert set(REPLAYS["forbidden_modules"]) >= {
            f"payments.{name}" for name in ("handlers", "reactions", "outbox", "mail", "cms_webhook")
        }

    @pytest.mark.parametrize(
        ("module", "forbidden"),
        [("replaying", "payments.outbox"), ("replay_scan", "smtplib"), ("contracts", "payments.handlers")],
    )
    def test_replays_reach_nobody(self, copied: Path, module: str, forbidden: str) -> None:
        """One import in a module of the replays, or in one that they use, makes the check fail."""
        path = copied / "payments" / f"{module}.py"
        before = path.read_text()
        path.write_text(f"{before}\n\nimport {forbidden}  # noqa\n")
        try:
            result = lint(copied)
        finally:
            path.write_text(before)
        assert result.returncode != 0
        assert REPLAYS["name"] in result.stdout
