"""How alerts are counted, listed, closed and forgotten, and what becomes of those that versions before have left."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
import redis

from config.connections import redis_client
from observability.alerts import CLOSED_FOR, LATEST
from observability.dead_letters import Kind
from payments.audit_entries import ACCEPT
from payments.overriding import PageOverrides
from paytabs.breaker_rules import BreakerRules
from paytabs.responses import parse_notification
from tasks import gateway, maintenance
from tasks.alert_tending import tell_of_the_breaker, tend
from tasks.dead_letters import keep
from tasks.wiring import World
from tests.integration.payments.alert_edges import close_letters, letter, letters
from tests.integration.payments.stage import PAID, Stage
from tests.integration.payments.test_parked import break_gateway
from tests.support.cms import SeededPayment, seed_payment
from tests.support.notices import notice
from tests.support.waiting import eventually
from workers.cli_audit_entry import operator_action

Row = dict[str, Any]


def rows(stage: Stage, **wanted: Any) -> list[Row]:
    """List alerts, the oldest first."""
    return list(stage.database["alerts"].find(wanted).sort("opened_at", 1))


def alert(stage: Stage, name: str) -> Row:
    """Return the only alert of a name."""
    (row,) = rows(stage, name=name)
    return row


class TestFlood:
    """However much occurs, the alerts stay few and nothing of the count is lost."""

    def test_another_shop(self, stage: Stage) -> None:
        """A thousand transactions of another shop on the profile are one alert, which lists the last twenty."""
        for number in range(1_000):
            told = parse_notification(notice(tran_ref=f"TST{number:013d}", cart_id=f"theirs-{number}"))
            assert stage.world.notices.apply(told, f"d{number}", None, stage.context()).result == "unknown_payment"
        (row,) = rows(stage)
        assert (row["_id"], row["count"], row["more"]) == ("unknown_payment:our_profile", 1_000, True)
        newest = [f"TST{number:013d}" for number in range(999, 999 - LATEST, -1)]
        assert [one["about"] for one in row["latest"]] == newest
        assert all(one["about"] in one["detail"] for one in row["latest"])

    def test_whose(self, stage: Stage) -> None:
        """Another profile's, and a payment of the CMS that cannot be taken over, are not lost among them."""
        for number in range(50):
            told = parse_notification(notice(tran_ref=f"TST{number:013d}", profile_id=1_000 + number))
            stage.world.notices.apply(told, "d", None, stage.context())
        seeded = seed_payment(stage.database)
        changed = {"transR": "TST2621800000101", "amount": "a lot"}
        stage.database["payments"].update_one({"_id": seeded.payment}, {"$set": changed})
        for _ in range(2):
            stage.world.notices.apply(parse_notification(notice()), "d", None, stage.context())
        counted = {row["key"]: (row["count"], len(row["latest"])) for row in rows(stage, name="unknown_payment")}
        assert counted == {"another_profile": (50, LATEST), "not_taken_over": (2, 1)}

    def test_at_once(self, stage: Stage) -> None:
        """Raised by many at once, also at its beginning, each is counted once."""
        raise_alert = stage.world.alerts.raise_alert
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: raise_alert("dead_letter", "payments.get", "x", subject=str(n)), range(200)))
        row = alert(stage, "dead_letter")
        assert (row["count"], len(row["latest"]), row["more"]) == (200, LATEST, True)

    def test_within_transactions(self, stage: Stage) -> None:
        """Payments whose documents are gone are told of in their own transactions, many at once, and in one alert."""
        seeded = [seed_payment(stage.database) for _ in range(12)]
        pages = [stage.open_page(one) for one in seeded]
        stage.database["payments"].delete_many({})
        for tran_ref in pages:
            stage.sandbox.pay(tran_ref, PAID)
        with ThreadPoolExecutor(6) as pool:
            assert {one.result for one in pool.map(stage.notice, pages)} == {"applied"}
        row = alert(stage, "projection_missing")
        assert row["count"] == 12
        assert {one["about"] for one in row["latest"]} == {one.payment_id for one in seeded}

    def test_same_again(self, stage: Stage) -> None:
        """The same subject is listed once, with its last sentence; another task's letters are another alert."""
        for about in ("a", "b", "a"):
            keep(stage.world, letters(stage), letter(stage, "payments.poll", about))
            stage.clock.advance(1)
        keep(stage.world, letters(stage), letter(stage, "events.handle", "c"))
        polls, handled = rows(stage, name="dead_letter")
        assert (polls["key"], polls["count"]) == ("payments.poll", 3)
        assert (handled["key"], handled["count"]) == ("events.handle", 1)
        assert [one["about"] for one in polls["latest"]] == [
            letter(stage, "payments.poll", about).letter_id for about in ("a", "b")
        ]

    def test_names_of_others(self, stage: Stage) -> None:
        """Whatever stands in a message as its task, there is one alert for all that are none of ours."""
        for number in range(100):
            keep(stage.world, letters(stage), letter(stage, f"made.up.{number}", "x", Kind.UNKNOWN_TASK))
        keep(stage.world, letters(stage), letter(stage, None, "y", Kind.MALFORMED))
        assert (alert(stage, "dead_letter")["key"], alert(stage, "dead_letter")["count"]) == ("other", 101)

    def test_tick_of_tomorrow(self, stage: Stage) -> None:
        """A tick that a worker of the version before has refused is no letter: its next one is taken by this one."""
        assert not keep(stage.world, letters(stage), letter(stage, "maintenance.tend_alerts", "x", Kind.UNKNOWN_TASK))
        assert (rows(stage), letters(stage).newest()) == ([], [])

    def test_words(self, stage: Stage) -> None:
        """Names of members, dollar signs and long sentences are taken as what they are."""
        stage.world.alerts.raise_alert("dead_letter", "payments.get", "$count" + "x" * 5_000, subject="$$ROOT")
        row = alert(stage, "dead_letter")
        assert (row["detail"][:7], len(row["detail"]), row["latest"][0]["about"]) == ("$countx", 1_000, "$$ROOT")


