"""The key for stored cards of a run on one desk: made at its first start, and kept with its data.

In earnest CARD_KEYS is set, and kept where the database's backups are not; a desk's key lies beside its database.
"""

import contextlib
import os
from pathlib import Path

from pydantic import SecretStr

from config.settings import Settings
from payments.card_vault import new_key

#: The file, in the local directory.
FILE = "card-keys"


def with_desk_key(settings: Settings) -> Settings:
    """Complete the settings of a run that is about to start: without keys, those of the desk, made if need be."""
    if settings.card_keys is not None:
        return settings
    path = settings.local_dir / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(new_key())
    return with_kept_key(settings)


def with_kept_key(settings: Settings) -> Settings:
    """Complete the settings of a command: without keys, those of the desk in whose folder it is typed, if any."""
    kept = _kept(settings.local_dir) if settings.card_keys is None else None
    return settings.model_copy(update={"card_keys": SecretStr(kept)}) if kept else settings


def _kept(local_dir: Path) -> str | None:
    try:
        return (local_dir / FILE).read_text(encoding="ascii").strip() or None
    except OSError:
        return None
