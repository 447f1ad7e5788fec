import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregations.parameters import (
    AgeParameters,
    ContractParameters,
    OrgParameters,
    Parameters,
    ProjectParameters,
    SpanParameters,
)
from aggregations.views import VIEWS
from tests.support.views import Views

Json = dict[str, Any]

#: About now, since a view of another time is not read; the payments' days lie on both sides of the ends of brackets.
NOW = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)

#: The first moment of this month, and of the last one.
THIS_MONTH = NOW.replace(day=1, hour=0, minute=0)
LAST_MONTH = (THIS_MONTH - timedelta(days=1)).replace(day=1)
DAYS = [
    NOW - timedelta(days=days, hours=hours) for days, hours in ((0, 1), (1, 20), (30, 0), (31, 3), (33, 0), (90, 0))
]

#: Three of each: what moves goes from one to the next, and on to the third.
CONTRACTS, ORGS, PROJECTS = ([ObjectId(f"{kind}{number:023x}") for number in range(3)] for kind in "abc")

#: How many stories are tried; `NESTCMS_VIEW_EXAMPLES=500` tries many.
EXAMPLES = int(os.environ.get("NESTCMS_VIEW_EXAMPLES", "8"))

#: The documents that operations choose from, by number.
MANY = 5

EARNING = {"type": "profit", "period": "monthly", "amount": 10.5, "currency": "SAR"}


def payment(number: int, where: int, what: int) -> Json:
    """Return a payment's fields; some cannot be read."""
    mine = CONTRACTS[where]
    created: object = "once upon a time" if what == 7 else DAYS[(number + what) % len(DAYS)]
    return {
        "createdAt": created,
        "amount": ("10.50", "7", "0.333", "many")[what % 4],
        "currency": ("SAR", "aed", "SAR", "?")[(what + where) % 4],
        "contractId": {5: {"odd": 1}, 6: [mine, CONTRACTS[0]], 7: str(mine)}.get(what, mine),
        "status": ("paid", "pending", "refunded", "failed")[(what + number) % 4],
    } | ({} if what % 3 else {"gateway": {"captured": "3.25"}})


def ident(kind: str, number: int) -> ObjectId:
    """Return the id of a numbered document."""
    return ObjectId(f"{kind}{number:023x}")


def put_payment(db: Any, number: int, where: int, what: int) -> None:
    """Insert or replace a payment."""
    db["payments"].replace_one({"_id": ident("d", number)}, payment(number, where, what), upsert=True)


def move_payment(db: Any, number: int, where: int, what: int) -> None:
    """Move a payment to another contract, day and status, each by itself."""
    fields = payment(number, where, what)
    for name in ("contractId", "createdAt", "status")[: 1 + what % 3]:
        db["payments"].update_one({"_id": ident("d", number)}, {"$set": {name: fields[name]}})


def pay(db: Any, number: int, _where: int, what: int) -> None:
    """Change a payment's amount or take its status away, as a pipeline that names no field of the map may do."""
    if what % 2:
        db["payments"].update_one({"_id": ident("d", number)}, {"$set": {"amount": f"{what}.01"}})
    else:
        db["payments"].update_one({"_id": ident("d", number)}, {"$unset": {"status": ""}})


def share_payment(db: Any, number: int, where: int, what: int) -> None:
    """Have a payment name several contracts, or change one place of that list, or its length."""
    mine = CONTRACTS[where]
    how: Any = (
        {"$push": {"contractId": mine}},
        {"$set": {"contractId.0": mine}},
        [{"$set": {"contractId": {"$slice": ["$contractId", 1]}}}],
        {"$set": {"contractId": [mine, CONTRACTS[0]]}},
    )[what % 4]
    of_lists = {"contractId": {"$type": "array"}} if what % 4 < 3 else {}
    db["payments"].update_one({"_id": ident("d", number), **of_lists}, how)


def drop_payment(db: Any, number: int, _where: int, _what: int) -> None:
    """Delete a payment."""
    db["payments"].delete_one({"_id": ident("d", number)})


def put_contract(db: Any, number: int, where: int, what: int) -> None:
    """Make a contract that names payments, or change what it names."""
    named = [ident("d", (number + step) % MANY) for step in range(what % 3)]
    db["contracts"].update_one({"_id": CONTRACTS[where]}, {"$set": {"paymentsIds": named}}, upsert=True)


def name_payment(db: Any, number: int, where: int, what: int) -> None:
    """Have a contract name one more payment, or one less."""
    how = "$push" if what % 2 else "$pull"
    db["contracts"].update_one({"_id": CONTRACTS[where]}, {how: {"paymentsIds": ident("d", number)}})


def drop_contract(db: Any, _number: int, where: int, _what: int) -> None:
    """Delete a contract."""
    db["contracts"].delete_one({"_id": CONTRACTS[where]})


