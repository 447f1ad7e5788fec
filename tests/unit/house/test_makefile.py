import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

#: Stands in for the virtual environment's Python: notes what it was asked to do.
FAKE_PYTHON = '#!/bin/sh\necho "$@" >> calls\n'


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a virtual environment whose programs only note that they were called."""
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "nestcms-workers"):
        (programs / name).write_text(FAKE_PYTHON)
        (programs / name).chmod(0o755)
    return tmp_path


def make(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make there, without the options of a make that runs this test."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=clone, env=own, capture_output=True, text=True, timeout=60, check=False
    )


def installs(clone: Path) -> int:
    """Count the installations from a lock file."""
    calls = clone / "calls"
    return len(re.findall(r"--require-hashes -r", calls.read_text())) if calls.exists() else 0


class TestMenu:
    """`make` alone tells what there is."""

    def test_every_target(self, clone: Path) -> None:
        """Each target is listed with a sentence, and nothing is done."""
        menu = make(clone).stdout
        for target in ("setup", "demo", "up", "test", "lint", "chaos", "bench", "bench-aggregations", "lock", "clean"):
            assert re.search(rf"^  make {target} +\w+", menu, re.MULTILINE)
        assert installs(clone) == 0


class TestInstalling:
    """What is needed is installed once, and again when it changed."""

    def test_once(self, clone: Path) -> None:
        """The second run installs nothing, and both run the program."""
        for _ in range(2):
            assert make(clone, "demo").returncode == 0
        calls = (clone / "calls").read_text().splitlines()
        assert installs(clone) == 1
        assert calls.count("demo") == 2
        assert "-r requirements.lock" in calls[0]

    def test_changed_lock(self, clone: Path) -> None:
        """Another lock file is installed."""
        make(clone, "demo")
        with (clone / "requirements.lock").open("a") as lock:
            lock.write("\n")
        make(clone, "demo")
        assert installs(clone) == 2

    def test_development_is_enough(self, clone: Path) -> None:
        """After `make test` nothing more is installed for `make demo`."""
        make(clone, "test")
        make(clone, "demo")
        assert installs(clone) == 1

    def test_failed(self, clone: Path) -> None:
        """An installation that failed is tried again."""
        python = clone / ".venv" / "bin" / "python"
        python.write_text("#!/bin/sh\nexit 1\n")
        assert make(clone, "demo").returncode != 0
        python.write_text(FAKE_PYTHON)
        assert make(clone, "demo").returncode == 0
        assert installs(clone) == 1


class TestWrongPython:
    """A Python that cannot be used gives one sentence with the way out."""

    @pytest.mark.parametrize(
        ("program", "sentence"),
        [
            (None, "is not on this machine"),
            ("#!/bin/sh\nexit 1\n", "is too old"),
            ('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n', "apt-get install python3-venv"),
        ],
    )
    def test_sentence(self, clone: Path, program: str | None, sentence: str) -> None:
        """Missing, too old, or without the venv module."""
        shutil.rmtree(clone / ".venv")
        if program is not None:
            (clone / "other-python").write_text(program)
            (clone / "other-python").chmod(0o755)
        result = make(clone, "demo", f"PYTHON={clone / 'other-python'}")
        assert result.returncode != 0
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr


class TestLockFiles:
    """The lock files hold packages and hashes."""

    @pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
    def test_no_host(self, name: str) -> None:
        """No index, no address, and a hash for every package."""
        text = (ROOT / name).read_text()
        assert "://" not in text
        assert not re.search(r"^\s*-(?!-hash)", text, re.MULTILINE)
        packages = re.findall(r"^[a-zA-Z0-9].*(?:\n\s+--hash=sha256:[0-9a-f]{64}[ \\]*)+", text, re.MULTILINE)
        assert len(packages) == len(re.findall(r"^[a-zA-Z0-9]", text, re.MULTILINE)) > 50
