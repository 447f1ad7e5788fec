"""Several processes full of readers of one answer, all of whom ask at the same moment.

`python -m tests.integration.aggregations.crowd SETUP` is one process: for each JSON line it has so many threads ask,
and answers with what they got.
"""

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pymongo import MongoClient

from tests.integration.aggregations.shelf import Shelf, together

Json = dict[str, Any]
ROOT = Path(__file__).parents[3]

#: A build that takes longer is announced.
LONG_SECONDS = 10


class Crowd:
    """So many processes of readers.

    Args:
        size: How many.
        shelf: Whose thing they ask about.
        mongo_uri: Where the shelf's database is.
        budget_ms: The time budget of a build, which its lease follows.
    """

    def __init__(self, size: int, shelf: Shelf, mongo_uri: str, *, budget_ms: int = 2_000) -> None:
        setup = json.dumps(
            {
                "mongo_uri": mongo_uri, "database": shelf.database.name, "redis_url": shelf.redis_url,
                "thing": shelf.thing, "budget_ms": budget_ms,
            }
        )  # fmt: skip
        self.members = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.integration.aggregations.crowd", setup],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(size)
        ]  # fmt: skip
        for member in range(size):
            self.answer(member)  # ready

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members:
            member.kill()
            member.communicate()

    def send(self, member: int, **command: Any) -> None:
        """Give one process something to do."""
        pipe = self.members[member].stdin
        assert pipe is not None
        pipe.write(json.dumps(command) + "\n")
        pipe.flush()

    def answer(self, member: int) -> Any:
        """Read what one process answers."""
        pipe = self.members[member].stdout
        assert pipe is not None
        return json.loads(pipe.readline())

    def all(self, **command: Any) -> list[Json]:
        """Have all processes do the same at the same moment, and list what each reader got."""
        at = time.time() + 0.1
        for member in range(len(self.members)):
            self.send(member, at=at, **command)
        return [got for member in range(len(self.members)) for got in self.answer(member)]


def main() -> None:
    """Be one process: so many `readers` ask `rounds` times each, `late` seconds from now; a build `takes` so long."""
    setup = json.loads(sys.argv[1])
    client: MongoClient[Json] = MongoClient(setup["mongo_uri"])
    pause = [0.0]
    shelf = Shelf(
        client[setup["database"]], setup["redis_url"], thing=setup["thing"], changes={"budget_ms": setup["budget_ms"]},
        during=lambda: build(pause[0]), ticks=True,
    )  # fmt: skip
    client.admin.command("ping")
    say("ready")
    for line in sys.stdin:
        command = json.loads(line)
        pause[0], shelf.late = command.get("takes", 0.0), timedelta(seconds=command.get("late", 0))
        builds, asked = shelf.builds, len(shelf.asked)
        time.sleep(max(0.0, command.get("at", 0) - time.time()))
        got = together(command["readers"], partial(ask_again, shelf, command.get("rounds", 1)))
        told = [one if isinstance(one, dict) else {"error": repr(one)} for _, many in got for one in _listed(many)]
        told[0] |= {"builds": shelf.builds - builds, "asked": len(shelf.asked) - asked}
        say(told)


def build(seconds: float) -> None:
    """Take so long, and say so when that is long enough to be killed in."""
    if seconds > LONG_SECONDS:
        say("building")
    time.sleep(seconds)


def ask_again(shelf: Shelf, rounds: int) -> list[Json]:
    """Ask so many times, one after the other."""
    return [timed(shelf) for _ in range(rounds)]


def timed(shelf: Shelf) -> Json:
    """Ask once."""
    began = time.perf_counter()
    answer = shelf.ask()
    return {"seconds": time.perf_counter() - began, "data": answer["data"], "source": answer["source"]}


def _listed(got: Any) -> list[Any]:
    return got if isinstance(got, list) else [got]


def say(what: object) -> None:
    """Answer with one line."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
