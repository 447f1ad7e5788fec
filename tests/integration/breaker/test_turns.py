from collections.abc import Callable

from paytabs.breaker_errors import LimitExceeded
from paytabs.client import GatewayProfile, PayTabsClient
from tests.support.sandbox import PROFILE_ID, SERVER_KEY, Sandbox

QUERY = "/payment/query"


def client(sandbox: Sandbox, turn: Callable[[], float]) -> PayTabsClient:
    """Make a client whose repetitions take turns."""
    return PayTabsClient(GatewayProfile(PROFILE_ID, SERVER_KEY, sandbox.url), turn=turn)


class TestRepetitions:
    """What is repeated within a call keeps to the limiter as well."""

    def test_each_takes_a_turn(self, sandbox: Sandbox) -> None:
        """A query that is answered the third time has taken a turn before the second and the third."""
        turns: list[float] = []

        def turn() -> float:
            turns.append(0.0)
            return 0.0

        sandbox.fault(QUERY, "http_500", times=2)
        with client(sandbox, turn) as asking:
            assert asking.query_tran("TST0").detail == "not_found"
        assert (len(turns), len(sandbox.requests(QUERY))) == (2, 3)

    def test_no_turn(self, sandbox: Sandbox) -> None:
        """Where there is no turn to be had, the call is not repeated, and its last answer stands."""

        def turn() -> float:
            raise LimitExceeded("spoken for", 3.0)

        sandbox.fault(QUERY, "http_500", times=0)
        with client(sandbox, turn) as asking:
            assert asking.query_tran("TST0").detail == "http_5xx"
        assert len(sandbox.requests(QUERY)) == 1
