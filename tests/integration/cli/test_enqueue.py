import json
import re
from pathlib import Path

import click
import pytest

from tasks.base import check
from tasks.errors import InvalidArguments
from tests.integration.cli.conftest import Command
from tests.support.broker import Broker
from workers.cli_enqueue import Form, arguments_of, forms_of, known_tasks, read_arguments, reason_of

#: No payment of the CMS.
NOBODYS_ID = "65f0c0ffee65f0c0ffee65f0"


class TestArguments:
    """`key=value` words."""

    def test_json_and_text(self) -> None:
        """A value is JSON when it parses and text when it does not."""
        words = [
            'methods=["mada"]',
            "tokenise=2",
            "language=en",
            "payer_returned=true",
            'amount="115.00"',
            "note=a=b",
            "x=",
        ]
        assert read_arguments(words) == {
            "methods": ["mada"],
            "tokenise": 2,
            "language": "en",
            "payer_returned": True,
            "amount": "115.00",
            "note": "a=b",
            "x": "",
        }

    @pytest.mark.parametrize("text", ["123456789012345678901234", "1234567890e2345678901234"])
    def test_ids_stay_text(self, text: str) -> None:
        """An id that reads as a number is an id all the same."""
        assert read_arguments([f"payment_id={text}"]) == {"payment_id": text}

    @pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
    def test_no_json(self, text: str) -> None:
        """What is not JSON in other languages is text here."""
        assert read_arguments([f"amount={text}"]) == {"amount": text}

    @pytest.mark.parametrize("words", [["payment_id"], ["=1"], ["a-b=1"], ["a=1", "a=2"]])
    def test_refused(self, words: list[str]) -> None:
        """A word of another form, or a key given twice, is refused."""
        with pytest.raises(click.UsageError):
            read_arguments(words)


#: What every argument of every task may be; it is worked out once, since there are some hundred.
FORMS = {task: forms_of(task) for task in known_tasks()}

#: Every argument of every task that can be nothing but text.
TEXTS = [(task, name) for task, forms in FORMS.items() for name, form in forms.items() if form is Form.TEXT]


class TestAmounts:
    """What is typed reaches a task as it was typed, without quotes for a shell and quotes for JSON."""

    @pytest.mark.parametrize("typed", ["7.00", "007", "1e5", "12345678901234567890.10", "true", '"7.00"', "-0"])
    def test_text(self, typed: str) -> None:
        """An argument that is text is the text that was typed, whatever else it looks like; quotes do no harm."""
        read = {(task, name): read_arguments([f"{name}={typed}"], FORMS[task]) for task, name in TEXTS}
        assert read == {(task, name): {name: typed.strip('"')} for task, name in TEXTS}

    def test_nothing(self) -> None:
        """`null` still leaves it out."""
        read = {(task, name): read_arguments([f"{name}=null"], FORMS[task]) for task, name in TEXTS}
        assert read == {(task, name): {name: None} for task, name in TEXTS}

    def test_all_there(self) -> None:
        """Every amount, id, reference and reason is among them, and no number, list or object is."""
        for task, forms in FORMS.items():
            fields = arguments_of(task).model_fields
            told = {name for name in fields if name.endswith(("_id", "reason", "amount", "_ref", "token", "phone"))}
            assert told <= {name for name, form in forms.items() if form is Form.TEXT}, task
            others = {"tokenise", "methods", "payer_returned", "full", "dry_run", "range", "params", "max_age_seconds"}
            assert not others & forms.keys()

    @pytest.mark.parametrize("task", ["payments.refund", "payments.capture", "payments.release"])
    @pytest.mark.parametrize("typed", ["7.00", '"7.00"', "7"])
    def test_taken(self, task: str, typed: str) -> None:
        """An amount that is typed plainly is an amount to the task."""
        words = [f"payment_id={NOBODYS_ID}", "operation_id=1", f"amount={typed}"]
        asked = check(arguments_of(task), (), read_arguments(words, FORMS[task]))
        assert asked.model_dump()["amount"] == typed.strip('"')

    @pytest.mark.parametrize("number", [7.00, 7, 1e5, True])
    def test_a_number(self, number: float) -> None:
        """A caller who sends a number is told how an amount is written."""
        with pytest.raises(InvalidArguments, match=r'amount: expected decimal text in quotes, such as "7.00"'):
            check(
                arguments_of("payments.refund"), (), {"payment_id": NOBODYS_ID, "operation_id": "1", "amount": number}
            )

    def test_within_an_invoice(self) -> None:
        """Amounts within a bill stay to the digit what was typed; whole numbers and text are as they were."""
        typed = 'invoice={"line_items":[{"unit_cost":7.00,"quantity":2,"total":"14.00"}],"extra_charges":0.10}'
        assert read_arguments([typed], forms_of("invoices.create")) == {
            "invoice": {
                "line_items": [{"unit_cost": "7.00", "quantity": 2, "total": "14.00"}], "extra_charges": "0.10",
            }
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("words", "read"),
        [
            (["tokenise=2"], {"tokenise": 2}),
            (['methods=["mada"]'], {"methods": ["mada"]}),
            (["tokenise=null"], {"tokenise": None}),
        ],
    )
    def test_others(self, words: list[str], read: dict[str, object]) -> None:
        """Numbers, lists and nothing are JSON as before."""
        assert read_arguments(words, forms_of("payments.create_page")) == read


