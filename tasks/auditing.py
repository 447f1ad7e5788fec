"""How sealing is put together: what is sealed, and where the seals are kept outside the database."""

from typing import Any

from pymongo.client_session import ClientSession
from pymongo.database import Database

from config.settings import Settings
from payments.audit_entries import AuditEntries
from payments.epochs import epoch_of
from payments.fingerprint import fingerprint
from payments.projections import RaiseAlert
from payments.seal_file import SealFile
from payments.seal_post import SealPost
from payments.seal_store import SealStore
from payments.sealing import Sealer, SealerParts
from payments.store import Clock

Document = dict[str, Any]

#: How long one run of the task goes on sealing a backlog, in seconds, and what it leaves of its time for the last seal.
SEALING_SECONDS, LAST_SEAL_SECONDS = 25.0, 10.0


def make_sealer(settings: Settings, db: Database[Document], clock: Clock, alert: RaiseAlert) -> Sealer:
    """Return who makes seals."""
    return Sealer(
        SealerParts(
            client=db.client,
            events=db["payment_events"],
            seals=SealStore(db),
            entries=AuditEntries(db),
            clock=clock,
            alert=alert,
            file=seal_file(settings),
            post=SealPost(settings.audit_seal_url) if settings.audit_seal_url else None,
            position=lambda session: _position(settings, db, session),
        )
    )


def seal_file(settings: Settings) -> SealFile | None:
    """Return the seals' file; None when they are only posted."""
    return SealFile(settings.seal_file) if settings.seal_file else None


def _position(settings: Settings, db: Database[Document], session: ClientSession) -> Document:
    """Return which ledger is sealed and how far it has come."""
    position = epoch_of(db, session).position
    name = fingerprint(db, settings.paytabs_profile)
    return {"name": name, "epoch": position.epoch, "sends": position.sends}
