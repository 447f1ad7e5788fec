"""The demo's heavy reads: every aggregation of the catalogue over seeded data, then once more from the cache."""

import json
import time
from datetime import datetime, timedelta
from random import Random
from typing import Any

from aggregations.catalogue import CATALOGUE
from workers.demo_cms import PASSWORD_HASH
from workers.demo_scenes import Scene
from workers.seed_plan import SeedPlan
from workers.seed_questions import questions
from workers.seed_writing import write

Json = dict[str, Any]

#: What is seeded beside the demo's own documents: a hundred contracts and projects, a thousand payments.
PLAN = SeedPlan(0.002)

#: How much of an answer is told, in characters.
TOLD = 70


def heavy_reads(scene: Scene) -> None:
    """Seed, ask every aggregation through its task, and ask again."""
    written = write(scene.settings, PLAN, processes=1)
    scene.report.tell(f"seeded {written.total():,} documents as the CMS writes them")
    asked = questions(PLAN, Random(PLAN.seed))  # noqa: S311 - data, not secrets
    answers = {name: _ask(scene, name, asked[name]) for name in CATALOGUE}
    text = json.dumps(answers)
    scene.report.check(f"all {len(CATALOGUE)} aggregations answer, with the time that each stands for", _dated(answers))
    scene.report.check("and nobody's password is in any answer", "password" not in text and PASSWORD_HASH not in text)
    again = {name: _remembered(scene, name, asked[name]) for name in CATALOGUE}
    scene.report.check("asked again, each is answered from the cache", len(again) == len(CATALOGUE))
    # One that was out of date meanwhile may have been built anew from a view. It stands for what the watcher has
    # followed, which may be a moment before the first answer, read at the primary.
    slack = timedelta(seconds=scene.settings.views_bound_seconds)
    late = [name for name in CATALOGUE if _as_of(again[name]) < _as_of(answers[name]) - slack]
    scene.report.check(f"and none stands for a time over {slack.seconds} s before the first answer's", not late, late)


def _ask(scene: Scene, name: str, asked: Json) -> Json:
    """Ask one aggregation through its task, and tell its source, its time and the beginning of what it says."""
    began = time.monotonic()
    answer: Json = scene.ask(f"aggregations.{name}", **asked)
    took_ms = (time.monotonic() - began) * 1000
    scene.report.tell(f"{name:<20}{answer['source']:<9}{took_ms:7.1f} ms  {summed_up(answer['data'])}")
    return answer


def _remembered(scene: Scene, name: str, asked: Json) -> Json:
    """Ask until the answer comes from the cache: a reaction to an earlier payment may just have made it a miss."""

    def look() -> Json | None:
        answer = _ask(scene, name, asked)
        return answer if answer["source"] == "cache" else None

    return scene.report.wait(f"{name} from the cache", look)


def _as_of(answer: Json) -> datetime:
    return datetime.fromisoformat(answer["as_of"])


def _dated(answers: dict[str, Json]) -> bool:
    return all(answer["as_of"] and answer["data"] is not None for answer in answers.values())


def summed_up(data: object) -> str:
    """Say in a few words how much an answer holds; what it says of people stays where it is."""
    if isinstance(data, list):
        return _counted(len(data), "document")
    if not isinstance(data, dict):
        return type(data).__name__
    lists = [f"{len(value)} {name}" for name, value in data.items() if isinstance(value, list)]
    records = [f"{name} of {len(value)}" for name, value in data.items() if isinstance(value, dict)]
    whole = [(name, value) for name, value in data.items() if isinstance(value, int) and not isinstance(value, bool)]
    text = ", ".join([*lists, *records, *(f"{name} {value}" for name, value in whole)])
    return text if len(text) <= TOLD else f"{text[: TOLD - 1]}…"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
