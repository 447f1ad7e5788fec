"""Both edges of each alert: what raises it, and, after the `yield`, what takes its cause away.

Each is raised by what raises it at work, or, where that takes a whole other system, as that would raise it. Taking the
cause away closes nothing by itself here: whoever should have done so is taken to have died.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import pytest
from bson import ObjectId, Timestamp
from pydantic import SecretStr

from aggregations import changes
from config.connections import redis_client
from config.fingerprints import KEY, fingerprint_of
from observability.alert_table import ALERTS
from observability.dead_letters import DeadLetters, Kind, Letter, letter_id
from payments.audit_entries import ACCEPT
from payments.cms_rows import gateway_mark
from payments.errors import NotYet
from payments.overriding import PageOverrides
from payments.reasons import Reason, ReasonCode
from payments.sealing import AUDIT_TRAIL
from paytabs.breaker_rules import BreakerRules
from tasks import maintenance, webhooks
from tasks.alert_tending import tell_of_indexes
from tasks.broker_clock import time_of
from tasks.dead_letters import keep
from tasks.wiring import ensure_indexes
from tests.integration.payments.stage import PAID, Stage
from tests.integration.payments.test_key_doubt import AGREED, WRONG_KEY
from tests.integration.payments.test_parked import break_gateway
from tests.integration.payments.trail import paid
from tests.support.cms import SeededPayment
from tests.support.notices import notice
from workers.cli_audit_entry import operator_action
from workers.clock_gate import Gate
from workers.clock_watch import ClockWatch

Edge = Callable[[Stage, SeededPayment, pytest.MonkeyPatch], Iterator[None]]

DAY: Final = 86_400

#: Closed by what looks at their cause anyway, and tested there: the file below tests/, and the test.
ELSEWHERE: Final = {
    "schedule_overdue": ("integration/schedule/test_standings.py", "test_minutely"),
    "watcher_behind": ("integration/views/test_tasks.py", "test_nobody_watches"),
    "view_stuck": ("integration/views/test_tasks.py", "test_stuck"),
    "view_drift": ("integration/views/test_rebuild.py", "test_damage"),
    "views_collection_changed": ("integration/views/test_tasks.py", "test_cured"),
    "change_unreadable": ("integration/views/test_tasks.py", "test_cured"),
    "gateway_refusal_unexplained": ("integration/payments/test_refusals.py", "test_alert_closes"),
    "card_key_missing": ("integration/payments/test_stored_cards.py", "test_page_of_before"),
    "ledger_behind": ("integration/payments/test_restore.py", "test_by_redis"),
    "server_memory": ("integration/tasks/test_server_memory.py", "test_alert"),
    "callback_left_out": ("integration/payments/test_sent_details.py", "test_ours"),
}


def quiet(stage: Stage, name: str) -> None:
    """Let the time pass after which an alert closes without another occurrence."""
    after = ALERTS[name].quiet
    assert after is not None
    # What looks by the servers' clocks has seen it a little later than the stage's clock stands at.
    stage.clock.advance(after.total_seconds() + 60)


def reopened(stage: Stage, name: str) -> None:
    """Have an alert be open as if who closed it had died before."""
    stage.database["alerts"].update_one({"name": name}, {"$set": {"closed_at": None}})


def payment_review(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A case, which is settled."""
    stage.notice(stage.paid(seeded), cart_amount="1.00", tran_total="1.00")
    yield
    stage.world.review.settle(seeded.payment_id, Reason(ReasonCode.NOTICE_AMOUNT), "a test", stage.context())
    reopened(stage, "payment_review")


