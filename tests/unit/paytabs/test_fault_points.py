from pathlib import Path

import pytest

from paytabs.fault_points import fault_point


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where marks are left, while what a process sends itself does it no harm."""
    monkeypatch.setenv("FAULT_SIGNAL", "SIGCONT")
    monkeypatch.setenv("FAULT_ONCE", str(tmp_path / "mark"))
    return tmp_path


class TestFaultPoint:
    """Where a process dies, and where it does not."""

    def test_unset(self, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing happens where nothing is set, or another place."""
        fault_point("handler_done", "email_client")
        monkeypatch.setenv("FAULT_POINT", "before_row,")
        fault_point("handler_done", "email_client")
        assert list(mark.iterdir()) == []

    def test_one(self, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """At the one place that is named, whatever it is passed for."""
        monkeypatch.setenv("FAULT_POINT", "handler_done")
        fault_point("handler_claimed", "email_client")
        assert not (mark / "mark").exists()
        fault_point("handler_done", "email_client")
        assert (mark / "mark").exists()

    def test_several(self, mark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of several places, each leaves a mark of its own, and one that is narrowed down is passed by others."""
        monkeypatch.setenv("FAULT_POINT", "handler_done:email_client,outbox_committed")
        fault_point("handler_done", "notify_cms")
        fault_point("handler_done")
        assert list(mark.iterdir()) == []
        fault_point("outbox_committed", "notify_cms")
        fault_point("handler_done", "email_client")
        assert {one.name for one in mark.iterdir()} == {"mark-handler_done:email_client", "mark-outbox_committed"}
