import pytest
from billiard.exceptions import WorkerLostError
from pymongo.errors import AutoReconnect

from observability.dead_letters import Kind
from schedules.table import ENTRIES
from tasks.dead_letters import kind_of


class TestRepeated:
    """What the schedule repeats is not given up."""

    @pytest.mark.parametrize("task", sorted({*(entry.task for entry in ENTRIES), "aggregations.refresh"}))
    def test_outage(self, task: str) -> None:
        """An outage leaves no letter about a periodic task, nor about the refreshes that one enqueues."""
        assert kind_of(task, AutoReconnect("the primary is gone")) is None

    def test_others(self) -> None:
        """It leaves one about what a caller has asked for, and a lost worker one about a view's refresh."""
        assert kind_of("payments.create", AutoReconnect("the primary is gone")) is Kind.GIVEN_UP
        assert kind_of("views.refresh", WorkerLostError()) is Kind.LOST_WORKERS