def page_left_open(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A page beside money, which is set aside."""
    overrides = PageOverrides(stage.world.store, stage.world.ledger, stage.world.service)
    first = stage.open_page(seeded)
    overrides.override(seeded.payment_id, "a test", stage.context())
    stage.clock.advance(1)
    stage.open_page(seeded)
    stage.sandbox.pay(first, PAID)
    stage.notice(first)
    yield
    overrides.override(seeded.payment_id, "a test", stage.context())
    reopened(stage, "page_left_open")


def projection_missing(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A document that is away, and comes back."""
    tran_ref = stage.open_page(seeded)
    kept = stage.cms(seeded)
    stage.database["payments"].delete_one({"_id": seeded.payment})
    stage.sandbox.pay(tran_ref, PAID)
    stage.notice(tran_ref)
    yield
    stage.database["payments"].insert_one(kept)
    stage.verify(seeded)


def projection_newer(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A document that names events which there are not, for all we have written."""
    tran_ref = stage.open_page(seeded)
    stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"gateway.version": 1_000}})
    gateway = gateway_mark(stage.cms(seeded)["gateway"])
    ahead = {"$set": {"version": 1_000, "gateway": gateway}}
    stage.database["cms_written"].update_one({"_id": seeded.payment}, ahead)
    stage.sandbox.pay(tran_ref, PAID)
    stage.notice(tran_ref)
    yield
    quiet(stage, "projection_newer")


def cms_changed_gateway(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A `gateway` that the CMS has written over, once."""
    stage.open_page(seeded)
    stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"gateway.state": "PAID"}})
    stage.world.documents.look(seeded.payment_id, stage.context())
    yield
    quiet(stage, "cms_changed_gateway")


