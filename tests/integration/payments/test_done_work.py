import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded, WorkerLostError
from pymongo.errors import AutoReconnect

from observability.dead_letters import DeadLetters, Kind, Letter
from payments.errors import NotYet, StreamContended
from tasks import invoices, payments
from tasks.alert_letters import DONE_MEANWHILE, task_letters_closed
from tasks.dead_letters import keep
from tasks.done_work import NOTHING, work_of
from tasks.errors import ASK_AGAIN, ASK_AGAIN_UNDER_ID, OutcomeUnknown, WorkersLost
from tasks.outcomes import Done, last_word
from tasks.wiring import use_world
from tests.integration.payments.stage import PAID, SETTLED_SECONDS, Stage
from tests.integration.payments.test_invoices import LINES
from tests.support.cms import SeededPayment, seed_payment
from workers.stack_ports import free_port

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def worker(stage: Stage) -> Iterator[None]:
    """Be a worker's process, whose world is the stage's."""
    use_world(stage.another_world())
    yield
    use_world(None)


def authorised(stage: Stage, seeded: SeededPayment) -> None:
    """Have a payment authorised."""
    stage.paid(seeded, "auth")


def billed(stage: Stage, seeded: SeededPayment) -> None:
    """Have a payment billed."""
    del stage
    invoices.create(payment_id=seeded.payment_id, invoice=LINES, operation_id="bill")


def nothing(stage: Stage, seeded: SeededPayment) -> None:
    """Leave a payment as it is."""
    del stage, seeded


#: What is asked for, after what, and with which arguments beside the payment.
ASKED: dict[str, tuple[Any, Callable[[Stage, SeededPayment], object], Json]] = {
    "payments.refund": (payments.refund, Stage.paid, {"operation_id": "op", "amount": "15.00"}),
    "payments.capture": (payments.capture, authorised, {"operation_id": "op"}),
    "payments.void": (payments.void, authorised, {"operation_id": "op"}),
    "payments.release": (payments.release, authorised, {"operation_id": "op", "amount": "15.00"}),
    "payments.charge_token": (payments.charge_token, nothing, {"operation_id": "op"}),
    "payments.create_page": (payments.create_page, nothing, {"operation_id": "op"}),
    "payments.create_page, without an id": (payments.create_page, nothing, {}),
    "invoices.create": (invoices.create, nothing, {"operation_id": "op", "invoice": LINES}),
    "invoices.send_sms": (invoices.send_sms, billed, {"operation_id": "op", "phone": "+966500000123"}),
    "invoices.mark_paid": (
        invoices.mark_paid, billed, {"operation_id": "op", "pay_method": "cash", "pay_description": "at the desk"},
    ),
    "invoices.cancel": (invoices.cancel, billed, {"operation_id": "op"}),
}  # fmt: skip


class TestWork:
    """A row says whether its task's work is done, and what whoever asks again would hear."""

    def test_as_if_asked_again(self, stage: Stage) -> None:
        """Nothing before it is asked for, then what the task answers when it is asked again under the same id."""
        told = {}
        for name, (task, prepare, given) in ASKED.items():
            stage.database["payment_operations"].delete_many({})
            seeded, named = seed_payment(stage.database), name.partition(",")[0]
            prepare(stage, seeded)
            asked = {"payment_id": seeded.payment_id, **given}
            if named == "payments.charge_token":
                asked["token"] = stage.sandbox.keep_card()[0]
            before = work_of(stage.world, named, asked)
            task(**asked)
            work, another = (
                work_of(stage.world, named, asked),
                work_of(stage.world, named, {**asked, "payment_id": "f" * 24}),
            )
            told[name] = (before.done, work.done, work.answer == task(**asked), another)
        assert told == dict.fromkeys(ASKED, (False, True, True, NOTHING))

    def test_under_way(self, stage: Stage, seeded: SeededPayment) -> None:
        """What is being found out is known and not done; once it has its end, it is."""
        asked = in_doubt(stage, seeded)
        work = work_of(stage.world, "payments.refund", asked)
        assert (work.known, work.done, work.answer) == (True, False, None)
        stage.live(SETTLED_SECONDS)
        assert work_of(stage.world, "payments.refund", asked).answer["status"] == "succeeded"

    def test_anybodys_words(self, stage: Stage) -> None:
        """Arguments that somebody has written into a message may be anything."""
        for given in ({}, {"payment_id": 5, "operation_id": ["op"]}, {"payment_id": "nobody's", "delivery_id": None}):
            for task in (*(name.partition(",")[0] for name in ASKED), "webhooks.process", "events.handle", "no.such"):
                assert work_of(stage.world, task, given) is NOTHING


