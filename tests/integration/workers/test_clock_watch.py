import time
from typing import Any

import pytest
from pymongo.database import Database

from config.settings import Settings
from tasks.broker_clock import time_of
from workers.clock_gate import Gate, GatedByClock
from workers.clock_watch import DISAGREE, OFF, ClockWatch
from workers.stack import EmbeddedValkey


class Machine:
    """A machine whose clock, and whose broker's, the test moves."""

    def __init__(self, settings: Settings, database: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate, self.ahead, self.broker_ahead = Gate(), 0.0, 0.0
        self._rows, true = database["alerts"], time.time
        monkeypatch.setattr("workers.clock_watch.time.time", lambda: true() + self.ahead)
        monkeypatch.setattr("workers.clock_watch.time_of", lambda client: time_of(client) + self.broker_ahead)
        self._watch = ClockWatch(settings, gate=self.gate, machine="here")

    def looks(self, ahead: float, broker_ahead: float = 0.0) -> tuple[bool, set[str]]:
        """Look; return whether it takes work, and which alerts are open."""
        self.ahead, self.broker_ahead = ahead, broker_ahead
        self._watch.look()
        return self.gate.is_open, {row["name"] for row in self._rows.find({"closed_at": None})}


@pytest.fixture
def machine(settings: Settings, database: Database[Any], monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine."""
    return Machine(settings, database, monkeypatch)


class TestWatch:
    """One machine's clock against both servers'."""

    def test_there_and_back(self, machine: Machine) -> None:
        """Each look says what there is to say, stops what has to stop, and lets it go on when it is mended."""
        assert machine.looks(0) == (True, set())
        assert machine.looks(40) == (True, {OFF})
        assert machine.looks(3600) == (False, {OFF})
        assert machine.looks(-3600) == (False, {OFF})
        assert machine.looks(-30) == (True, {OFF})
        assert machine.looks(0) == (True, set())

    def test_servers_apart(self, machine: Machine) -> None:
        """Where the servers disagree nothing stops, whichever of them, or the machine, is wrong."""
        assert machine.looks(0, broker_ahead=3600) == (True, {DISAGREE})
        assert machine.looks(3600, broker_ahead=-3600) == (True, {DISAGREE})
        assert machine.looks(3600, broker_ahead=3600) == (True, {DISAGREE})
        assert machine.looks(3600) == (False, {OFF})
        assert machine.looks(0) == (True, set())

    def test_silent_broker(self, machine: Machine, valkey: EmbeddedValkey) -> None:
        """With one server silent it stays as it was, stopped or not; operators hear of what the other says."""
        assert machine.looks(3600)[0] is False
        valkey.kill()
        assert machine.looks(3600) == (False, {OFF})
        valkey.start()
        assert machine.looks(0) == (True, set())
        valkey.kill()
        assert machine.looks(3600) == (True, {OFF})
        valkey.start()


class TestGate:
    """What the gate stops."""

    def test_asks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A channel asks for no message while it is closed, and asks again as soon as it is open."""

        class Stock:
            asked = 0

            def _brpop_start(self, timeout: float | None = None) -> None:
                del timeout
                self.asked += 1

        class Gated(GatedByClock, Stock):
            pass

        channel, gate = Gated(), Gate()
        monkeypatch.setattr("workers.clock_gate.GATE", gate)
        for is_open, asked in ((True, 1), (False, 1), (False, 1), (True, 2)):
            gate.set(is_open=is_open)
            channel._brpop_start()
            assert channel.asked == asked
