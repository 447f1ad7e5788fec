"""An environment with nothing of ours in it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from config.settings import Settings, SettingsError, load_settings

#: The settings that have no default.
REQUIRED = {
    "PAYTABS_PROFILE": "987654",
    "PAYTABS_SERVERK": "SSANDBOX01-AAAA2222BB-CCCC3333DD",
    "PAYTABS_REGION": "SAU",
}

Load = Callable[..., Settings]
Mistakes = Callable[..., tuple[str, ...]]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Load:
    """Load settings from exactly these variables on top of the required ones, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in set(os.environ) & {field.upper() for field in Settings.model_fields}:
        monkeypatch.delenv(name)

    def from_environment(**variables: str) -> Settings:
        for name, value in {**REQUIRED, **variables}.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return from_environment


@pytest.fixture
def mistakes(load: Load) -> Mistakes:
    """Load settings that must be refused, and return what is said about them."""

    def refused(**variables: str) -> tuple[str, ...]:
        with pytest.raises(SettingsError) as caught:
            load(**variables)
        assert all(mistake in str(caught.value) for mistake in caught.value.mistakes)
        return caught.value.mistakes

    return refused
