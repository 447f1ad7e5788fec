import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from pymongo.collection import Collection
from werkzeug.test import TestResponse

from config.connections import redis_client
from config.settings import Settings
from tests.integration.webhooks.test_returns import RETURN_1, SIGNATURE_1, form
from tests.support.asked_of_redis import asked_of_redis
from tests.support.notices import notice, sign
from tests.support.waiting import eventually
from workers.stack import EmbeddedValkey

PATH = "/webhooks/paytabs"
RETURN = "/payments/return"
BUDGET = 3
WINDOW_SECONDS = 600

#: What a wrong signature may take to be answered at most, whatever the counter's server does; a machine that is at rest
#: needs a third of it, and what waited for that server would wait for as long as it is frozen.
LONGEST_SECONDS = 3.0

#: How long a test may have taken itself before its first failure is counted.
SLACK_SECONDS = 120

Fail = Callable[..., TestResponse]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A small budget and a short window."""
    return settings.model_copy(
        update={"receiver_failure_budget": BUDGET, "receiver_failure_window_seconds": WINDOW_SECONDS}
    )


@pytest.fixture
def fail(app: Flask) -> Fail:
    """Post a notice with a wrong signature from an address."""

    def post(sender: str = "203.0.113.7", **headers: str) -> TestResponse:
        client, wrong = app.test_client(), {"Signature": "0" * 64}
        return client.post(PATH, data=notice(), headers={**wrong, **headers}, environ_base={"REMOTE_ADDR": sender})

    return post


def charges(store: str, result: str) -> float:
    """Read the counter of charges."""
    labels = {"store": store, "result": result}
    return REGISTRY.get_sample_value("nestcms_failure_budget_charges_total", labels) or 0.0


class TestFailures:
    """Wrong signatures spend their sender's budget."""

    def test_spent_and_restored(self, fail: Fail, settings: Settings) -> None:
        """403 while it lasts, then 429 that says when to come again; after the window it is whole again."""
        before = charges("shared", "within"), charges("shared", "spent")
        assert [fail().status_code for _ in range(BUDGET)] == [403] * BUDGET
        spent = fail()
        assert spent.status_code == 429
        assert 1 <= int(spent.headers["Retry-After"]) <= WINDOW_SECONDS
        assert spent.json == {"error": "signature missing or wrong too often"}
        assert (charges("shared", "within"), charges("shared", "spent")) == (before[0] + BUDGET, before[1] + 1)
        with redis_client(str(settings.cache_url)) as server:
            server.delete(*server.keys())  # as the server does when the window ends
        assert fail().status_code == 403

    def test_going_on_does_not_prolong_it(self, fail: Fail, settings: Settings) -> None:
        """The window ends when it was said to end, although the sender did not wait."""
        with redis_client(str(settings.cache_url)) as server:
            began = int(server.time()[0])
            assert fail().status_code == 403
            ends = {key: int(server.execute_command("EXPIRETIME", key)) for key in server.scan_iter()}
            assert all(began < end <= began + WINDOW_SECONDS + SLACK_SECONDS for end in ends.values())
            assert [fail().status_code for _ in range(2 * BUDGET)][-1] == 429
            assert {key: int(server.execute_command("EXPIRETIME", key)) for key in server.scan_iter()} == ends

    def test_missing_signature(self, receiver: FlaskClient) -> None:
        """None at all is a failed one."""
        statuses = [receiver.post(PATH, data=notice()).status_code for _ in range(BUDGET + 1)]
        assert statuses == [403] * BUDGET + [429]

    def test_each_sender_has_its_own(self, fail: Fail) -> None:
        """Another address has spent nothing."""
        assert [fail().status_code for _ in range(BUDGET + 1)][-1] == 429
        assert fail("203.0.113.8").status_code == 403

    def test_one_budget_for_both_routes(self, fail: Fail, receiver: FlaskClient) -> None:
        """A payer's return with a wrong signature is charged to the same budget, and answered with a page."""
        sender = {"REMOTE_ADDR": "203.0.113.7"}
        wrong = form(RETURN_1, "0" * 64)
        assert [fail().status_code for _ in range(BUDGET - 1)] == [403] * (BUDGET - 1)
        assert receiver.get(f"{RETURN}?{wrong}", environ_base=sender).status_code == 403
        answer = receiver.post(RETURN, data=wrong, environ_base=sender)
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert "cannot be used" in answer.get_data(as_text=True)
        assert fail().status_code == 429

    def test_at_once(self, fail: Fail) -> None:
        """Failures that arrive at one moment are each counted: not one more than the budget is a 403."""
        with ThreadPoolExecutor(12) as pool:
            statuses = list(pool.map(lambda _: fail().status_code, range(24)))
        assert sorted(statuses) == [403] * BUDGET + [429] * (24 - BUDGET)