class TestKnownTasks:
    """Every task's public name."""

    def test_names(self) -> None:
        """Ours are there and Celery's own are not."""
        names = known_tasks()
        assert {"payments.create_page", "webhooks.process", "aggregations.run"} <= set(names)
        assert not [name for name in names if name.startswith("celery.")]


class TestReason:
    """What is told of a task's error."""

    def test_silent_error(self) -> None:
        """An error without a text is told by its name."""
        assert reason_of(KeyError()) == "KeyError"

    def test_one_line(self) -> None:
        """A text of several lines becomes one."""
        assert reason_of(ValueError("a\n  b")) == "a b"


class TestEnqueueing:
    """What reaches the broker."""

    def test_message(self, command: Command, servers: dict[str, str]) -> None:
        """The task waits on its queue with its arguments and the caller's correlation id; its own id is printed."""
        words = ("payments.get", f"payment_id={NOBODYS_ID}", "--no-wait", "--correlation-id", "order-4711")
        done = command("enqueue", *words, **servers)
        assert done.exit_code == 0, done.stderr
        [message] = Broker(servers["REDIS_URL"]).messages("payments")
        assert json.loads(done.stdout) == {"task": "payments.get", "task_id": message["id"]}
        assert message["task"] == "payments.get"
        assert message["kwargs"] == {"payment_id": NOBODYS_ID}
        assert message["x-correlation-id"] == "order-4711"

    def test_unknown_task(self, command: Command, servers: dict[str, str]) -> None:
        """An unknown task is not enqueued; the known ones are listed, the nearest first."""
        done = command("enqueue", "payments.create_pag", f"payment_id={NOBODYS_ID}", **servers)
        assert done.exit_code == 2
        assert "did you mean payments.create_page?" in done.stderr
        assert "\n  webhooks.process" in done.stderr
        assert Broker(servers["REDIS_URL"]).messages("payments") == []

    def test_nobody_answers(self, command: Command, servers: dict[str, str]) -> None:
        """Without a worker the wait ends in its time with a sentence; the task stays enqueued."""
        done = command("enqueue", "payments.get", f"payment_id={NOBODYS_ID}", "--timeout", "0.5", **servers)
        assert done.exit_code == 1
        assert "has not answered within 0.5 s" in done.stderr
        assert "Traceback" not in done.stderr
        [message] = Broker(servers["REDIS_URL"]).messages("payments")
        assert message["id"] in done.stderr

    def test_dead_broker(self, command: Command, free_port: int) -> None:
        """A broker that does not answer is one sentence that names it without its password."""
        url = f"redis://someone:pa55word@127.0.0.1:{free_port}/0"
        done = command("enqueue", "payments.get", f"payment_id={NOBODYS_ID}", REDIS_URL=url)
        assert done.exit_code == 2
        assert re.fullmatch(rf"Error: The broker at 127\.0\.0\.1:{free_port} does not answer .*\n", done.stderr)
        assert "pa55word" not in done.stderr


class TestAnswers:
    """What comes back from a worker."""

    def test_answer_and_error(self, command: Command, servers: dict[str, str], worker: Path) -> None:
        """An answer is JSON on standard output; a task's error is one sentence and exit code 1."""
        done = command("enqueue", "maintenance.sweep_inbox", "--correlation-id", "sweep-1", **servers)
        assert (done.exit_code, json.loads(done.stdout)) == (0, {"enqueued": 0}), done.stderr
        assert '"correlation_id": "sweep-1"' in worker.read_text()

        failed = command("enqueue", "payments.get", f"payment_id={NOBODYS_ID}", **servers)
        assert failed.exit_code == 1
        assert failed.stdout == ""
        assert failed.stderr.startswith("Error: The task payments.get failed: payment_id: expected")
        assert failed.stderr.count("\n") == 1

        wrong = command("enqueue", "payments.get", "payment_id=none", "colour=red", **servers)
        assert wrong.exit_code == 1
        assert "colour: no such argument" in wrong.stderr
