"""A restored database: whatever was sent and is forgotten is found, and nothing is charged or refunded twice."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from config.connections import redis_client
from payments.carts import payment_in
from payments.errors import NotYet
from payments.operations import Status
from payments.reasons import ReasonCode
from tasks.wiring import World
from tests.integration.payments.restoring import PAGES_OVER, SETTLED, Scene, copied, declare, parked
from tests.integration.payments.stage import DECLINED, PAID, Stage
from tests.integration.payments.test_charges import form
from tests.integration.payments.trail import seal
from tests.support.cms import SeededPayment, seed_payment

KINDS = ("charge", "refund", "part refund", "capture", "part capture", "void", "release", "page", "page without id")

#: How old the copy is, in seconds, whether the workers ran on while it was put back, and what is asked for again.
TRIALS = ((60.0, True, KINDS), (3600.0, False, ("charge", "part refund", "page", "page without id")))


def scene(stage: Stage, kind: str) -> Scene:
    """Bring a payment of its own to where an operation begins."""
    prepared = Scene(stage, seed_payment(stage.database), kind)
    prepared.prepare()
    return prepared


def forget_redis(stage: Stage) -> None:
    """Lose what the broker's Redis knows."""
    redis_client(str(stage.settings.redis_url)).flushdb()


class TestAskedAgain:
    """The CMS asks again for what PayTabs has done already."""

    @pytest.mark.parametrize(("age", "goes_on", "kinds"), TRIALS, ids=["minute", "hour"])
    def test_every_kind(self, stage: Stage, age: float, goes_on: bool, kinds: tuple[str, ...]) -> None:
        """It is parked until somebody says what happened, then taken over; no money moves a second time."""
        scenes = [scene(stage, kind) for kind in kinds]
        copy = copied(stage)
        stage.clock.advance(age)
        for one in scenes:
            one.carry_out()
        moved, states = scenes[0].money(), {one.kind: stage.state(one.seeded) for one in scenes}
        copy.restore()
        world = stage.world if goes_on else stage.another_world()
        sent = [one.kind for one in scenes if not parked(partial(one.ask, world)).reason.startswith("parked")]
        declare(stage, world)
        wrong = {one.kind: told for one in scenes if (told := self.told_of(world, one, states[one.kind]))}
        assert (sent, wrong, scenes[0].money()) == ([], {}, moved)

    def told_of(self, world: World, one: Scene, state: str) -> list[str]:
        """Ask again, and return what is not as it was before the restore."""
        view, wrong = one.ask(world), list[str]()
        rows = world.ledger.of_payment(one.seeded.payment_id)
        facts = one.stage.facts(one.seeded)
        sources = {event.context.source for event in world.store.load(one.seeded.payment_id)}
        wrong += [] if view.state == one.stage.state(one.seeded) == state else [f"{view.state}, was {state}"]
        wrong += [] if rows[-1].status is Status.SUCCEEDED else [f"its row is {rows[-1].status}"]
        wrong += [] if "OutcomeUnknown" in facts and "restore" in sources else [f"told by {sources}: {facts}"]
        if one.kind != "page without id":  # nobody asks for another page of a payment that is paid
            wrong += [] if one.ask(world).state == state else ["asked once more it is otherwise"]
        return wrong

    def test_refused_then(self, stage: Stage) -> None:
        """What PayTabs refused then is refused now; a page without an id is followed by the next one."""
        one = scene(stage, "page without id")
        copy = copied(stage)
        stage.sandbox.pay(str(one.ask(stage.world).tran_ref), DECLINED)
        stage.verify(one.seeded)
        copy.restore()
        parked(lambda: one.ask(stage.world))
        declare(stage)
        parked(lambda: one.ask(stage.world))
        stage.clock.advance(PAGES_OVER)
        view = one.ask(stage.world)
        assert (view.state, view.redirect_url is not None) == ("AWAITING_PAYER", True)
        assert [row.status for row in stage.rows(one.seeded)] == [Status.REFUSED, Status.PENDING]

    def test_other_terms(self, stage: Stage) -> None:
        """Under the same id something else is asked for: a case, and nothing is sent."""
        asked_now = {"part refund": ("refund", "amount"), "void": ("capture", "kind"), "release": ("capture", "kind")}
        scenes = [scene(stage, kind) for kind in asked_now]
        copy = copied(stage)
        for one in scenes:
            one.carry_out()
        moved, told = scenes[0].money(), {}
        copy.restore()
        declare(stage)
        for one, (kind, _) in zip(scenes, asked_now.values(), strict=True):
            one.kind = kind
            one.ask(stage.world)
            reasons = [case.reason for case in stage.world.review.cases(one.seeded.payment_id)]
            differs = [reason.params for reason in reasons if reason.code == ReasonCode.FORGOTTEN_DIFFERS]
            told[one.seeded.payment_id] = (differs, stage.row(one.seeded).status)
        assert list(told.values()) == [
            ([(one.operation_id, what)], Status.REFUSED)
            for one, (_, what) in zip(scenes, asked_now.values(), strict=True)
        ]
        assert scenes[0].money() == moved

    def test_another_page_was_paid(self, stage: Stage) -> None:
        """A charge is not made beside a page that was paid and is forgotten, whoever asked for that."""
        page = scene(stage, "page without id")
        copy = copied(stage)
        page.carry_out()
        copy.restore()
        declare(stage)
        charge = Scene(stage, page.seeded, "charge")
        charge.prepare()
        moved = page.money()
        parked(lambda: charge.ask(stage.world))
        assert stage.state(page.seeded) == "PAID"
        stage.clock.advance(PAGES_OVER)
        charge.ask(stage.world)
        assert (page.money(), stage.state(page.seeded)) == (moved, "PAID")
        assert {row.kind: row.status for row in stage.rows(page.seeded)} == {
            "charge_token": Status.REFUSED, "create_page": Status.SUCCEEDED
        }  # fmt: skip

    def test_row_is_there(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """A row that the copy has as not sent yet is found to have been sent."""
        stage.paid(seeded)
        one = Scene(stage, seeded, "refund")
        with monkeypatch.context() as hurried:
            hurried.setattr("payments.money.MoneyService._sent", lambda _, row, __: row)
            one.ask(stage.world)
        copy = copied(stage)
        assert stage.row(seeded).status is Status.NEW
        stage.world.sender.send(one.operation_id, stage.context())
        moved = one.money()
        copy.restore()
        declare(stage)
        stage.world.sender.send(one.operation_id, stage.context())
        assert (one.money(), stage.state(seeded)) == (moved, "REFUNDED")


class TestNothingFound:
    """What was not sent goes out once that is certain, under a cart that no forgotten send can have had."""

    def test_follow_up(self, stage: Stage) -> None:
        """130 seconds after the restore, not before."""
        one = scene(stage, "part refund")
        copy = copied(stage)
        stage.clock.advance(60)
        scene(stage, "charge").carry_out()
        copy.restore()
        parked(lambda: one.ask(stage.world))
        declare(stage)
        moved = one.money()
        waits = parked(lambda: one.ask(stage.world))
        assert (waits.reason, 129 < waits.delay_seconds <= 130) == ("restored: forgotten sends are looked for", True)
        stage.clock.advance(SETTLED - 2)
        parked(lambda: one.ask(stage.world))
        stage.clock.advance(2)
        assert one.ask(stage.world).state == "PART_REFUNDED"
        assert len(one.money()) == len(moved) + 1
        queries = len(stage.queries())
        stage.follow_up(one.seeded, "refund", "5.00", operation_id="op-2")
        assert len(stage.queries()) - queries == 8  # it asks for its own sends; nothing is known of others
        assert stage.get(one.seeded).refunded == "45.00"

    def test_page(self, stage: Stage) -> None:
        """A page waits until nobody can pay a forgotten one any more; one that is paid meanwhile is taken over."""
        left, paid = scene(stage, "page without id"), scene(stage, "page without id")
        copy = copied(stage)
        forgotten = [str(one.ask(stage.world).tran_ref) for one in (left, paid)]
        copy.restore()
        declare(stage)
        for wait in (1800, 1200):
            assert [parked(partial(one.ask, stage.world)).delay_seconds for one in (left, paid)] == [wait, wait]
            stage.clock.advance(600)
        stage.sandbox.pay(forgotten[1], PAID)
        assert paid.ask(stage.world).state == "PAID"
        parked(lambda: left.ask(stage.world))
        stage.clock.advance(601)
        view = left.ask(stage.world)
        assert (view.state, view.tran_ref not in forgotten) == ("AWAITING_PAYER", True)

    def test_beside_what_waits(self, stage: Stage) -> None:
        """Whoever asks for something else beside what waits hears when to ask again, and no error."""
        one = scene(stage, "charge")
        copy = copied(stage)
        scene(stage, "charge").carry_out()
        copy.restore()
        declare(stage)
        parked(lambda: one.ask(stage.world))
        assert parked(lambda: form(stage, one.seeded, operation_id="op-2")).delay_seconds == 1800

    def test_shown_page(self, stage: Stage) -> None:
        """A forgotten page that PayTabs shows is watched like one of ours, and makes way when it has ended."""
        stage.sandbox.switch(query_cart_shows_unpaid=True)
        one = scene(stage, "page without id")
        copy = copied(stage)
        forgotten = str(one.ask(stage.world).tran_ref)
        copy.restore()
        declare(stage)
        waits = parked(lambda: one.ask(stage.world))
        assert (waits.reason, 1790 < waits.delay_seconds <= 1860) == ("forgotten_page", True)
        assert stage.row(one.seeded).tran_ref == forgotten
        stage.clock.advance(PAGES_OVER)
        view = one.ask(stage.world)
        assert (view.redirect_url is not None, view.tran_ref != forgotten) == (True, True)
        assert [row.error for row in stage.rows(one.seeded)] == ["page_ended", None]

    def test_new_payments(self, stage: Stage) -> None:
        """Payments that the CMS makes long after a restore are not asked about; their carts are derived as well."""
        declare_at = stage.clock.now
        stage.clock.now -= timedelta(days=3)
        declare(stage)
        stage.clock.now = declare_at
        seeded = seed_payment(stage.database)
        stage.open_page(seeded)
        assert stage.queries() == []
        assert payment_in(stage.row(seeded).cart_id) == seeded.payment_id


class TestNoticed:
    """A database that is behind a copy of its own position outside of it sends nothing."""

    @pytest.fixture
    def behind(self, stage: Stage, seeded: SeededPayment) -> Scene:
        """A refund that was made, sealed, and forgotten."""
        stage.paid(seeded)
        one = Scene(stage, seeded, "refund")
        seal(stage)
        copy = copied(stage)
        one.carry_out()
        seal(stage)
        copy.restore()
        return one

    def test_by_redis(self, stage: Stage, behind: Scene) -> None:
        """By what the broker's Redis knows: a process that begins only then sends nothing, and operators are told."""
        world = stage.another_world(audit_seal_file=Path("/nonexistent/seals.jsonl"))
        parked(lambda: behind.ask(world))
        assert "Redis knows of send 2 of epoch 0" in stage.open_alerts()["ledger_behind"]
        declare(stage, world)
        assert behind.ask(world).state == "REFUNDED"
        assert "ledger_behind" not in stage.open_alerts()

    def test_by_the_seals(self, stage: Stage, behind: Scene) -> None:
        """By the file of seals, when Redis was lost as well; and the file tells which operations were sent."""
        forget_redis(stage)
        world = stage.another_world()
        world.epochs.look()
        parked(lambda: behind.ask(world))
        assert "seals.jsonl knows of send 2" in stage.open_alerts()["ledger_behind"]
        declared = declare(stage, world)
        assert (declared.named, declared.aside is not None) == (1, True)
        assert world.sent_elsewhere.of(behind.seeded.payment_id) == [behind.operation_id]
        assert behind.ask(world).state == "REFUNDED"
        assert len(seal(stage)) >= 1

    def test_by_its_own_memory(self, stage: Stage, behind: Scene) -> None:
        """By what a process that ran on remembers, when everything else is lost."""
        forget_redis(stage)
        Path(str(stage.settings.seal_file)).unlink()
        assert parked(lambda: behind.ask(stage.world)).reason.startswith("parked")
        assert "this process knows of send 2" in stage.open_alerts()["ledger_behind"]

    @pytest.mark.usefixtures("behind")
    def test_nothing_parks(self, stage: Stage) -> None:
        """An edited seal, in the file or in the database, and another database's file park nothing."""
        path = Path(str(stage.settings.seal_file))
        lines, rows = path.read_text().splitlines(), stage.database["audit_seals"]
        edited = lines[-1].replace('"sends":2', '"sends":9')
        assert edited != lines[-1]
        foreign = [line.replace("nestcms_payments", "other") for line in lines]
        parking = []
        for name, text in (("edited", [*lines[:-1], edited]), ("foreign", foreign), ("torn", [lines[0], "{"])):
            path.write_text("\n".join(text) + "\n")
            forget_redis(stage)
            parking += [name] if stage.another_world().epochs.look().parked else []
        path.write_text("\n".join(lines) + "\n")
        rows.update_one({}, {"$set": {"count": 99}})
        parking += ["edited in the database"] if stage.another_world().epochs.look().parked else []
        assert parking == []

    def test_ordinary_work(self, stage: Stage) -> None:
        """Workers that send at once, and one that was just begun, notice nothing."""
        worlds = [stage.world, stage.another_world(), stage.another_world()]
        for number in range(9):
            stage.create(seed_payment(stage.database), worlds[number % 3])
            worlds[(number + 1) % 3].epochs.look()
        assert stage.open_alerts() == {}
        assert stage.world.epochs.current().position.sends == 9

    def test_old_copy(self, stage: Stage, seeded: SeededPayment) -> None:
        """A copy from before there was an epoch is noticed too, and one from before another restore."""
        copy = copied(stage)
        stage.open_page(seeded)
        copy.restore()
        parked(lambda: stage.create(seeded))
        declare(stage)
        copy.restore()
        parked(lambda: stage.create(seeded))
        declare(stage)
        assert stage.world.epochs.current().number == 2


class TestNotices:
    """PayTabs tells of what is forgotten."""

    def test_of_a_forgotten_page(self, stage: Stage) -> None:
        """A notice of a forgotten page finds its payment by the cart; the page's row is there again."""
        one = scene(stage, "page without id")
        copy = copied(stage)
        forgotten = str(one.ask(stage.world).tran_ref)
        stage.sandbox.pay(forgotten, PAID)
        copy.restore()
        declare(stage)
        assert (stage.notice(forgotten).result, stage.state(one.seeded)) == ("applied", "PAID")
        assert stage.cms(one.seeded)["status"] == "paid"

    def test_while_parked(self, stage: Stage) -> None:
        """So does one that comes before anybody has said that the database was restored."""
        one = scene(stage, "page without id")
        copy = copied(stage)
        forgotten = str(one.ask(stage.world).tran_ref)
        stage.sandbox.pay(forgotten, PAID)
        copy.restore()
        stage.world.epochs.look()
        assert (stage.notice(forgotten).result, stage.state(one.seeded)) == ("applied", "PAID")

    def test_of_a_known_id(self, stage: Stage) -> None:
        """What a caller's id stands for is nobody's attempt until it is asked for again: then it is taken over."""
        scenes = [scene(stage, kind) for kind in ("page", "refund")]
        copy = copied(stage)
        for one in scenes:
            one.carry_out()
        moved, states = scenes[0].money(), [stage.state(one.seeded) for one in scenes]
        copy.restore()
        declare(stage)
        told = [stage.notice(tran_ref).result for tran_ref, *_ in moved[-2:]]
        assert (told, [stage.state(one.seeded) for one in scenes]) == (
            ["applied", "applied"],
            ["REVIEW", "REFUNDED"],
        )
        assert [one.ask(stage.world).state for one in scenes] == states
        assert (scenes[0].money(), [stage.state(one.seeded) for one in scenes]) == (moved, states)

    def test_under_another_id(self, stage: Stage) -> None:
        """A charge that a notice told of is not made a second time under another id either."""
        one = scene(stage, "charge")
        copy = copied(stage)
        one.carry_out()
        moved = one.money()
        copy.restore()
        declare(stage)
        stage.notice(moved[-1][0])
        with pytest.raises(NotYet):
            form(stage, one.seeded, operation_id="op-2")
        stage.clock.advance(PAGES_OVER)
        stage.world.sender.send("op-2", stage.context())
        assert "is forgotten" in str(stage.row(one.seeded).error)
        assert one.money() == moved


class TestVersionBefore:
    """Rows of the version before, whose carts were drawn, go on."""

    def test_goes_on(self, stage: Stage, seeded: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> None:
        """A page that was lost under such a cart is found or sent again, paid and refunded."""
        drawn = "nw-0123456789abcdef0123456789abcdef"
        with monkeypatch.context() as before:
            before.setattr("payments.sending.cart_of", lambda *_, **__: drawn)
            stage.sandbox.fault("/payment/request", "cut_after_accept")
            parked(lambda: stage.create(seeded))
        assert stage.row(seeded).cart_id == drawn
        stage.clock.advance(161)
        assert stage.world.reconciler.poll(stage.row(seeded).operation_id, stage.context())
        view = stage.create(seeded)
        assert [payment_in(send.cart_id) for send in stage.row(seeded).sends] == [None, seeded.payment_id]
        stage.sandbox.pay(str(view.tran_ref), PAID)
        assert stage.verify(seeded).state == "PAID"
        assert stage.follow_up(seeded, "refund").state == "REFUNDED"