class TestClosing:
    """What closes an alert, and what must not."""

    def test_raised_meanwhile(self, stage: Stage) -> None:
        """An alert that is raised while its cause is looked at stays open."""
        alerts = stage.world.alerts
        alerts.raise_alert("seal_not_posted", "AUDIT_SEAL_URL", "503")
        (row,) = alerts.open_rows("seal_not_posted", 10)
        alerts.raise_alert("seal_not_posted", "AUDIT_SEAL_URL", "503")
        assert not alerts.resolve_seen(row, "too late")
        assert alerts.open_keys("seal_not_posted") == ["AUDIT_SEAL_URL"]

    def test_again(self, stage: Stage) -> None:
        """Raised after it was closed it is open and counted anew, and lists nothing of before."""
        alerts = stage.world.alerts
        for about in range(30):
            alerts.raise_alert("unknown_payment", "our_profile", "x", subject=str(about))
        assert alerts.close("unknown_payment", "our_profile", by="omar", why="moved")
        stage.clock.advance(60)
        alerts.raise_alert("unknown_payment", "our_profile", "y", subject="new")
        row = alert(stage, "unknown_payment")
        assert (row["count"], [one["about"] for one in row["latest"]], row["more"]) == (1, ["new"], False)
        assert (row["closed_at"], row["closed_by"], row["opened_at"]) == (None, None, row["last_seen_at"])

    def test_more_than_listed(self, stage: Stage) -> None:
        """An alert that has counted more than it lists is not closed with the last one that it lists."""
        alerts = stage.world.alerts
        for about in range(LATEST + 1):
            alerts.raise_alert("late_event", "audit_trail", "x", subject=str(about))
        for about in range(LATEST + 1):
            alerts.drop("late_event", "audit_trail", str(about), why="accepted")
        assert alerts.open_keys("late_event") == ["audit_trail"]
        assert alert(stage, "late_event")["latest"] == []

    @pytest.mark.parametrize(
        ("command", "event", "failure", "left"),
        [
            (ACCEPT, "3", None, []),
            (ACCEPT, "33", None, ["audit_trail"]),
            ("payment explain", "3", None, ["audit_trail"]),
            (ACCEPT, "3", KeyboardInterrupt, ["audit_trail"]),
        ],
    )
    def test_accepted(
        self, stage: Stage, command: str, event: str, failure: type[BaseException] | None, left: list[str]
    ) -> None:
        """A late event is dealt with by its own acceptance, and by no other act, of another or one that failed."""
        payment_id = "65f0c0ffee65f0c0ffee65f0"
        stage.world.alerts.raise_alert("late_event", "audit_trail", "late", subject=f"{payment_id}-3")
        given = {"mark": f"{payment_id}-{event} {'a' * 64}", "payment_id": payment_id}
        with (
            pytest.raises(failure) if failure else nullcontext(),
            operator_action(stage.database, command=command, by="omar", reason="seen", arguments=given),
        ):
            if failure:
                raise failure
        tend(stage.world)
        assert stage.world.alerts.open_keys("late_event") == left

    def test_one_fails(self, stage: Stage) -> None:
        """One alert that cannot be looked at keeps no other open."""
        alerts = stage.world.alerts
        alerts.raise_alert("page_left_open", "no payment's id", "x")
        alerts.raise_alert("seal_not_posted", "AUDIT_SEAL_URL", "503")
        stage.clock.advance(3_600)
        tend(stage.world)
        assert [row["name"] for row in rows(stage, closed_at=None)] == ["page_left_open"]

    def test_page(self, stage: Stage, seeded: SeededPayment) -> None:
        """The alert about a page beside money closes in the transaction in which the page ends."""
        first = stage.open_page(seeded)
        overrides = PageOverrides(stage.world.store, stage.world.ledger, stage.world.service)
        overrides.override(seeded.payment_id, "a test", stage.context())
        stage.clock.advance(1)
        second = stage.open_page(seeded)
        stage.sandbox.pay(first, PAID)
        stage.notice(first)
        assert stage.world.alerts.open_keys("page_left_open") == [seeded.payment_id]
        stage.sandbox.dashboard(second, "expire")
        stage.verify(seeded)
        assert stage.world.alerts.open_keys("page_left_open") == []

    def test_done_meanwhile(self, stage: Stage) -> None:
        """A letter whose delivery was applied after all is closed too: nobody looks at it in vain."""
        recorded = stage.world.inbox.record(notice(), {}, correlation_id="c")
        failed = letter(stage, "webhooks.process", recorded.delivery_id)
        given = f'{{"args": [], "kwargs": {{"delivery_id": "{recorded.delivery_id}"}}}}'
        keep(stage.world, letters(stage), type(failed)(**{**vars(failed), "arguments": given}))
        tend(stage.world)
        assert stage.world.alerts.open_keys("dead_letter") == ["webhooks.process"]
        delivery = stage.world.inbox.claim(recorded.delivery_id, "w")
        assert delivery is not None
        stage.world.inbox.finish(delivery, {"result": "applied"})
        tend(stage.world)
        (row,) = letters(stage).rows.find()
        assert (row["status"], row["closed"]["by"]) == ("closed", "the system")
        assert stage.world.alerts.open_keys("dead_letter") == []

    def test_one_task_of_two(self, stage: Stage) -> None:
        """The letters of one task keep no other task's alert open, and one that waits keeps its own open."""
        for about in ("a", "b"):
            keep(stage.world, letters(stage), letter(stage, "payments.poll", about))
        first = letters(stage).newest()[0]
        close_letters(stage)
        keep(stage.world, letters(stage), letter(stage, "webhooks.process", "c"))
        letters(stage).rows.update_one({"_id": first["_id"]}, {"$set": {"status": "waiting"}})
        tend(stage.world)
        assert sorted(stage.world.alerts.open_keys("dead_letter")) == ["payments.poll", "webhooks.process"]
        letters(stage).rows.update_one({"_id": first["_id"]}, {"$set": {"status": "replayed"}})
        tend(stage.world)
        assert stage.world.alerts.open_keys("dead_letter") == ["webhooks.process"]


