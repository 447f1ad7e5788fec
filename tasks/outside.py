"""Where the ledger's position is kept outside the database: in the broker's Redis, and with the seals in their file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import redis
import structlog
from pymongo.database import Database

from config.connections import redis_client
from config.settings import Settings
from observability.alerts import Alerts
from payments.epochs import Epochs, Position
from payments.fingerprint import fingerprint
from payments.seal_copy import SealCopy
from payments.seal_store import SealStore
from tasks.auditing import seal_file

log = structlog.get_logger(__name__)

#: What is told to operators while sends are parked.
ALERT = "ledger_behind"

#: A Redis that takes longer than this is as good as away: other copies tell.
REDIS_SECONDS = 0.2

#: Raises the position to one that is beyond it.
_RAISE = """
local was = redis.call('HMGET', KEYS[1], 'epoch', 'sends')
local epoch, sends = tonumber(was[1] or -1), tonumber(was[2] or -1)
local new_epoch, new_sends = tonumber(ARGV[1]), tonumber(ARGV[2])
if new_epoch > epoch or (new_epoch == epoch and new_sends > sends) then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'sends', ARGV[2])
end
return redis.status_reply('OK')
"""


@dataclass(frozen=True)
class InRedis:
    """The position in the broker's Redis, under the ledger's fingerprint; while that is away nobody can tell."""

    client: redis.Redis
    ledger: Callable[[], str]
    name: str = "Redis"

    def position(self) -> Position | None:
        """Return what stands there."""
        told = self._told(lambda: self.client.hmget(self._key, ["epoch", "sends"]))
        return Position(int(told[0]), int(told[1])) if told and None not in told else None

    def raise_to(self, position: Position) -> None:
        """Raise it to a position, unless it is there or beyond."""
        self._told(lambda: self.client.eval(_RAISE, 1, self._key, str(position.epoch), str(position.sends)))

    def _told(self, ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - what a server answers
        try:
            return ask()
        except (redis.exceptions.RedisError, OSError) as error:
            log.warning("position_not_kept", reason=type(error).__name__)
            return None

    @property
    def _key(self) -> str:
        return f"nestcms:ledger:{self.ledger()}"


@dataclass(frozen=True)
class LedgerName:
    """The ledger's fingerprint, asked for at first use."""

    db: Database[dict[str, Any]] = field(repr=False)
    profile_id: int

    def __call__(self) -> str:
        """Return it."""
        return self._name

    @cached_property
    def _name(self) -> str:
        return fingerprint(self.db, self.profile_id)


def make_epochs(settings: Settings, db: Database[dict[str, Any]], now: Callable[[], Any], alerts: Alerts) -> Epochs:
    """Return who counts sends, with the copies that this process can reach."""
    ledger = LedgerName(db, settings.paytabs_profile)
    url, file = settings.redis_url, seal_file(settings)

    def noticed(told: str) -> None:
        alerts.raise_alert(ALERT, ledger(), told)

    return Epochs(
        db,
        now,
        copies=[InRedis(redis_client(url, timeout_seconds=REDIS_SECONDS), ledger)] if url else [],
        slow=[SealCopy(file, SealStore(db), ledger)] if file else [],
        noticed=noticed,
        released=lambda: alerts.resolve(ALERT, ledger()),
    )
