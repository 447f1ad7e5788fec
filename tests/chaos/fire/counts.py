"""The numbers of a run: what befell calls and notices, what became of payments and operations, who had to help."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.chaos.fire.books import Books
from tests.chaos.fire.people import People
from tests.chaos.stage import Stage


def count(books: Books, people: People) -> dict[str, Mapping[str, int]]:
    """Count everything, by the title of its table."""
    stage = people.stage
    helped = Counter(people.tally) + Counter(
        {"time: an operation's or delivery's next hours passed": people.hours.leaps}
    )
    return {
        "calls to PayTabs": _calls(books),
        "notices": _notices(stage),
        "payments, by state in the end": Counter(_state(one) for one in books.documents.values()),
        "operations, by kind and status": Counter(f"{row['kind']}: {row['status']}" for row in books.rows),
        "sends, by how many an operation took": Counter(
            f"{row['kind']}: {len(row['sends'])}" for row in books.rows if row["sends"]
        ),
        "outcomes of sends that were not answered": _outcomes(stage),
        "what people and time had to do": helped,
        "alerts": Counter(one["name"] for one in stage.database["alerts"].find()),
        "letters put away, by kind and task": Counter(
            f"{line.get('kind')}: {line.get('given_up')}"
            for name in stage.system.workers
            for line in stage.system.lines(name, event="dead_letter")
        ),
    }


def _calls(books: Books) -> Counter[str]:
    calls: Counter[str] = Counter()
    for one in books.requests:
        fate = one["fault"] or "undisturbed"
        done = "" if one["executed"] else ", not executed"
        calls[f"{one['path']}: {fate}{done}"] += 1
    return calls


def _notices(stage: Stage) -> Counter[str]:
    """Count notices three times over: what befell them at the sandbox, how they were answered, what became of them."""
    answered = Counter(f"answered: {one['status'] or one['error']}" for one in stage.sandbox.notifications())
    fates = Counter({f"at PayTabs: {fate}": number for fate, number in stage.sandbox.fates().items()})
    return fates + answered + Counter(_inbox(row) for row in stage.database["webhook_inbox"].find())


def _outcomes(stage: Stage) -> Counter[str]:
    """Count what is written of sends without an answer, and of what was made of it."""
    unanswered = {"$in": ["AttemptNotSent", "AttemptRefused", "OutcomeUnknown", "CartRetired"]}
    found = stage.database["payment_events"].find({"type": unanswered}, {"type": True, "data": True})
    return Counter(f"{one['type']}: {one['data'].get('detail') or one['data'].get('reason')}" for one in found)


def _inbox(row: Mapping[str, Any]) -> str:
    return f"in the inbox: {row['status']} {row.get('result', {}).get('result', '')}".rstrip()


def _state(document: Mapping[str, Any]) -> str:
    return f"{document.get('gateway', {}).get('state', 'NEW')}, CMS reads {document['status']}"