class TestBreaker:
    """`gateway_not_called` follows the breaker, whoever moves it."""

    @pytest.fixture
    def brief(self, stage: Stage) -> World:
        """A world whose breaker opens for a moment."""
        return stage.another_world(breaker=BreakerRules(open_seconds=0.2, probes_to_close=1, jitter_seconds=0))

    def test_closed_by_another(self, stage: Stage, brief: World) -> None:
        """A process that closes the breaker closes the alert that another one raised."""
        break_gateway(brief)
        assert stage.world.alerts.open_keys(gateway.ALERT) == [brief.gateway.gate.breaker.name]
        other = stage.another_world(breaker=brief.gateway.gate.breaker.rules)
        eventually(lambda: other.gateway.gate.breaker.state() == "half-open", what="the end of the open time")
        with other.gateway.gate.passage("query") as permit:
            permit.record(ok=True)
        assert stage.world.alerts.open_keys(gateway.ALERT) == []
        assert alert(stage, gateway.ALERT)["closed_why"] == gateway.CLOSED

    def test_closer_died(self, stage: Stage, brief: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that died before it could say so is made up for by the next look."""
        break_gateway(brief)
        eventually(lambda: brief.gateway.gate.breaker.state() == "half-open", what="the end of the open time")
        with monkeypatch.context() as patch:
            patch.setattr(gateway.TellOperators, "state_change", lambda *_: None)
            with brief.gateway.gate.passage("query") as permit:
                permit.record(ok=True)
        assert stage.world.alerts.open_keys(gateway.ALERT)
        tend(brief)
        assert stage.world.alerts.open_keys(gateway.ALERT) == []

    def test_opener_died(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """So is one that opened the breaker and died before it could raise the alert; told once, it is not again."""
        world = stage.another_world(breaker=BreakerRules())
        tell_of_the_breaker(world)
        assert rows(stage) == []
        with monkeypatch.context() as patch:
            patch.setattr(gateway.TellOperators, "state_change", lambda *_: None)
            break_gateway(world)
        assert rows(stage) == []
        for _ in range(2):
            tell_of_the_breaker(world)
            tend(world)
        assert (alert(stage, gateway.ALERT)["count"], alert(stage, gateway.ALERT)["closed_at"]) == (1, None)

    def test_opens_again(self, stage: Stage, brief: World) -> None:
        """A probe that fails opens it once more: it is seen again, and counted."""
        break_gateway(brief)
        eventually(lambda: brief.gateway.gate.breaker.state() == "half-open", what="the end of the open time")
        with brief.gateway.gate.passage("query") as permit:
            permit.record(ok=False)
        assert alert(stage, gateway.ALERT)["count"] == 2

    def test_cache_away(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """While the cache does not answer nobody knows how the others' breaker stands: the alert stays."""
        world = stage.another_world(breaker=BreakerRules())
        break_gateway(world)
        with monkeypatch.context() as patch:

            def away(*_: Any, **__: Any) -> Any:
                raise redis.exceptions.ConnectionError

            patch.setattr(redis.Redis, "eval", away)
            tend(world)
            assert stage.world.alerts.open_keys(gateway.ALERT)
            tell_of_the_breaker(world)
        redis_client(str(stage.settings.cache_url)).flushdb()
        eventually(lambda: world.gateway.gate.breaker.snapshot().shared, what="the cache")
        tend(world)
        assert stage.world.alerts.open_keys(gateway.ALERT) == []

    def test_other_key(self, stage: Stage) -> None:
        """That of a key that was replaced closes once nobody has used it for an hour."""
        stage.world.alerts.raise_alert(gateway.ALERT, "1-0ldke7aa", gateway.told("open"))
        stage.clock.advance(3_599)
        tend(stage.world)
        assert stage.world.alerts.open_keys(gateway.ALERT)
        stage.clock.advance(1)
        tend(stage.world)
        assert stage.world.alerts.open_keys(gateway.ALERT) == []


class TestOfBefore:
    """What versions before have left open under other keys is counted under this one's, without a step by hand."""

    def old(self, stage: Stage, name: str, key: str, detail: str = "words", count: int = 1) -> None:
        """Write an alert as the version before did."""
        now = stage.clock.now
        stage.database["alerts"].insert_one(
            {
                "_id": f"{name}:{key}", "name": name, "key": key, "opened_at": now, "last_seen_at": now,
                "closed_at": None, "count": count, "detail": detail,
            }
        )  # fmt: skip
        stage.clock.advance(1)

    def test_moved(self, stage: Stage) -> None:
        """Thirteen alerts of as many transactions are one, counted and listed, open since the first."""
        began = stage.clock.now
        for number in range(13):
            self.old(stage, "unknown_payment", f"TST{number:02d}", f"sentence {number}", count=2)
        assert tend(stage.world)["moved"] == 13
        (row,) = rows(stage, closed_at=None)
        assert (row["_id"], row["count"], row["opened_at"]) == ("unknown_payment:our_profile", 26, began)
        assert [one["about"] for one in row["latest"]] == [f"TST{number:02d}" for number in reversed(range(13))]
        assert (row["detail"], row["latest"][-1]["detail"]) == ("sentence 12", "sentence 0")
        assert tend(stage.world) == {"closed": 0, "moved": 0}
        stage.world.notices.apply(parse_notification(notice(tran_ref="TSTNEW")), "d", None, stage.context())
        assert (alert_open(stage)["count"], alert_open(stage)["latest"][0]["about"]) == (27, "TSTNEW")

    def test_each_name(self, stage: Stage, seeded: SeededPayment) -> None:
        """So are those of every name whose key has changed; those with no cause any more close at once."""
        stage.open_page(seeded)
        operation, group = stage.row(seeded).operation_id, "65f0c0ffee65f0c0ffee65f0"
        keys = {
            "operation_given_up": operation, "operation_unanswered": "gone", "delivery_fails": "a" * 64,
            "late_event": f"{group}-3", "seal_not_written": "/var/seals.jsonl", "view_list_cut": f"contracts:{group}",
            "view_group_unreadable": f"mv_receivables:{group}", "projection_missing": group,
        }  # fmt: skip
        for name, key in keys.items():
            self.old(stage, name, key, "KeyError while it was applied")
        assert tend(stage.world)["moved"] == len(keys)
        moved = {row["name"]: (row["key"], row["latest"][0]["about"]) for row in rows(stage, closed_at=None)}
        assert moved == {
            "operation_given_up": ("create_page", operation), "operation_unanswered": ("unknown", "gone"),
            "delivery_fails": ("KeyError", "a" * 64), "late_event": ("audit_trail", f"{group}-3"),
            "seal_not_written": ("AUDIT_SEAL_FILE", "/var/seals.jsonl"), "view_list_cut": ("contracts", group),
            "view_group_unreadable": ("mv_receivables", group), "projection_missing": ("payments", group),
        }  # fmt: skip
        tend(stage.world)
        left = {row["name"] for row in rows(stage, closed_at=None)}
        assert left == {"late_event", "seal_not_written"}
        stage.clock.advance(7 * 86_400)
        tend(stage.world)
        assert [row["name"] for row in rows(stage, closed_at=None)] == ["late_event"]

    def test_of_tomorrow(self, stage: Stage) -> None:
        """An alert that the table does not have is a later version's: it is left to that."""
        self.old(stage, "brand_new", "x")
        stage.clock.advance(365 * 86_400)
        tend(stage.world)
        assert len(rows(stage, name="brand_new", closed_at=None)) == 1

    def test_changed_meanwhile(self, stage: Stage) -> None:
        """One that the version before raises at this moment is counted by the next look, with that."""
        self.old(stage, "unknown_payment", "TST01")
        (row,) = stage.world.alerts.open_rows("unknown_payment", 10)
        stage.database["alerts"].update_one({}, {"$inc": {"count": 1}})
        assert not stage.world.alerts.absorb(row, "our_profile", "TST01")
        assert len(rows(stage)) == 1
        tend(stage.world)
        assert alert_open(stage)["count"] == 2


def alert_open(stage: Stage) -> Row:
    """Return the only alert that is open."""
    (row,) = rows(stage, closed_at=None)
    return row


class TestForgotten:
    """Closed alerts do not pile up."""

    def test_by_age(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those that were closed 90 days ago go, later ones and those that are open stay, however old."""
        alerts = stage.world.alerts
        for key in ("old", "open", "new"):
            alerts.raise_alert("view_stuck", key, "words")
        alerts.resolve("view_stuck", "old")
        stage.clock.advance(1)
        alerts.resolve("view_stuck", "new")
        stage.clock.advance(CLOSED_FOR.total_seconds() - 1)
        monkeypatch.setattr("tasks.base.world", lambda: stage.world)
        assert maintenance.tend_alerts()["forgotten"] == 1
        assert {row["key"] for row in rows(stage)} == {"new", "open"}

    def test_by_index(self, stage: Stage) -> None:
        """They are found by an index."""
        old = {"closed_at": {"$type": "date", "$lte": stage.clock.now}}
        stage.world.alerts.ensure_indexes()
        plan = str(stage.database["alerts"].find(old).explain()["queryPlanner"]["winningPlan"])
        assert "'indexName': 'closed'" in plan
