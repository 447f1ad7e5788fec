"""The CMS's own reads and the earnings in plain Python, over collections as lists: what pipelines are compared with."""

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from bson import ObjectId

from tests.support.plain_values import code, earned, ids, paid_text, person, text, total, whole

Document = dict[str, Any]
Store = dict[str, list[Document]]


class Unknown(LookupError):
    """Raised where the pipelines' answer is that the subject does not exist."""


def subject(store: Store, collection: str, asked: Document, name: str) -> Document:
    """Find the document that an answer is about."""
    for document in store[collection]:
        if document["_id"] == ObjectId(asked[name]):
            return document
    raise Unknown(name)


def referred(store: Store, collection: str, value: object) -> list[Document]:
    """List the documents that a field refers to, each once."""
    wanted = set(ids(value))
    return sorted((one for one in store[collection] if one["_id"] in wanted), key=lambda one: one["_id"])


def page(name: str, found: list[Document], asked: Document) -> Document:
    """Cut a list to what was asked for."""
    limit, skip = asked["limit"], asked.get("skip", 0)
    return {name: found[skip : skip + limit], "more": len(found) > skip + limit}


def contract_employees(store: Store, asked: Document) -> Any:
    """List a contract's employees."""
    contract = subject(store, "contracts", asked, "contract_id")
    return [person(one) for one in referred(store, "users", contract.get("employee"))]


def of_project(collection: str, field: str) -> Callable[[Store, Document], Any]:
    """Give the read that lists what a project's field refers to."""

    def read(store: Store, asked: Document) -> Any:
        project = subject(store, "projects", asked, "project_id")
        return page(field, [whole(one) for one in referred(store, collection, project.get(field))], asked)

    return read


def notes_on(store: Store, project: ObjectId) -> list[Document]:
    """List the notes on a project, newest first."""
    found = [one for one in store["notes"] if one.get("onModel") == "Project" and one.get("onId") == project]
    return sorted(found, key=lambda one: one["_id"], reverse=True)


def project_notes(store: Store, asked: Document) -> Any:
    """List the notes on a project."""
    project = subject(store, "projects", asked, "project_id")
    return page("notes", [whole(one) for one in notes_on(store, project["_id"])], asked)


def user_permissions(store: Store, asked: Document) -> Any:
    """Give a user with what it was granted."""
    user = subject(store, "users", asked, "user_id")
    granted = [one for one in store["permissions"] if one.get("_for") == user["_id"] and one.get("status") == "granted"]
    return person(user) | page("permissions_have", [whole(one) for one in granted], asked)


def user_projects(store: Store, asked: Document) -> Any:
    """Give a user with its projects."""
    user = subject(store, "users", asked, "user_id")
    own = [one for one in store["projects"] if one.get("employee") == user["_id"]]
    listed = [whole(one, "designs", "steps", "workers", "earnings") for one in own]
    return person(user) | page("projects", listed, asked)


def earning(document: Document) -> tuple[str, str, Decimal] | None:
    """Read an earning, if it can be read."""
    currency, kind, amount = code(document.get("currency")), document.get("type"), earned(document.get("amount"))
    return (currency, kind, amount) if currency and kind in ("profit", "loss") and amount is not None else None


def earnings_compound(store: Store, asked: Document) -> Any:
    """Total a set of earnings by currency and type."""
    wanted = {ObjectId(one) for one in asked["earning_ids"]}
    found = [one for one in store["projectearnings"] + store["orgzearnings"] if one["_id"] in wanted]
    if not found:
        raise Unknown("earning_ids")
    groups: dict[tuple[str, str], list[Decimal]] = {}
    for currency, kind, amount in filter(None, map(earning, found)):
        groups.setdefault((currency, kind), []).append(amount)
    totals = [
        {"currency": currency, "type": kind, "earnings": len(amounts), "amount": text(total(amounts))}
        for (currency, kind), amounts in sorted(groups.items())
    ]
    readable = sum(map(len, groups.values()))
    return {"totals": totals, "unreadable": len(found) - readable, "unknown": len(wanted) - len(found)}


def results(found: list[Document], *, by_period: bool) -> Document:
    """Give profit, loss and net by currency, and period."""
    groups: dict[tuple[str, ...], dict[str, list[Decimal]]] = {}
    periods: dict[tuple[str, ...], str | None] = {}
    for document in found:
        if read := earning(document):
            period = document.get("period")
            period = period if period in ("monthly", "4-month", "cumulative-quarter", "yearly") else None
            key: tuple[str, ...] = (read[0], period or "") if by_period else (read[0],)
            periods[key] = period
            groups.setdefault(key, {"profit": [], "loss": []})[read[1]].append(read[2])
    rows = []
    for key, kinds in sorted(groups.items()):
        profit, loss = total(kinds["profit"]), total(kinds["loss"])
        named = {"currency": key[0]} | ({"period": periods[key]} if by_period else {})
        sums = {"profit": text(profit), "loss": text(loss), "net": text(total([profit, -loss]))}
        rows.append({**named, "earnings": len(kinds["profit"]) + len(kinds["loss"]), **sums})
    return {"results": rows, "unreadable": sum(earning(one) is None for one in found)}


def org_earnings(store: Store, asked: Document) -> Any:
    """Give an organisation's results."""
    organisation = subject(store, "orgzs", asked, "org_id")
    return results([one for one in store["orgzearnings"] if one.get("orgz") == organisation["_id"]], by_period=True)


def by_status(name: str, found: Iterable[Document]) -> list[Document]:
    """Count by status, those without one first."""
    counts = Counter(one["status"] if isinstance(one.get("status"), str) else "" for one in found)
    return [{"status": status or None, name: count} for status, count in sorted(counts.items())]


def project_overview(store: Store, asked: Document) -> Any:
    """Give everything about a project in one answer."""
    project = subject(store, "projects", asked, "project_id")
    workers = [person(one, "role", "project") for one in referred(store, "projectworkers", project.get("workers"))]
    earned_by_it = [one for one in store["projectearnings"] if one.get("project") == project["_id"]]
    return {
        "project": whole(project, "designs", "steps", "workers", "earnings"),
        "designs": len(referred(store, "designs", project.get("designs"))),
        "steps": by_status("steps", referred(store, "projectsteps", project.get("steps"))),
        "notes": by_status("notes", notes_on(store, project["_id"])),
        "workers": {"workers": workers[:100], "more": len(workers) > 100},
        "earnings": results(earned_by_it, by_period=False),
    }


def unreadable(payment: Document) -> bool:
    """Tell whether a payment can be added up."""
    return code(payment.get("currency")) is None or paid_text(payment.get("amount")) is None
