import pytest

from config.settings import Settings
from paytabs.gated import GatedClient
from tasks.gateway import REDIS_SECONDS, breaker_name, gated


@pytest.fixture
def door(settings: Settings) -> GatedClient:
    """PayTabs as a process with the agreed times reaches it."""
    return gated(settings, owner="me", raise_alert=lambda *_: None)


class TestNumbers:
    """What a process is set to is what its gate keeps to."""

    def test_leases(self, door: GatedClient) -> None:
        """A probe, and a place, are kept for longer than a call takes from the moment it was let through."""
        assert door.gate.breaker.rules.probe_seconds == 5 + 10
        assert door.gate.limiter.rules.lease_seconds == 5 + 10 + 5

    def test_rates(self, settings: Settings) -> None:
        """The rate, the places and the open time are those of the settings."""
        chosen = {"paytabs_calls_per_second": 7.0, "paytabs_calls_at_once": 3, "breaker_open_seconds": 9.0}
        gate = gated(settings.model_copy(update=chosen), owner="me", raise_alert=lambda *_: None).gate
        assert (gate.limiter.rules.calls_per_second, gate.limiter.rules.at_once) == (7.0, 3)
        assert gate.breaker.rules.open_seconds == 9.0

    def test_turns(self, door: GatedClient) -> None:
        """What is repeated within a call takes its turns from the same limiter."""
        assert door._client._caller._turn == door.gate.limiter.reserve

    def test_names(self, settings: Settings, door: GatedClient) -> None:
        """The limiter is the profile's, the breaker the profile's and its key's, which the name does not tell."""
        key = settings.paytabs_serverk.get_secret_value()
        assert door.gate.limiter.name == str(settings.paytabs_profile)
        assert door.gate.breaker.name == breaker_name(settings)
        assert key not in breaker_name(settings)

    def test_short_patience(self) -> None:
        """A payer waits behind a Redis that does not answer: not for long."""
        assert REDIS_SECONDS <= 0.5
