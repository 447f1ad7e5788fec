"""How Flower runs: `celery -A workers.app flower --conf=workers/flowerconfig.py`; only signed-in people reach it.

Flower shows every task's arguments and can revoke tasks, so without names and passwords it answers this machine alone.
Whatever here is called like an option of Flower's is that option.
"""

import sys

from config.logs import configure_logs
from config.networks import is_loopback
from config.settings import SettingsError, load_settings

try:
    _settings = load_settings()
except SettingsError as error:
    sys.exit(str(error))

# Flower's lines travel like everybody's; "none" keeps Tornado, which reads its options once more, from undoing it.
configure_logs(log_format=_settings.log_format, level=_settings.log_level)
logging = "none"

port = _settings.flower_port
address = _settings.flower_address

#: `name:password` pairs, comma-separated.
_people = _settings.flower_basic_auth.get_secret_value() if _settings.flower_basic_auth else ""
basic_auth = [person.strip() for person in _people.split(",") if person.strip()]

if not basic_auth and not is_loopback(address):
    sys.exit(
        f"FLOWER_ADDRESS is {address}, which others can reach: set FLOWER_BASIC_AUTH=name:password too, or leave "
        "FLOWER_ADDRESS out."
    )

# What it has seen survives a restart, and all but the last minute of it a crash.
_settings.local_dir.mkdir(parents=True, exist_ok=True)
persistent = True
db = str(_settings.local_dir / "flower")
state_save_interval = 60_000

#: How many tasks it remembers: each costs about 2 KB of memory and is written to the file above.
max_tasks = 10_000
