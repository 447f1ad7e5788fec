from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

import tasks.payments
import tasks.tokens  # noqa: F401 - as above
from tasks.requests import DomainRequest

TOKEN = "2C4656BF67A3E43DC6BE93FE00000001"


@pytest.fixture
def app() -> Celery:
    """An application with the tasks."""
    made = Celery("tests", set_as_current=False, broker="memory://")
    made.finalize()
    return made


def request_of(app: Celery, task: str, argsrepr: str, kwargsrepr: str) -> Any:
    """Return the request that a worker makes of a message whose caller sent the text of its arguments along."""
    headers = {"id": "a-task", "task": task, "argsrepr": argsrepr, "kwargsrepr": kwargsrepr}
    body: Any = ([], {}, {})
    properties: dict[str, Any] = {"delivery_info": {}}
    message = SimpleNamespace(headers=headers, body=body, payload=body, content_type="application/json",
                              content_encoding="utf-8", properties=properties, delivery_info={})  # fmt: skip
    return DomainRequest(message, app=app, task=app.tasks[task], headers=headers, body=body, decoded=True)


class TestDiscreet:
    """What Flower is told of a task's arguments."""

    @pytest.mark.parametrize(
        "task", ["payments.charge_token", "payments.managed_form", "tokens.query", "tokens.delete"]
    )
    def test_tokens(self, app: Celery, task: str) -> None:
        """A token is in neither text, whether it was given by its name or by its place."""
        made = request_of(app, task, f"('65f0', '{TOKEN}')", f"{{'payment_token': '{TOKEN}', 'token': '{TOKEN}'}}")
        assert TOKEN not in made.argsrepr + made.kwargsrepr + str(made.info(safe=True)) + str(made._request_dict)

    def test_ids_stay(self, app: Celery) -> None:
        """What is no secret is shown as it was sent."""
        made = request_of(app, "payments.get", "('65f0',)", "{'payment_id': '65f0'}")
        assert (made.argsrepr, made.kwargsrepr) == ("('65f0',)", "{'payment_id': '65f0'}")
