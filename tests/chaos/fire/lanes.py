"""Queues that a version adds, beside the version before: its producers and its workers' commands go on unchanged.

Every sort of callers' work is sent by either version's producer while either version's workers are there, alone and
beside each other, and each has to be answered.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.queues import CLASSES
from tests.chaos.fire.report import Findings, Line
from tests.chaos.stage import GOOD_CARD, Stage, staged
from tests.support.broker import Broker
from tests.support.cms import seed_payment
from tests.support.sandbox import Sandbox
from tests.support.system import MONEY, System
from tests.support.waiting import eventually
from workers.processes import COMMANDS, environment

Json = dict[str, Any]

#: The workers, each of which has its doors.
WORKERS = ("worker-money", "worker-events", "worker-reads")

#: The queues of callers' work.
CALLERS = sorted({queue for classes in CLASSES.values() for queue in classes.values()} | {"aggregations.first"})

#: How long everything has that was sent at once, in seconds.
ANSWERED_SECONDS = 90.0

#: A producer of whatever version lies in the folder that it is started in.
PRODUCER = """
import json, sys
from celery import Celery
from config.celeryconfig import celery_config
from config.settings import load_settings
app = Celery("producer", set_as_current=False)
app.conf.update(celery_config(load_settings()))
sent = [app.send_task(task, kwargs=given, headers=headers) for task, given, headers in json.load(sys.stdin)]
print(json.dumps([one.id for one in sent]))
"""


@dataclass
class Runs:
    """What was sent, by whom and while who was there, and what came of it."""

    stage: Stage
    before: Path
    payments: int
    lines: list[Line] = field(default_factory=list)

    def try_out(self, who: str, producer: Path | None) -> None:
        """Have one version's producer send every sort of work, and note whether all of it was answered."""
        asked = [self.stage.system.asked(one) for one in self._sent(self._work(), producer)]

        def answered() -> bool:
            return all(one.meta["status"] in ("SUCCESS", "FAILURE") for one in asked)

        with suppress(AssertionError):  # told below
            eventually(answered, within_seconds=ANSWERED_SECONDS, every_seconds=0.2)
        ended = [(one.id, one.meta) for one in asked]
        wrong = [f"{name}: {meta['status']} {meta['result']}" for name, meta in ended if meta["status"] != "SUCCESS"]
        right = len(asked) - len(wrong)
        self.lines.append(Line(f"{who}: every message is answered", f"{right} of {len(asked)}", wrong))

    def _work(self) -> list[tuple[str, Json, Json]]:
        """Return every sort of callers' work: payers', staff's, bulk, and reads."""
        paid = [self._paid() for _ in range(self.payments)]
        fresh = [seed_payment(self.stage.database).payment_id for _ in range(2 * self.payments)]
        bulk, reads = {"x-class": "bulk"}, {"name": "payments_summary", "params": {}}
        return [
            *(("payments.create_page", {"payment_id": one}, bulk) for one in fresh[::2]),
            *(("payments.create_page", {"payment_id": one}, {}) for one in fresh[1::2]),
            *(
                ("payments.refund", {"payment_id": one, "operation_id": f"r{len(self.lines)}-{one}"}, {})
                for one in paid
            ),
            *(("aggregations.run", reads, headers) for headers in (bulk, {})),
            ("aggregations.invalidate", {"tags": ["payments"]}, {}),
            ("views.refresh", {"name": "mv_receivables"}, {}),
        ]

    def _paid(self) -> str:
        payment = seed_payment(self.stage.database)
        view = self.stage.system.run("payments.create_page", payment_id=payment.payment_id, within_seconds=60)
        self.stage.sandbox.pay(view["tran_ref"], GOOD_CARD)
        eventually(lambda: self.stage.is_paid(payment), within_seconds=60)
        return payment.payment_id

    def _sent(self, work: Sequence[tuple[str, Json, Json]], producer: Path | None) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", PRODUCER],
            input=json.dumps(work),
            cwd=producer,
            env=environment(self.stage.system.settings),
            capture_output=True,
            text=True,
            check=True,
        )
        return [str(one) for one in json.loads(done.stdout.splitlines()[-1])]


@contextmanager
def earlier_workers(stage: Stage, before: Path, directory: Path) -> Iterator[System]:
    """Run the earlier version's workers on the stage's servers and database."""
    settings = stage.system.settings.model_copy(update={"local_dir": directory})
    with System(settings, WORKERS, checkout=before) as earlier:
        yield earlier


def run_lanes(directory: Path, sandbox: Sandbox, before: Path, today: Path, payments: int) -> Findings:
    """Send every sort of work by either version's producer, to either version's workers.

    Args:
        directory: Where the servers and processes keep their data.
        sandbox: A sandbox that has forgotten everything.
        before: The earlier version's files.
        today: This version's.
        payments: How many of each sort.
    """
    for stage in staged(directory, sandbox, 1, processes=(*MONEY, "worker-events", "worker-reads")):
        runs = Runs(stage, before, payments)
        runs.try_out("today's workers, the earlier producer", before)
        runs.try_out("today's workers, today's producer", today)
        with earlier_workers(stage, before, directory / "before") as earlier:
            runs.try_out("both versions' workers, the earlier producer", before)
            runs.try_out("both versions' workers, today's producer", today)
            for name in WORKERS:
                stage.system.stop(name)
            runs.try_out("the earlier workers, the earlier producer", before)
            quiet = _troubles(earlier, stage.system)
            for name in WORKERS:
                stage.system.restart(name)
                earlier.stop(name)
        runs.try_out("today's workers again, the earlier producer", before)
        return Findings([_same_commands(before), *runs.lines, quiet, _nothing_left(stage)])
    raise AssertionError("a stage was expected")  # pragma: no cover - there always is one


def _same_commands(before: Path) -> Line:
    """Hold the queues that today's commands name against those of the earlier version's commands."""
    queues: Callable[[str], list[str]] = re.compile(r"-Q (\S+)").findall
    earlier, now = queues((before / "workers" / "processes.py").read_text()), queues("\n".join(COMMANDS.values()))
    return Line("the workers' commands name the same queues", ", ".join(now), [] if earlier == now else [str(earlier)])


def _troubles(*systems: System) -> Line:
    found = [
        str(line)[:300]
        for system in systems
        for name in WORKERS
        for line in (*system.lines(name, event="dead_letter"), *system.lines(name, event="message_quarantined"))
    ]
    return Line("no message was given up or refused", f"{len(found)} were", found)


def _nothing_left(stage: Stage) -> Line:
    """Look whether anything that callers sent still lies in a queue."""
    waiting = Broker(str(stage.system.settings.redis_url))
    left = [f"{queue}: {one['task']}" for queue in CALLERS for one in waiting.messages(queue)]
    return Line("no queue holds what nobody reads", f"{len(left)} messages left", left)