def cms_document_fails(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A payment that cannot be read, and then can."""
    stage.open_page(seeded)
    stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": {"status": "paid"}})
    first, events = {"payment_id": seeded.payment, "version": 1}, stage.database["payment_events"]
    events.update_one(first, {"$set": {"type": "PaymentImagined"}})
    stage.world.store._remembered._known.clear()
    stage.world.documents._parts.marks.note([seeded.payment], [], stage.clock.now)
    stage.world.documents.step(stage.context())
    yield
    events.update_one(first, {"$set": {"type": "PaymentCreated"}})
    stage.clock.advance(61)
    stage.world.documents.step(stage.context())


def operation_given_up(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A page that cannot be sent any more, whose letter is closed."""
    nobody = stage.another_world(paytabs_base_url="http://127.0.0.1:9")
    with pytest.raises(NotYet):
        stage.create(seeded, nobody)
    stage.database["payment_operations"].update_one({}, {"$set": {"params.language": "xx"}})
    stage.live(20)
    yield
    close_letters(stage)


def operation_unanswered(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A refund that PayTabs answers no query about, and then does."""
    stage.paid(seeded)
    stage.sandbox.fault("/payment/request", "cut_after_accept")
    with pytest.raises(NotYet):
        stage.follow_up(seeded, "refund", "40.00", operation_id="op-1")
    stage.sandbox.fault("/payment/query", "code", times=0, code=777, http_status=400)
    stage.live(DAY + 4 * 3600)
    yield
    stage.sandbox.clear_faults()
    stage.live(DAY)


def gateway_configuration(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A wrong key, which is corrected; the process that had it never calls again."""
    with suppress(NotYet):
        stage.create(seeded, stage.another_world(breaker=AGREED, paytabs_serverk=WRONG_KEY))
    yield
    quiet(stage, "gateway_configuration")


def gateway_not_called(stage: Stage, _: SeededPayment, __: pytest.MonkeyPatch) -> Iterator[None]:
    """A breaker that opened; the cache that it was in is emptied, so that nobody ever closes it."""
    break_gateway(stage.another_world(breaker=BreakerRules()))
    yield
    redis_client(str(stage.settings.cache_url)).flushdb()


def unknown_payment(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A notice of another shop's transaction."""
    stage.notice(stage.open_page(seeded), as_tran_ref="TST0000000000001", cart_id="nobodys")
    yield
    quiet(stage, "unknown_payment")


def delivery_fails(stage: Stage, _: SeededPayment, patched: pytest.MonkeyPatch) -> Iterator[None]:
    """A delivery over which a worker fails, applied at last by one that closes nothing."""
    recorded = stage.world.inbox.record(notice(tran_ref="TSTNOBODYS"), {}, correlation_id="delivery-1")

    def broken(*_: object, **__: object) -> None:
        raise KeyError("a mistake of ours")

    with patched.context() as patch:
        patch.setattr(type(stage.world.notices), "apply", broken)
        delivery = stage.world.inbox.claim(recorded.delivery_id, "a worker")
        assert delivery is not None
        with pytest.raises(KeyError):
            webhooks.apply(stage.world, delivery, stage.context())
    yield
    stage.clock.advance(DAY)
    delivery = stage.world.inbox.claim(recorded.delivery_id, "another worker")
    assert delivery is not None
    stage.world.inbox.finish(delivery, {"result": "applied"})


def dead_letter(stage: Stage, _: SeededPayment, __: pytest.MonkeyPatch) -> Iterator[None]:
    """A task that was given up, whose letter a person closes."""
    keep(stage.world, letters(stage), letter(stage, "payments.poll", "op-1"))
    yield
    close_letters(stage)


def reaction_given_up(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A reaction that nobody takes, done once more on purpose."""
    stage.paid(seeded)
    nobody: dict[str, Any] = {
        "cms_webhook_url": "http://127.0.0.1:9/cms",
        "cms_webhook_secret": SecretStr("whsec_" + "a" * 32),
    }
    world, wanted = stage.another_world(**nobody), {"handler": "notify_cms"}
    row = stage.database["event_deliveries"].find_one(wanted)
    assert row is not None
    for _attempt in range(500):
        if world.reactor.handle(row["event_id"], "notify_cms")["result"] == "given_up":
            break
        stage.clock.advance(3600)
    yield
    world.outbox.rows.update_many(wanted, {"$set": {"status": "done", "done_at": stage.clock.now}})


def seals_differ(stage: Stage, seeded: SeededPayment, patched: pytest.MonkeyPatch) -> Iterator[None]:
    """A seal that somebody has changed, until a person has looked into it."""
    paid(stage, seeded)
    stage.clock.advance(200)
    stage.world.sealer.seal(60)
    stage.database["audit_seals"].update_one({}, {"$set": {"count": 99}})
    patched.setattr("tasks.base.world", lambda: stage.world)
    maintenance.seal_events()
    yield
    assert stage.world.alerts.close("seals_differ", "audit_seals", by="omar", why="restored on purpose")


def late_event(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """An event that came late, which a person accepts."""
    paid(stage, seeded)
    last = stage.database["payment_events"].find_one_and_delete({}, sort=[("version", -1)])
    assert last is not None
    stage.clock.advance(100)
    stage.world.sealer.seal(60)
    stage.database["payment_events"].insert_one(last)
    stage.clock.advance(30)
    (seal,) = stage.world.sealer.seal(60)
    assert stage.world.alerts.open_keys("late_event") == [AUDIT_TRAIL]
    yield
    given = {"mark": seal.late[0], "payment_id": seeded.payment_id}
    with operator_action(stage.database, command=ACCEPT, by="omar", reason="a slow disk", arguments=given):
        pass


def seal_not_written(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """A file that cannot be written for a while."""
    assert stage.settings.seal_file is not None
    folder = stage.settings.seal_file.parent
    folder.write_text("in the way")
    paid(stage, seeded)
    stage.clock.advance(200)
    stage.world.sealer.seal(60)
    yield
    folder.unlink()
    quiet(stage, "seal_not_written")


def seal_not_posted(stage: Stage, seeded: SeededPayment, _: pytest.MonkeyPatch) -> Iterator[None]:
    """An address that nobody listens at for a while."""
    paid(stage, seeded)
    stage.clock.advance(200)
    stage.another_world(audit_seal_url="http://127.0.0.1:9/seals").sealer.seal(60)
    yield
    quiet(stage, "seal_not_posted")


def view_group_unreadable(stage: Stage, _: SeededPayment, __: pytest.MonkeyPatch) -> Iterator[None]:
    """A group that could not be read, whose mark is cleared by a worker of before, which closes another key."""
    marks, view = stage.world.views.marks, "mv_receivables"
    marks.change([(view, "2026-01-01", Timestamp(1, 1))])
    (mark,) = marks.pending(view, 1)
    marks.hold(mark, told=True)
    stage.world.alerts.raise_alert("view_group_unreadable", view, "code 16", subject="2026-01-01")
    yield
    marks.clear(marks.pending(view, 1))


def view_list_cut(stage: Stage, seeded: SeededPayment, patched: pytest.MonkeyPatch) -> Iterator[None]:
    """A contract that lists too many payments, shortened."""
    patched.setattr(changes, "MOST_LISTED", 2)
    contracts, one = stage.database["contracts"], {"_id": seeded.contract}
    contracts.update_one(one, {"$set": {"paymentsIds": [ObjectId() for _ in range(3)]}})
    stage.world.alerts.raise_alert("view_list_cut", "contracts", "too many", subject=str(seeded.contract))
    yield
    contracts.update_one(one, {"$set": {"paymentsIds": [ObjectId()]}})


def views_history_lost(stage: Stage, _: SeededPayment, __: pytest.MonkeyPatch) -> Iterator[None]:
    """An oplog that was too small once."""
    stage.world.alerts.raise_alert("views_history_lost", "watcher", "ChangeStreamHistoryLost")
    yield
    quiet(stage, "views_history_lost")


def letters(stage: Stage) -> DeadLetters:
    """Return the letters."""
    return DeadLetters(stage.database, clock=stage.clock)


def letter(stage: Stage, task: str | None, about: str, kind: Kind = Kind.FAILED) -> Letter:
    """Return a letter about a run of a task."""
    return Letter(
        letter_id=letter_id(str(task), about), kind=kind, at=stage.clock.now, error="KeyError", text="a mistake",
        task=task, task_id="run-1", queue="reconcile",
    )  # fmt: skip


def close_letters(stage: Stage) -> None:
    """Close every letter that waits, as a person does."""
    kept = letters(stage)
    for row in kept.newest():
        assert kept.close(row, by="omar", reason="seen")


#: Both edges of each alert that this folder tests.
def clock_off(stage: Stage, _: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is off, and that is gone for good."""
    true = time.time
    monkeypatch.setattr("workers.clock_watch.time.time", lambda: true() + 40)
    ClockWatch(stage.settings, gate=Gate(), machine="a-machine").look()
    monkeypatch.undo()
    yield
    quiet(stage, "clock_off")


def clocks_disagree(stage: Stage, _: SeededPayment, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Servers whose clocks are apart, and at which nobody looks any more."""
    monkeypatch.setattr("workers.clock_watch.time_of", lambda client: time_of(client) + 40)
    ClockWatch(stage.settings, gate=Gate(), machine="a-machine").look()
    monkeypatch.undo()
    yield
    quiet(stage, "clocks_disagree")


def own_index_missing(stage: Stage, _: SeededPayment, __: pytest.MonkeyPatch) -> Iterator[None]:
    """An index that is dropped, and made again by a process that starts."""
    stage.database["payment_operations"].drop_index("one_open")
    tell_of_indexes(stage.world)
    yield
    ensure_indexes(stage.world)


def foreign_server(stage: Stage, _: SeededPayment, __: pytest.MonkeyPatch) -> Iterator[None]:
    """A broker of another system, that is handed over."""
    own = fingerprint_of(stage.database, stage.settings.paytabs_profile)
    with redis_client(str(stage.settings.redis_url)) as broker:
        broker.set(KEY, replace(own, database="another").to_json())
        stage.world.alerts.raise_alert("foreign_server", "broker", "it is another's")
        yield
        broker.set(KEY, own.to_json())


def database_refuses(stage: Stage, _: SeededPayment, __: pytest.MonkeyPatch) -> Iterator[None]:
    """A right that is missing, and a while without another refusal."""
    stage.world.alerts.raise_alert("database_refuses", "rights", "a right is missing")
    yield
    quiet(stage, "database_refuses")


EDGES: Final[dict[str, Edge]] = {
    edge.__name__: edge
    for edge in (
        payment_review, page_left_open, projection_missing, projection_newer, cms_changed_gateway, cms_document_fails,
        operation_given_up, operation_unanswered, gateway_configuration, gateway_not_called, unknown_payment,
        delivery_fails, dead_letter, reaction_given_up, seals_differ, late_event, seal_not_written, seal_not_posted,
        view_group_unreadable, view_list_cut, views_history_lost, clock_off, clocks_disagree, own_index_missing,
        foreign_server, database_refuses,
    )
}  # fmt: skip
