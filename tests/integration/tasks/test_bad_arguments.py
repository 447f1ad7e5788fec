import json
from typing import Any

import pytest
import redis
from bson import ObjectId
from celery.result import AsyncResult
from pymongo.database import Database

from payments.errors import InvalidArgument
from tasks.errors import InvalidArguments
from tests.support.cms import seed_payment
from tests.support.system import System
from tests.support.waiting import eventually

#: What is wrong, the task, its arguments, the field that the error must name, the value that nobody may repeat.
WRONG: dict[str, tuple[str, dict[str, Any], str, str | None]] = {
    "malformed id": ("payments.get", {"payment_id": "no-such-secret-id"}, "payment_id", "no-such-secret-id"),
    "missing field": ("payments.create_page", {}, "payment_id", None),
    "extra field": ("payments.get", {"payment_id": "0" * 24, "cardholder": "Huda Secret"}, "cardholder", "Huda Secret"),
    "float for text": ("payments.get", {"payment_id": 4111.25}, "payment_id", "4111.25"),
    "float amount": ("payments.create_page", {"payment_id": "0" * 24, "amount": 98765.25}, "amount", "98765.25"),
    "number for a choice": ("payments.create_page", {"payment_id": "0" * 24, "language": 77.25}, "language", "77.25"),
    "too many": ("payments.verify", {"payment_id": "0" * 24, "tran_ref": "TSTSECRET"}, "arguments", "TSTSECRET"),
    "nested": ("payments.create_page", {"payment_id": "0" * 24, "methods": ["S3CRET"]}, "methods.0", "S3CRET"),
    "a Python word": ("payments.get", {"payment_id": "0" * 24, "cls": "CL5"}, "cls", "CL5"),
}


def refusals(system: System, task_id: str) -> list[dict[str, Any]]:
    """List Celery's own lines about a task that raised what callers are told to expect."""
    return [line for line in system.lines(task_id=task_id, level="info") if "raised expected" in line["event"]]


class TestArguments:
    """A bad argument fails at once, names its field, and is repeated nowhere."""

    @pytest.mark.parametrize("case", WRONG)
    def test_named_and_not_repeated(self, system: System, case: str) -> None:
        """The error's text begins with the field; no result, traceback or log has the value; no retry."""
        task, arguments, field, secret = WRONG[case]
        asked = system.enqueue(task, **arguments)
        with pytest.raises(InvalidArguments, match=rf"^{field}: ") as failed:
            asked.get()
        stored = json.dumps(asked.meta, default=str)
        lines = eventually(lambda: refusals(system, asked.id), what="the line about the refusal")
        lines += system.lines(task_id=asked.id)
        assert asked.meta["status"] == "FAILURE"
        assert field in stored
        assert field in lines[0]["event"]
        assert {line["level"] for line in lines} == {"info"}
        assert not [line for line in lines if "exception" in line]
        assert "task_retried" not in [line["event"] for line in lines]
        assert secret is None or all(secret not in text for text in (str(failed.value), stored, *map(str, lines)))

    def test_all_at_once(self, system: System) -> None:
        """Several mistakes come in one answer."""
        with pytest.raises(InvalidArguments) as failed:
            system.run("payments.create_page", payment_id="x", language="fr", tokenise=1)
        assert [mistake.partition(":")[0] for mistake in failed.value.mistakes] == [
            "payment_id",
            "language",
            "tokenise",
        ]

    def test_positional(self, system: System, documents: Database[dict[str, Any]]) -> None:
        """Arguments may come by position, in the documented order; too many or one given twice is a mistake."""
        payment = seed_payment(documents)
        assert system.run("payments.get", payment.payment_id)["state"] == "NEW"
        with pytest.raises(InvalidArguments, match="expected at most 1"):
            system.run("payments.get", payment.payment_id, "more")
        with pytest.raises(InvalidArguments, match="payment_id: given twice"):
            system.run("payments.get", payment.payment_id, payment_id=payment.payment_id)


class TestDocuments:
    """What the CMS's document does not allow fails at once as well, naming the document's field."""

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"currency": "XAX"}, "payments.currency"),
            ({"currency": None}, "payments.currency"),
            ({"amount": None}, "payments.amount"),
            ({"amount": "12.345"}, "payments.amount"),
            ({"amount": "-5"}, "payments.amount"),
        ],
    )
    def test_field_named(
        self, system: System, documents: Database[dict[str, Any]], fields: dict[str, Any], field: str
    ) -> None:
        """The error names the document's field and nothing was begun."""
        payment = seed_payment(documents, **fields)
        self.refused(system, payment.payment_id, field)
        assert documents["payment_events"].count_documents({"payment_id": payment.payment}) == 0
        assert documents["payment_operations"].count_documents({"payment_id": payment.payment}) == 0

    def test_float_amount(self, system: System, documents: Database[dict[str, Any]]) -> None:
        """An amount that the CMS stored as a binary fraction is not guessed at."""
        payment = seed_payment(documents)
        documents["payments"].update_one({"_id": payment.payment}, {"$set": {"amount": 115.25}})
        self.refused(system, payment.payment_id, "payments.amount")

    def test_unknown_payment(self, system: System) -> None:
        """An id without a document is the caller's mistake, whichever task it is given to."""
        for task in ("payments.create_page", "payments.verify", "payments.get", "payments.history"):
            with pytest.raises(InvalidArgument, match=r"^payment_id: expected the id of a payment"):
                system.run(task, payment_id=str(ObjectId()))

    def test_expected(self, system: System) -> None:
        """Such a mistake is the caller's to mend: nothing is logged as an error, and no traceback."""
        asked = system.enqueue("payments.get", payment_id=str(ObjectId()))
        with pytest.raises(InvalidArgument):
            asked.get()
        eventually(lambda: refusals(system, asked.id), what="the line about the refusal")
        lines = system.lines(task_id=asked.id)
        assert {line["level"] for line in lines} == {"info"}
        assert "Traceback" not in str(lines)

    def refused(self, system: System, payment_id: str, field: str) -> None:
        """Ask for a page and see the refusal."""
        asked = system.enqueue("payments.create_page", payment_id=payment_id)
        with pytest.raises(InvalidArgument, match=rf"^{field}: expected "):
            asked.get()
        assert not system.lines(task_id=asked.id, event="task_retried")


class TestResult:
    """The answer is what any language reads from the result backend."""

    def test_readable_in_python(self, system: System) -> None:
        """Celery's own result object raises the error with its text."""
        asked = system.enqueue("payments.get", payment_id="nonsense")
        with pytest.raises(InvalidArguments, match=r"^payment_id: expected an id of 24"):
            AsyncResult(asked.id, app=system.results).get(timeout=10)

    def test_readable_elsewhere(self, system: System) -> None:
        """A program that has none of our classes finds the text, and Python without them raises an error with it."""
        asked = system.enqueue("payments.get", payment_id="nonsense")
        with pytest.raises(InvalidArguments):
            asked.get()
        assert system.settings.result_url is not None
        with redis.Redis.from_url(system.settings.result_url) as results:
            raw = json.loads(results.get(f"celery-task-meta-{asked.id}"))
        assert raw["status"] == "FAILURE"
        assert raw["result"]["exc_type"] == "InvalidArguments"
        assert raw["result"]["exc_message"] == ["payment_id: expected an id of 24 lower-case hexadecimal digits"]
