import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]


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
