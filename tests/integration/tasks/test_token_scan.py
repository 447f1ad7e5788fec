import base64
import json
from typing import Any

import pytest
import redis
from pymongo.database import Database

from tests.support.cms import SeededPayment, seed_payment
from tests.support.sandbox import Sandbox
from tests.support.stored_cards import collections_with, redis_keys_with
from tests.support.system import MONEY, System
from tests.support.waiting import eventually

Documents = Database[dict[str, Any]]

PAID, DECLINED = "authorised", "declined"


class Told:
    """Every event that workers send about tasks: what Flower sees, and keeps."""

    def __init__(self, system: System) -> None:
        self._client = redis.Redis.from_url(str(system.settings.redis_url))
        self._heard: Any = self._client.pubsub()  # type: ignore[no-untyped-call] # the stubs leave it out
        self._heard.psubscribe("*")

    def texts(self) -> list[str]:
        """Return what has been sent since, and stop listening."""
        found: list[str] = []
        while (message := self._heard.get_message(timeout=0.5)) and len(found) < 10_000:
            if message["type"] == "pmessage":
                text = message["data"].decode()
                body = json.loads(text).get("body", "") if text.startswith("{") else ""
                found.append(text + base64.b64decode(body).decode())
        self._heard.close()
        self._client.close()
        return found


def settled(documents: Documents, seeded: SeededPayment, state: str) -> dict[str, Any]:
    """Wait for a state of a payment, and for every delivery to be applied; return the CMS's document."""
    waiting = {"status": {"$in": ["received", "processing"]}}

    def reads() -> bool:
        found = documents["payments"].find_one({"_id": seeded.payment}) or {}
        done = documents["webhook_inbox"].count_documents(waiting) == 0
        return done and found.get("gateway", {}).get("state") == state

    eventually(reads, within_seconds=40, what=f"{seeded.payment_id} {state}")
    return documents["payments"].find_one({"_id": seeded.payment}) or {}


def of_client(documents: Documents, seeded: SeededPayment) -> SeededPayment:
    """Give the client of a payment one more."""
    other = seed_payment(documents)
    documents["payments"].update_one({"_id": other.payment}, {"$set": {"client": seeded.client}})
    return other


class TestNowhere:
    """A token in clear, after everything that can happen to it."""

    @pytest.mark.timeout(180)
    def test_nowhere(self, system: System, documents: Documents, sandbox: Sandbox) -> None:
        """No collection, no key in Redis, no log, result, worker's event or dead letter has one."""
        told = Told(system)
        first, registered, declined = (seed_payment(documents) for _ in range(3))
        results = [system.run("payments.create_page", payment_id=first.payment_id, tokenise=2)]
        sandbox.pay(results[-1]["tran_ref"], PAID)
        card_id = settled(documents, first, "PAID")["gateway"]["card"]["card_id"]
        results.append(system.run("payments.create_page", payment_id=registered.payment_id, transaction="register"))
        sandbox.pay(results[-1]["tran_ref"], PAID)
        settled(documents, registered, "REGISTERED")
        results.append(system.run("payments.create_page", payment_id=declined.payment_id, tokenise=2))
        sandbox.pay(results[-1]["tran_ref"], DECLINED)
        settled(documents, declined, "DECLINED")
        results.append(system.run("cards.list", client_id=str(first.client)))
        for number, present in enumerate((False, True)):
            payment = of_client(documents, first)
            asked = {"payment_id": payment.payment_id, "card_id": card_id, "payer_present": present}
            results.append(system.run("payments.charge_card", operation_id=f"op-{number}", **asked))
        elsewhere = sandbox._desk("POST", "token", {"card": PAID})["token"]
        charged = {"payment_id": seed_payment(documents).payment_id, "token": elsewhere, "operation_id": "op-e"}
        results.append(system.run("payments.charge_token", **charged))
        results.append(system.run("tokens.query", token=elsewhere))
        results.append(system.run("tokens.delete", token=elsewhere, operation_id="op-d"))
        tokens = {str(one["token"]) for one in sandbox.ledger() if one.get("token")} | {elsewhere}
        results.append(system.run("cards.forget", card_id=card_id, operation_id="op-f"))
        texts = told.texts()
        assert len(tokens) >= 3
        assert any("payments.charge_token" in text for text in texts)
        for token in tokens:
            assert collections_with(documents, token) == set()
            assert redis_keys_with(str(system.settings.redis_url), token) == []
            assert [name for name in MONEY if token in system.log(name)] == []
            assert token not in json.dumps(results)
            assert [text for text in texts if token in text] == []