class TestGenuine:
    """What is genuinely signed spends nothing, and passes whatever was spent."""

    def test_spends_nothing(self, fail: Fail, receiver: FlaskClient) -> None:
        """After many deliveries and returns the sender's whole budget is there."""
        sender = {"REMOTE_ADDR": "203.0.113.7"}
        for number in range(BUDGET * 2):
            body = notice(cart_id=f"C-{number}")
            assert receiver.post(PATH, data=body, headers=sign(body), environ_base=sender).status_code == 200
            assert receiver.get(f"{RETURN}?{form(RETURN_1, SIGNATURE_1)}", environ_base=sender).status_code == 303
        assert [fail().status_code for _ in range(BUDGET + 1)] == [403] * BUDGET + [429]

    def test_passes_a_spent_budget(self, fail: Fail, receiver: FlaskClient, rows: Collection[dict[str, Any]]) -> None:
        """A delivery and a return from an address whose budget is spent are taken: somebody else may have spent it."""
        sender, body = {"REMOTE_ADDR": "203.0.113.7"}, notice()
        assert [fail().status_code for _ in range(BUDGET + 1)][-1] == 429
        assert receiver.post(PATH, data=body, headers=sign(body), environ_base=sender).status_code == 200
        assert rows.count_documents({"status": "received"}) == 1
        assert receiver.post(RETURN, data=form(RETURN_1, SIGNATURE_1), environ_base=sender).status_code == 303
        assert fail().status_code == 429

    def test_other_faults_spend_nothing(self, fail: Fail, receiver: FlaskClient) -> None:
        """A signed body that cannot be read, a return without a reference and a wrong path are other faults."""
        sender = {"REMOTE_ADDR": "203.0.113.7"}
        for _ in range(BUDGET * 2):
            assert receiver.post(PATH, data=b"[]", headers=sign(b"[]"), environ_base=sender).status_code == 400
            assert receiver.get(RETURN, environ_base=sender).status_code == 400
            assert receiver.get("/elsewhere", environ_base=sender).status_code == 404
        assert fail().status_code == 403


class TestSender:
    """Who pays is who sent it, as far as that can be known."""

    @pytest.mark.parametrize(
        ("spender", "other", "same"),
        [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", True),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
            ("::ffff:203.0.113.7", "203.0.113.7", True),
            ("203.0.113.7", "203.0.113.6", False),
            ("", "not an address", True),
        ],
    )
    def test_same_budget(self, fail: Fail, spender: str, other: str, same: bool) -> None:
        """An IPv4 address in either form, or an IPv6 network of 64 bits, is one sender; so are all unknown ones."""
        assert [fail(spender).status_code for _ in range(BUDGET + 1)][-1] == 429
        assert fail(other).status_code == (429 if same else 403)

    def test_claimed_addresses(self, fail: Fail) -> None:
        """A new X-Forwarded-For with each request is no new budget."""
        said = [{"X-Forwarded-For": f"198.51.100.{number}"} for number in range(BUDGET + 1)]
        assert [fail(**headers).status_code for headers in said] == [403] * BUDGET + [429]


class TestCounterGone:
    """The counter's server is a convenience: without it each process counts for itself, at once."""

    @pytest.mark.parametrize("trouble", ["kill", "pause"])
    @pytest.mark.parametrize("known", [True, False], ids=["connected before", "never connected"])
    def test_counted_in_the_process(self, fail: Fail, valkey: EmbeddedValkey, trouble: str, known: bool) -> None:
        """With Valkey dead or frozen the budget still ends in 429 with Retry-After, each answer within a second."""
        if known:
            fail("203.0.113.99")
        getattr(valkey, trouble)()
        answers, took = [], []
        for _ in range(BUDGET + 1):
            began = time.monotonic()
            answers.append(fail())
            took.append(time.monotonic() - began)
        valkey.resume()
        assert [answer.status_code for answer in answers] == [403] * BUDGET + [429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= WINDOW_SECONDS
        assert max(took) < LONGEST_SECONDS

    @pytest.mark.parametrize("trouble", ["kill", "pause"])
    def test_many_at_once(self, fail: Fail, valkey: EmbeddedValkey, trouble: str) -> None:
        """Requests that lose it at once are all answered in time, each charged, none with an error of ours."""
        fail("203.0.113.99")
        before = charges("process", "within"), charges("nowhere", "within")
        getattr(valkey, trouble)()

        def timed(number: int) -> tuple[int, float]:
            began = time.monotonic()
            return fail(f"203.0.113.{number}").status_code, time.monotonic() - began

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(timed, range(24)))
        valkey.resume()
        assert {status for status, _ in answers} == {403}
        assert (charges("process", "within"), charges("nowhere", "within")) == (before[0] + 24, before[1])
        assert max(took for _, took in answers) < LONGEST_SECONDS

    def test_genuine_do_not_wait_for_it(
        self, fail: Fail, receiver: FlaskClient, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While it is frozen, neither a health check nor a delivery looks whether it is back."""
        body = notice()
        receiver.post(PATH, data=body, headers=sign(body))
        valkey.pause()
        fail()
        receiver.post(PATH, data=body, headers=sign(body))  # learns about the broker, which is the same server
        asked = asked_of_redis(monkeypatch)
        for _ in range(8):
            receiver.get("/healthz")
            receiver.post(PATH, data=body, headers=sign(body))
            time.sleep(0.2)
        valkey.resume()
        # The broker may be tried again meanwhile; the counter's server would be asked by these.
        assert {"PING", "EVALSHA", "EVAL", "GET", "INCRBY"}.isdisjoint(asked)

    def test_comes_back(self, fail: Fail, valkey: EmbeddedValkey) -> None:
        """Once it answers again, all processes count together again."""
        valkey.kill()
        fail()
        valkey.start()
        before = charges("shared", "within")

        def shared_again() -> bool:
            fail("203.0.113.99")
            return charges("shared", "within") > before

        eventually(shared_again, within_seconds=10, what="the shared counter")