def in_doubt(stage: Stage, seeded: SeededPayment) -> Json:
    """Have a refund asked for whose answer is lost on its way."""
    stage.paid(seeded)
    stage.sandbox.fault("/payment/request", "cut_after_accept")
    with pytest.raises(NotYet):
        stage.follow_up(seeded, "refund", operation_id="op")
    return {"payment_id": seeded.payment_id, "operation_id": "op"}


class TestLastWord:
    """Of a task that did not come to its own end, its row is asked first; then its caller is told to ask again."""

    #: Errors that end a run without a word of the task's, and how they are called.
    KILLED = (
        (TimeLimitExceeded(25), "time_limit"), (SoftTimeLimitExceeded(), "time_limit"),
        (WorkerLostError("gone"), "workers_lost"), (WorkersLost(3), "workers_lost"),
    )  # fmt: skip

    def test_done(self, stage: Stage, seeded: SeededPayment) -> None:
        """Where the row is done, whatever ended the run, its answer is given."""
        stage.paid(seeded)
        asked = {"payment_id": seeded.payment_id, "operation_id": "op"}
        answer = payments.refund(**asked)
        for error in (*(one for one, _ in self.KILLED), AutoReconnect("gone"), StreamContended("busy"), KeyError("x")):
            assert last_word(error, "payments.refund", asked) == Done(answer), error

    def test_not_known(self, stage: Stage, seeded: SeededPayment) -> None:
        """Where the row is not done, or there is none yet, a killed task's caller asks again, under his id if any."""
        asked = in_doubt(stage, seeded)
        for given in (asked, {**asked, "operation_id": "never came so far"}):
            for error, reason in self.KILLED:
                said = last_word(error, "payments.refund", given)
                assert isinstance(said, OutcomeUnknown)
                assert said.args == (given["operation_id"], reason, ASK_AGAIN_UNDER_ID)
        for error, reason in self.KILLED:
            said = last_word(error, "payments.get", {"payment_id": seeded.payment_id})
            assert isinstance(said, OutcomeUnknown)
            assert said.args == (None, reason, ASK_AGAIN)

    def test_given_up(self, stage: Stage, seeded: SeededPayment) -> None:
        """An error speaks for itself only where nothing was accepted under an id of the caller's."""
        asked, error = in_doubt(stage, seeded), AutoReconnect("gone")
        said = last_word(error, "payments.refund", asked)
        assert isinstance(said, OutcomeUnknown)
        assert said.args == ("op", "given_up", ASK_AGAIN_UNDER_ID)
        assert last_word(error, "payments.refund", {**asked, "operation_id": "never accepted"}) is error
        assert last_word(error, "payments.get", {"payment_id": seeded.payment_id}) is error
        assert last_word(error, "payments.poll", {"operation_id": "op"}) is error

    def test_database_away(self, stage: Stage, seeded: SeededPayment) -> None:
        """A row that cannot be read may be there."""
        dead: Json = {"mongo_uri": f"mongodb://127.0.0.1:{free_port()}/nestcms", "server_selection_timeout_ms": 5}
        use_world(stage.another_world(**dead))
        said = last_word(
            AutoReconnect("gone"), "payments.refund", {"payment_id": seeded.payment_id, "operation_id": "op"}
        )
        assert isinstance(said, OutcomeUnknown)


def letter_of(asked: Json, task: str = "payments.refund") -> Letter:
    """Write a letter about a task that was lost."""
    text = json.dumps({"args": [], "kwargs": asked})
    return Letter("feedfeed", Kind.LOST_WORKERS, datetime.now(UTC), "WorkersLost", "3", task=task, arguments=text)


class TestLetters:
    """A letter is about work that nobody will do: one whose work is done is not kept, and does not stay open."""

    def test_closes_by_itself(self, stage: Stage, seeded: SeededPayment) -> None:
        """It waits while the refund is in doubt; once that is found out, it and its alert are over."""
        letter, letters = letter_of(in_doubt(stage, seeded)), DeadLetters(stage.database, clock=stage.clock)
        assert keep(stage.world, letters, letter)
        (alert,) = stage.database["alerts"].find({"name": "dead_letter"})
        assert task_letters_closed(stage.world, alert) is None
        stage.live(SETTLED_SECONDS)
        assert task_letters_closed(stage.world, alert) is not None
        (row,) = letters.rows.find()
        assert (row["status"], row["closed"]["reason"]) == ("closed", DONE_MEANWHILE)

    def test_not_kept(self, stage: Stage, seeded: SeededPayment) -> None:
        """One that arrives when its work is done is not kept, and nobody is alarmed."""
        stage.sandbox.pay(stage.open_page(seeded), PAID)
        stage.verify(seeded)
        letters = DeadLetters(stage.database, clock=stage.clock)
        letter = letter_of({"payment_id": seeded.payment_id}, "payments.create_page")
        assert not keep(stage.world, letters, letter)
        assert stage.database["dead_letters"].count_documents({}) == 0
        assert stage.database["alerts"].count_documents({"name": "dead_letter"}) == 0
