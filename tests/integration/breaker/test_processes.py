from tests.integration.breaker.crowd import Crowd
from tests.integration.breaker.scenes import BRIEFLY_OPEN, declined, lose_probe_owner, recover
from tests.support.sandbox import Sandbox

#: How often recovery is tried here; the full form tries it fifty times.
RUNS = 5


class TestOneBreaker:
    """Eight processes share one breaker."""

    def test_one_probe(self, crowd: Crowd, sandbox: Sandbox) -> None:
        """At half-open all of them together send exactly one probe, three times, and then it is closed."""
        tran_ref = declined(sandbox)
        assert [recover(crowd, sandbox, tran_ref) for _ in range(RUNS)] == [[1, 1, 1]] * RUNS

    def test_half_of_ten(self, crowd: Crowd) -> None:
        """Five failures among ten calls open it for all, whoever made which."""
        for member in range(4):
            crowd.one(member, "call", results=[True, False])
        crowd.one(4, "call", results=[False])
        assert {answer["state"] for answer in crowd.all("look")} == {"closed"}
        crowd.one(5, "call", results=[True])
        assert {answer["state"] for answer in crowd.all("look")} == {"open"}
        assert not any(answer["admitted"] for answer in crowd.all("admit", kind="send"))

    def test_declines(self, crowd: Crowd, sandbox: Sandbox) -> None:
        """A hundred and sixty answers about declined cards, and about unknown ones, leave it closed."""
        tran_ref = declined(sandbox)
        answers = [*crowd.all("ask", tran_ref=tran_ref, times=10), *crowd.all("ask", tran_ref="TST0", times=10)]
        assert {word for answer in answers for word in answer["outcomes"]} == {
            "refused/completed",
            "did_not_happen/not_found",
        }
        assert crowd.one(0, "look") == {"state": "closed"}


class TestLostOwner:
    """A process dies while it probes."""

    def test_killed(self, redis_url: str, name: str) -> None:
        """Its token runs out, another process probes, and the breaker closes."""
        with Crowd(3, redis_url) as crowd:
            crowd.join(name, breaker={**BRIEFLY_OPEN, "probe_seconds": 1.0})
            assert 0.9 < lose_probe_owner(crowd) < 2.0
