"""What a worker does besides when a caller revokes tasks: it has that noted for those that wait in MongoDB.

Celery's workers keep ids that were revoked in memory, for some hours and until they restart.
"""

from typing import Any
from uuid import uuid4

import structlog
from celery.utils.functional import maybe_list
from celery.worker import control

from config.queues import CORRELATION_HEADER

log = structlog.get_logger(__name__)

#: The task that notes it.
REVOKE = "later.revoke"

#: Celery's own answer to the command.
_stock: Any = control.Panel.data["revoke"]


def revoke(state: Any, task_id: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Celery's command
    """Revoke tasks as Celery does, and have it noted."""
    told = _stock(state, task_id, *args, **kwargs)
    ids = sorted({str(one) for one in maybe_list(task_id) or []})
    headers = {CORRELATION_HEADER: f"revoke-{uuid4()}"}
    try:
        state.app.send_task(REVOKE, kwargs={"task_ids": ids}, headers=headers, ignore_result=True)
    except Exception as error:  # noqa: BLE001 - the command is carried out; a worker must not end over the rest
        log.warning("revoke_not_noted", reason=type(error).__name__, ids=len(ids))
    return told


def install() -> None:
    """Answer the command so from now on."""
    control.Panel.data["revoke"] = revoke
