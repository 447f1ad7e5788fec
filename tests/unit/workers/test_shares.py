from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from config.queues import QUEUES, with_lanes
from workers.shares import SHARES, ShareCycle

#: What one worker reads.
MONEY = with_lanes(["payments", "webhooks", "reconcile"])
READS = with_lanes(["aggregations", "maintenance"])


class Desk:
    """Queues with messages, and a worker that takes from them as BRPOP does."""

    def __init__(self, queues: Iterable[str]) -> None:
        self.cycle = ShareCycle()
        self.cycle.update(queues)
        self.count = len([*queues])
        self.waiting: Counter[str] = Counter()

    def take(self) -> str | None:
        """Take a message from the first queue that has one."""
        queue = next((one for one in self.cycle.consume(self.count) if self.waiting[one]), None)
        if queue is not None:
            self.waiting[queue] -= 1
            self.cycle.rotate(queue)
        return queue


class TestShares:
    """A worker's turns are shared by weight among the queues that have messages."""

    def test_by_weight(self) -> None:
        """With all of them full each gets its share of the turns, whatever the order in which it was told of them."""
        for queues in (MONEY, [*reversed(MONEY)], [one for one in READS if one != "aggregations.first"]):
            desk, whole = Desk(queues), sum(SHARES[one] for one in queues)
            desk.waiting.update(dict.fromkeys(queues, 10_000))
            served = Counter(desk.take() for _ in range(int(whole) * 20))
            assert {one: abs(served[one] - SHARES[one] * 20) <= 1 for one in queues} == dict.fromkeys(queues, True)

    @settings(max_examples=30)
    @given(
        full=st.sets(st.sampled_from(QUEUES), min_size=1),
        earlier=st.lists(st.sampled_from(QUEUES), max_size=300),
        one=st.sampled_from(QUEUES),
    )
    def test_none_starves(self, full: set[str], earlier: list[str], one: str) -> None:
        """Whatever was served before and however full the others are, a message gets its turn within a few rounds."""
        desk = Desk(QUEUES)
        for queue in earlier:
            desk.cycle.rotate(queue)
        desk.waiting.update(dict.fromkeys(full, 100_000))
        desk.waiting[one] += 1
        others = sum(SHARES[queue] for queue in full - {one})
        turns = int(2 * (1 + others / SHARES[one])) + len(QUEUES) + 1
        assert one in [desk.take() for _ in range(turns)]

    def test_idle(self) -> None:
        """A queue that had nothing for long gets no turns for that time: it begins where the others are."""
        desk = Desk(MONEY)
        desk.waiting["payments"] = 10_000
        for _ in range(5_000):
            desk.take()
        desk.waiting["payments.bulk"] = 1_000
        served = Counter(desk.take() for _ in range(100))
        assert served["payments.bulk"] <= 21
        assert served["payments"] >= 79

    def test_payer_first(self) -> None:
        """Who comes to an idle worker together is served in the order of the table; nobody waits for a bulk's round."""
        desk = Desk(MONEY)
        desk.waiting["payments.bulk"] = 1_000
        for _ in range(50):
            desk.take()
        desk.waiting.update(["payments", "webhooks", "payments.staff"])
        assert [desk.take() for _ in range(3)] == ["payments", "webhooks", "payments.staff"]

    def test_invalidations_first(self) -> None:
        """With reads of every kind waiting, a hundred invalidations go before all of them but those of one turn."""
        desk = Desk(READS)
        desk.waiting.update(dict.fromkeys(READS, 1_000))
        for _ in range(500):
            desk.take()
        desk.waiting["aggregations.first"] = 100
        served = [desk.take() for _ in range(100 + len(READS) - 1)]
        assert served.count("aggregations.first") == 100

    def test_passed_on(self) -> None:
        """Messages that are only put into their lane cost their door next to nothing of its share."""
        desk = Desk(MONEY)
        desk.waiting.update({"payments": 320, "payments.staff": 1_000})
        staff = 0
        while desk.waiting["payments"]:
            queue = desk.take()
            if queue == "payments":
                desk.cycle.passed_on(queue)
            else:
                staff += 1
        assert staff <= 320 / 32 + 1