def put_org(db: Any, _number: int, where: int, what: int) -> None:
    """Make or delete an organisation."""
    if what:
        db["orgzs"].replace_one({"_id": ORGS[where]}, {"title": "Org"}, upsert=True)
    else:
        db["orgzs"].delete_one({"_id": ORGS[where]})


def earn(db: Any, number: int, where: int, what: int) -> None:
    """Make, move or delete an earning of an organisation and one of a project."""
    for kind, name, field, owners in (
        ("e", "orgzearnings", "orgz", ORGS),
        ("f", "projectearnings", "project", PROJECTS),
    ):
        if what:
            change = {"$set": {**EARNING, field: owners[where], "amount": what + 0.25}}
            db[name].update_one({"_id": ident(kind, number)}, change, upsert=True)
        else:
            db[name].delete_one({"_id": ident(kind, number)})


def put_project(db: Any, number: int, where: int, what: int) -> None:
    """Make or delete a project, or change what it lists."""
    lists = {"designs": [ident("1", number)], "steps": [ident("2", (number + what) % MANY)], "workers": [ident("3", 0)]}
    if what:
        db["projects"].update_one({"_id": PROJECTS[where]}, {"$set": {"content": "house", **lists}}, upsert=True)
    else:
        db["projects"].delete_one({"_id": PROJECTS[where]})


def put_part(db: Any, number: int, _where: int, what: int) -> None:
    """Make or delete a design, a step and a worker."""
    for kind, name in (("1", "designs"), ("2", "projectsteps"), ("3", "projectworkers")):
        if what:
            db[name].replace_one({"_id": ident(kind, number)}, {"status": ("open", "done")[what % 2]}, upsert=True)
        else:
            db[name].delete_one({"_id": ident(kind, number)})


def note(db: Any, number: int, where: int, what: int) -> None:
    """Make, move or delete a note."""
    if what:
        fields = {"onId": PROJECTS[where], "onModel": ("Project", "Design")[what % 2], "status": "seen"}
        db["notes"].update_one({"_id": ident("4", number)}, {"$set": fields}, upsert=True)
    else:
        db["notes"].delete_one({"_id": ident("4", number)})


WRITES: tuple[Callable[[Any, int, int, int], None], ...] = (
    put_payment, move_payment, move_payment, share_payment, share_payment, pay, drop_payment, put_contract,
    name_payment, drop_contract, put_org, earn, put_project, put_part, note,
)  # fmt: skip

OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(WRITES), st.integers(0, MANY - 1), st.integers(0, 2), st.integers(0, 7)),
    st.sampled_from(["step", "follow", "restart", *VIEWS]),
)

QUESTIONS: list[tuple[str, Parameters]] = [
    *(("contract_balance", ContractParameters(contract_id=str(one))) for one in CONTRACTS),
    *(("org_earnings", OrgParameters(org_id=str(one))) for one in ORGS),
    *(("project_overview", ProjectParameters(project_id=str(one))) for one in PROJECTS),
    ("payments_summary", SpanParameters()),
    ("payments_summary", SpanParameters(since=NOW - timedelta(days=31))),
    ("payments_summary", SpanParameters(since=LAST_MONTH, until=THIS_MONTH)),
    ("payments_summary", SpanParameters(until=NOW - timedelta(hours=1))),
    ("receivables_ageing", AgeParameters()),
    ("receivables_ageing", AgeParameters(brackets_days=[1, 31])),
]


def do(views: Views, operation: Any) -> None:
    """Do one operation."""
    if isinstance(operation, tuple):
        write, *arguments = operation
        write(views.db, *arguments)
    elif operation == "restart":
        views.watcher.stop()
        views.watcher = views.another_watcher()
    elif operation == "step":
        views.watcher.step(1)
    elif operation == "follow":
        views.follow()
    else:
        views.desk.go_on(VIEWS[operation], 5.0)


def agree(views: Views, *, waiting: bool = False) -> None:
    """Check every question by the view and by the pipeline; of a group that waits for a refresh a view gives none."""
    now = datetime.now(UTC)
    for name, parameters in QUESTIONS:
        given = views.by_view(name, parameters, now)
        assert given is not None or (waiting and name not in ("payments_summary", "receivables_ageing"))
        if given is not None:
            assert given == views.by_pipeline(name, parameters, now), (name, parameters)


class TestViews:
    """Whatever happens in the CMS's collections, in whatever order it is followed and refreshed."""

    @settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(operations=st.lists(OPERATIONS, min_size=5, max_size=40))
    def test_equal(self, views: Views, operations: list[Any]) -> None:
        """Followed, every view answers as its pipeline does, with and without refresh; the rebuild finds no drift."""
        for operation in operations:
            do(views, operation)
        views.follow()
        if views.desk.state.row("mv_receivables").get("built"):
            agree(views, waiting=True)
        views.refresh()
        agree(views)
        assert set(views.rebuild().values()) == {0}
        agree(views)
