import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import REGISTRY
from pymongo.collection import Collection

from tests.support.asked_of_redis import asked_of_redis
from tests.support.broker import Broker
from tests.support.notices import PREVIOUS_KEY, notice, sign
from webhooks.body import MAX_BODY_BYTES
from workers.publishing import PAUSE_SECONDS
from workers.stack import EmbeddedValkey

PATH = "/webhooks/paytabs"

#: What waits for a server that is away waits for ten seconds and more; without a wait it is a fraction of one.
NO_WAIT_SECONDS = 5.0

Rows = Collection[dict[str, Any]]


def counted(name: str, **labels: str) -> float:
    """Read a counter."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


class TestGenuineNotice:
    """A signed notice is stored, handed over and acknowledged."""

    def test_recorded_and_handed_over(self, receiver: FlaskClient, rows: Rows, broker: Broker) -> None:
        """The raw body is in the inbox and its id on the queue, under one correlation id, when 200 is answered."""
        body = notice()
        answer = receiver.post(PATH, data=body, headers=sign(body))
        assert (answer.status_code, answer.json) == (200, {"status": "accepted"})
        row = rows.find_one({})
        assert row is not None
        assert row.items() >= {"_id": hashlib.sha256(body).hexdigest(), "body": body, "seen": 1}.items()
        assert row["status"] == "received"
        (message,) = broker.messages("webhooks")
        assert message["task"] == "webhooks.process"
        assert message["kwargs"] == {"delivery_id": row["_id"]}
        assert message["x-correlation-id"] == row["correlation_id"]

    def test_previous_key(self, receiver: FlaskClient, rows: Rows) -> None:
        """During a rotation the previous key is good as well."""
        body = notice()
        assert receiver.post(PATH, data=body, headers=sign(body, PREVIOUS_KEY)).status_code == 200
        assert rows.count_documents({}) == 1

    def test_repeat(self, receiver: FlaskClient, rows: Rows) -> None:
        """The same body twice is one row that was seen twice, and acknowledged twice."""
        body = notice()
        answers = [receiver.post(PATH, data=body, headers=sign(body)).status_code for _ in range(2)]
        assert answers == [200, 200]
        assert [row["seen"] for row in rows.find()] == [2]

    def test_concurrent_repeats(self, app: Flask, rows: Rows) -> None:
        """Copies that arrive at one moment are one row, each counted."""
        body = notice()

        def deliver(_: int) -> int:
            return app.test_client().post(PATH, data=body, headers=sign(body)).status_code

        with ThreadPoolExecutor(12) as pool:
            assert set(pool.map(deliver, range(24))) == {200}
        assert [row["seen"] for row in rows.find()] == [24]

    def test_largest_body(self, receiver: FlaskClient, rows: Rows) -> None:
        """A body of exactly the limit is taken."""
        body = notice(user_defined={"udf1": ""})
        body = notice(user_defined={"udf1": "x" * (MAX_BODY_BYTES - len(body))})
        assert len(body) == MAX_BODY_BYTES
        assert receiver.post(PATH, data=body, headers=sign(body)).status_code == 200
        assert rows.count_documents({}) == 1

    def test_harmless_headers_only(self, receiver: FlaskClient, rows: Rows) -> None:
        """What could be a secret is not kept."""
        body = notice()
        secrets = {"Authorization": "Basic abc", "Cookie": "a=b", "X-Api-Key": "k", "User-Agent": "PayTabs"}
        receiver.post(PATH, data=body, headers={**sign(body), **secrets})
        row = rows.find_one({})
        assert row is not None
        assert set(row["headers"]) == {"signature", "content-type", "user-agent"}


class TestBadSignature:
    """What is not signed has no effect at all."""

    @pytest.mark.parametrize(
        ("signature", "reason"),
        [
            (None, "malformed"),
            ("", "malformed"),
            ("0" * 64, "mismatch"),
            ("0" * 63, "malformed"),
            ("upper", "malformed"),
            ("prefixed", "malformed"),
            ("joined", "malformed"),
            ("foreign key", "mismatch"),
            ("ünï", "malformed"),
        ],
    )
    def test_refused(
        self, receiver: FlaskClient, rows: Rows, broker: Broker, signature: str | None, reason: str
    ) -> None:
        """No, empty, repeated or wrong signature: 403, counted, nothing stored, nothing enqueued."""
        body = notice()
        right = sign(body)["Signature"]
        made = {
            "upper": right.upper(),
            "prefixed": f"sha256={right}",
            "joined": f"{right},{right}",
            "foreign key": sign(body, "SFOREIGN01-AAAA2222BB-CCCC3333DD")["Signature"],
        }
        headers = {} if signature is None else {"Signature": made.get(signature, signature)}
        before = counted("nestcms_failed_signatures_total", channel="notice", reason=reason)
        answer = receiver.post(PATH, data=body, headers=headers)
        assert answer.status_code == 403
        assert rows.count_documents({}) == 0
        assert broker.messages("webhooks") == []
        assert counted("nestcms_failed_signatures_total", channel="notice", reason=reason) == before + 1

    @pytest.mark.parametrize(
        "alter",
        [
            lambda body: body + b"\n",
            lambda body: json.dumps(json.loads(body), indent=1).encode(),
            lambda body: body.replace(b"115.00", b"1.00"),
            lambda _: b"",
        ],
    )
    def test_altered(self, receiver: FlaskClient, rows: Rows, alter: Any) -> None:
        """A right signature over other bytes is a wrong one."""
        body = notice()
        assert receiver.post(PATH, data=alter(body), headers=sign(body)).status_code == 403
        assert rows.count_documents({}) == 0


class TestUnreadable:
    """What is signed but cannot be read is kept for operators and not worked off."""

    @pytest.mark.parametrize(
        ("body", "names"),
        [
            (b"<html>", "body"),
            (b"[]", "body"),
            (b"", "body"),
            (b'{"tran_ref": NaN}', "body"),
            (b"\xff\xfe", "body"),
            (b"[" * 30_000, "body"),
            (notice(tran_ref=None), "tran_ref"),
            *((notice(tran_ref=value), "tran_ref") for value in ("", "  ", ["x"], 5, "T 1", "T\x00", "T" * 60_000)),
            (notice(profile_id=None), "profile_id"),
            *((notice(profile_id=value), "profile_id") for value in ("", "x", ["x"], True, 111111, "9" * 40)),
        ],
        ids=lambda value: value[:24] if isinstance(value, bytes) else value,
    )
    def test_kept_as_rejected(self, receiver: FlaskClient, rows: Rows, broker: Broker, body: bytes, names: str) -> None:
        """400 names what is wrong; the raw body is in the inbox as rejected; no task is sent."""
        answer = receiver.post(PATH, data=body, headers=sign(body))
        assert answer.status_code == 400
        assert names in answer.get_data(as_text=True)
        row = rows.find_one({})
        assert row is not None
        assert (row["status"], row["body"], row["seen"]) == ("rejected", body, 1)
        assert names in row["reason"]
        assert broker.messages("webhooks") == []

    def test_too_large(self, receiver: FlaskClient, rows: Rows) -> None:
        """A body over the limit is 413 whatever its signature."""
        body = notice(user_defined={"udf1": "x" * MAX_BODY_BYTES})
        answer = receiver.post(PATH, data=body, headers=sign(body))
        assert answer.status_code == 413
        assert rows.count_documents({}) == 0

    def test_other_method(self, receiver: FlaskClient) -> None:
        """Nothing but POST is answered here."""
        answer = receiver.get(PATH)
        assert answer.status_code == 405
        assert "POST" in answer.headers["Allow"]


class TestIncomplete:
    """What is signed and names a transaction of ours is taken, whatever else it lacks: PayTabs is asked about it."""

    @pytest.mark.parametrize("value", [None, "", "  ", ["x"], {"a": 1}, True, "x\x00", "x" * 50_000])
    @pytest.mark.parametrize(
        "member",
        [
            *("cart_id", "tran_type", "payment_result", "cart_amount", "cart_currency", "tran_total"),
            *("tran_currency", "previous_tran_ref", "token", "payment_info", "user_defined"),
        ],
    )
    def test_taken(self, receiver: FlaskClient, rows: Rows, broker: Broker, member: str, value: object) -> None:
        """Missing, empty, of a wrong type or of an absurd length: kept as it came, handed over, answered 200."""
        body = notice(**{member: value})
        answer = receiver.post(PATH, data=body, headers=sign(body))
        assert (answer.status_code, answer.json) == (200, {"status": "accepted"})
        row = rows.find_one({})
        assert row is not None
        assert (row["status"], row["body"]) == ("received", body)
        assert len(broker.messages("webhooks")) == 1

    def test_null(self, receiver: FlaskClient, rows: Rows) -> None:
        """The same of a member that is there and null."""
        body = notice().replace(b'"cart_id": "INV-2026-0001"', b'"cart_id": null')
        assert b"null" in body
        assert receiver.post(PATH, data=body, headers=sign(body)).status_code == 200
        assert rows.count_documents({"status": "received"}) == 1

    def test_rejected_before(self, receiver: FlaskClient, rows: Rows) -> None:
        """One that an earlier version rejected is opened again when it is delivered again."""
        body = notice(cart_id="")
        delivery_id = hashlib.sha256(body).hexdigest()
        receiver.post(PATH, data=body, headers=sign(body))
        rows.update_one({"_id": delivery_id}, {"$set": {"status": "rejected", "reason": "cart_id: expected a value"}})
        assert receiver.post(PATH, data=body, headers=sign(body)).status_code == 200
        assert rows.count_documents({"_id": delivery_id, "status": "received"}) == 1


class TestBrokerGone:
    """The broker's troubles are not the sender's."""

    def test_stopped(self, receiver: FlaskClient, rows: Rows, valkey: EmbeddedValkey) -> None:
        """With Valkey stopped a delivery is stored and acknowledged within a second, and the failure counted."""
        valkey.kill()
        before = counted("nestcms_publish_failures_total", task="webhooks.process", reason="OperationalError")
        body = notice()
        began = time.monotonic()
        assert receiver.post(PATH, data=body, headers=sign(body)).status_code == 200
        assert time.monotonic() - began < NO_WAIT_SECONDS
        assert rows.count_documents({"status": "received"}) == 1
        assert (
            counted("nestcms_publish_failures_total", task="webhooks.process", reason="OperationalError") == before + 1
        )

    def test_frozen(
        self, receiver: FlaskClient, rows: Rows, valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A Valkey that answers nobody is asked by one delivery, not by the next ones, and none is lost."""
        warm = notice(cart_id="warm")
        receiver.post(PATH, data=warm, headers=sign(warm))
        valkey.pause()
        asked, began, counts = asked_of_redis(monkeypatch), time.monotonic(), []
        for number in range(3):
            body = notice(cart_id=f"C-{number}")
            assert receiver.post(PATH, data=body, headers=sign(body)).status_code == 200
            counts.append(len(asked))
        took = time.monotonic() - began
        valkey.resume()
        assert counts[0] > 0
        assert counts[0] == counts[-1] or took > PAUSE_SECONDS
        assert took < NO_WAIT_SECONDS
        assert rows.count_documents({"status": "received"}) == 4

    def test_comes_back(self, receiver: FlaskClient, rows: Rows, broker: Broker, valkey: EmbeddedValkey) -> None:
        """After the pause tasks are sent again."""
        valkey.kill()
        first, second = notice(cart_id="C-1"), notice(cart_id="C-2")
        receiver.post(PATH, data=first, headers=sign(first))
        valkey.start()
        time.sleep(2.1)
        receiver.post(PATH, data=second, headers=sign(second))
        assert [message["kwargs"] for message in broker.messages("webhooks")] == [
            {"delivery_id": hashlib.sha256(second).hexdigest()}
        ]
        assert rows.count_documents({}) == 2
