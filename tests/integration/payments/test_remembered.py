from concurrent.futures import ThreadPoolExecutor

import pytest
from pymongo.client_session import ClientSession

from payments import remembered
from payments.errors import InvalidArgument
from payments.events import broken_link
from payments.facts import ReviewRaised
from payments.remembered import Known, Remembered
from payments.store import Change
from tasks.wiring import World
from tests.integration.payments.stage import PAID, Stage
from tests.support.cms import SeededPayment
from tests.support.reasons import about


def record(stage: Stage, seeded: SeededPayment, number: int, world: World | None = None) -> Known:
    """Record such a fact and return what is known then."""

    def work(change: Change) -> Change:
        change.record(claim(number))
        return change

    return (world or stage.world).store.change(seeded.payment_id, stage.context(), work).known


def claim(number: int) -> ReviewRaised:
    """Return a fact like no other."""
    return ReviewRaised(**about(f"case {number}"), evidence="")


class TestRemembered:
    """A change may begin from what its process remembers, and is none the worse for it."""

    def test_read_once(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """A process that appends again does not read the stream again."""
        stage.create(seeded)
        store, reads = stage.world.store, []
        caught_up = store._caught_up

        def noted(payment_id: str, known: Known, session: ClientSession) -> Known:
            reads.append(payment_id)
            return caught_up(payment_id, known, session)

        monkeypatch.setattr(store, "_caught_up", noted)
        for number in range(5):
            record(stage, seeded, number)
        assert reads == []
        assert broken_link(store.load(seeded.payment_id)) is None
        assert len(stage.cms(seeded)["gateway"]["review"]) == 5

    @pytest.mark.parametrize("facts", [1, 2])
    def test_written_elsewhere(self, stage: Stage, seeded: SeededPayment, facts: int) -> None:
        """What another process appended meanwhile is known before anything is decided for good."""
        other = stage.another_world()
        stage.create(seeded)
        record(stage, seeded, 1, other)
        seen: list[int] = []

        def work(change: Change) -> None:
            seen.append(change.history[-1].version)
            change.record(*(claim(number) for number in range(2, 2 + facts)))

        stage.world.store.change(seeded.payment_id, stage.context(), work)
        assert len(seen) == 2
        assert seen[-1] > seen[0]
        history = stage.world.store.load(seeded.payment_id)
        assert broken_link(history) is None
        assert [event.fact for event in history if isinstance(event.fact, ReviewRaised)] == [
            claim(number) for number in range(1, 2 + facts)
        ]

    def test_refused(self, stage: Stage, seeded: SeededPayment) -> None:
        """Nobody is refused for what has long been otherwise."""
        other = stage.another_world()
        tran_ref = stage.open_page(seeded)
        stage.sandbox.pay(tran_ref, PAID)
        other.service.verify(seeded.payment_id, stage.context())

        def work(change: Change) -> str:
            if change.before.state != "PAID":
                raise InvalidArgument("payment_id", "a paid payment")
            change.record(claim(1))
            return change.before.state

        assert stage.world.store.change(seeded.payment_id, stage.context(), work) == "PAID"

    def test_nothing_recorded(self, stage: Stage, seeded: SeededPayment) -> None:
        """Who only looks sees what is there, not what is remembered."""
        other = stage.another_world()
        stage.create(seeded)
        record(stage, seeded, 1, other)
        versions = [
            stage.world.store.change(seeded.payment_id, stage.context(), lambda change: change.history[-1].version)
            for _ in range(2)
        ]
        assert versions == [len(stage.facts(seeded))] * 2

    def test_known_elsewhere(self, stage: Stage, seeded: SeededPayment) -> None:
        """A fact that another process has recorded already is not recorded twice."""
        other = stage.another_world()
        stage.create(seeded)
        for world in (other, stage.world, other, stage.world):
            record(stage, seeded, 1, world)
        assert stage.facts(seeded).count("ReviewRaised") == 1

    def test_crowd(self, stage: Stage, seeded: SeededPayment) -> None:
        """Processes that take turns at random lose no fact and skip no version."""
        worlds = [stage.world, stage.another_world(), stage.another_world()]
        stage.create(seeded)

        def write(number: int) -> None:
            record(stage, seeded, number, worlds[number % 3])

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(write, range(40)))
        history = stage.world.store.load(seeded.payment_id)
        assert broken_link(history) is None
        assert {event.fact for event in history} >= {claim(number) for number in range(40)}
        assert stage.cms(seeded)["gateway"]["version"] == len(history)

    def test_for_a_while(self, stage: Stage, seeded: SeededPayment) -> None:
        """Memories end, and there are only so many."""
        stage.create(seeded)
        known, now = record(stage, seeded, 1), [0.0]
        memory = Remembered(monotonic=lambda: now[0])
        memory.keep("a", known)
        now[0] = remembered.REMEMBERED_SECONDS
        assert memory.take("a") is None
        for number in range(remembered.REMEMBERED_PAYMENTS + 1):
            memory.keep(str(number), known)
        assert memory.take("0") is None
        assert isinstance(memory.take("1"), Known)
        assert memory.take("1") is None
