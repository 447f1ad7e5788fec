"""Seeded users with their permissions and salaries, and organisations with their earnings."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import Any

from workers.demo_cms import PASSWORD_HASH
from workers.seed_plan import PER_ORG, PER_USER, SeedPlan, chosen

Document = dict[str, Any]

#: A document and the collection it goes to.
Made = tuple[str, Document]

FIRST_NAMES = ("Huda", "Omar", "Layla", "Yusuf", "Salma", "Khalid", "Nora", "Faisal", "Amal", "Tariq", "Rana", "Sami")
LAST_NAMES = ("Alharbi", "Mansour", "Haddad", "Qasim", "Alotaibi", "Nasser", "Saleh", "Farouk", "Khoury", "Aziz")
CITIES = ("Riyadh", "Jeddah", "Dammam", "Dubai", "Cairo", "Amman", "Muscat", "Kuwait City")
TRADES = ("Engineer", "Architect", "Accountant", "Foreman")
PERMISSION_TYPES = ("Approve", "Read", "Write", "Modify")
PERMISSION_STATUSES = ("granted", "granted", "granted", "rejected", "revoke")
PERIODS = ("monthly", "4-month", "cumulative-quarter", "yearly")

#: What earnings and payments are in; most of them in riyals.
CURRENCIES = ("SAR",) * 14 + ("AED", "AED", "USD", "EGP", "EGP", "KWD")

#: Which part of the documents is awkward in each way.
RARELY, SELDOM = 0.003, 0.03

#: One or the other; and the part of the earnings that is losses.
HALF, LOSSES = 0.5, 0.25


def mongoose(plan: SeedPlan, kind: str, number: int, made: datetime, **fields: Any) -> Document:  # noqa: ANN401 - BSON
    """Return a document as Mongoose writes it, made at that time and not changed since."""
    return {"_id": plan.object_id(kind, number, made), **fields, "createdAt": made, "updatedAt": made, "__v": 0}


def currency(random: Random) -> str:
    """Draw a currency; a few are written in lower case."""
    drawn = chosen(CURRENCIES, random.random())
    return drawn.lower() if random.random() < SELDOM else drawn


def person(plan: SeedPlan, number: int, random: Random) -> Document:
    """Return what users and workers have in common."""
    first, last = chosen(FIRST_NAMES, random.random()), chosen(LAST_NAMES, random.random())
    city = chosen(CITIES, random.random())
    phone = f"+9665{(plan.seed * 7_919_117 + number) % 10**8:08d}"
    name = f"{first.lower()}.{last.lower()}.{plan.seed:x}.{number}"
    street = f"{1 + int(random.random() * 200)} King Fahd Road"
    return {
        "fullName": f"{first} {last}", "username": name, "phone": phone,
        "email": f"{name}@example.com", "password": PASSWORD_HASH, "Age": 20 + int(random.random() * 45),
        "address": {"title": "Home", "street": street, "city": city, "state": city, "country": "SA"},
    }  # fmt: skip


def of_user(plan: SeedPlan, user: int, random: Random) -> Iterator[Made]:
    """Make a user, the permissions that it has, and the salary of an employee."""
    made = plan.began(user, plan.users)
    employed = plan.is_employee(user)
    fields = person(plan, user, random) | {"isEmployee": employed, "isAdmin": user % 500 == 0}
    if employed:
        fields["employeeType"] = chosen(TRADES, random.random())
    if fields["isAdmin"]:
        fields["adminType"] = "Manager"
    if random.random() < RARELY:
        del fields["fullName"], fields["address"]
    yield "users", mongoose(plan, "users", user, made, **fields)
    for child in range(PER_USER[user % 10]):
        yield "permissions", _permission(plan, user, child, made + timedelta(hours=1 + child), random)
    if employed:
        salary = {"title": "Salary", "periodically": "monthly", "amount": 3_000 + int(random.random() * 120) * 100}
        paid_out = f"{made:%Y-%m}-28"
        fields = {**salary, "employee": plan.user_id(user), "payoutDate": paid_out}
        yield "salaries", mongoose(plan, "salaries", user, made, **fields)


def _permission(plan: SeedPlan, user: int, child: int, made: datetime, random: Random) -> Document:
    given_by = plan.employee(int(random.random() * plan.users))
    project = plan.project_id(int(random.random() * plan.families))
    fields = {
        "type": chosen(PERMISSION_TYPES, random.random()), "status": chosen(PERMISSION_STATUSES, random.random()),
        "_by": given_by, "_for": plan.user_id(user) if random.random() > RARELY else plan.nobody(user),
        "onId": project, "onModel": "Project",
    }  # fmt: skip
    if random.random() < RARELY:
        del fields["status"]
    return mongoose(plan, "permissions", user * 32 + child, made, **fields)


def of_org(plan: SeedPlan, org: int, random: Random) -> Iterator[Made]:
    """Make an organisation and its earnings; its projects are those whose number leaves its own when divided."""
    made = plan.began(org, plan.orgs)
    earnings = [_org_earning(plan, org, child, made + timedelta(days=child * 2), random) for child in range(PER_ORG)]
    projects = [plan.project_id(family) for family in range(org, min(plan.families, plan.orgs * 20), plan.orgs)]
    fields = {
        "title": f"{chosen(LAST_NAMES, random.random())} Contracting {org}", "description": "Building and finishing",
        "status": "closed" if random.random() < SELDOM else "open", "owner": plan.employee(org),
        "projects": projects, "earnings": [one["_id"] for one in earnings], "profit_percentage": 0.201,
    }  # fmt: skip
    yield "orgzs", mongoose(plan, "orgzs", org, made, **fields)
    for one in earnings:
        yield "orgzearnings", one


def _org_earning(plan: SeedPlan, org: int, child: int, made: datetime, random: Random) -> Document:
    source = plan.project_id(int(random.random() * plan.families))
    fields = earning(random) | {"orgz": plan.org_id(org), "earningIds": [{"type": "project", "ids": [source]}]}
    return mongoose(plan, "orgzearnings", org * 256 + child, made, **fields)


def earning(random: Random) -> Document:
    """Draw what projects' and organisations' earnings have in common; the CMS keeps these amounts as numbers."""
    period = chosen(PERIODS, random.random())
    fields: Document = {
        "type": "loss" if random.random() < LOSSES else "profit", "period": period, "distribute_period": period,
        "title": "Earnings", "description": "Booked at the end of the period",
        "amount": int(random.random() * 5_000_000) / 100, "currency": currency(random),
    }  # fmt: skip
    if random.random() < RARELY:
        del fields["amount" if random.random() < HALF else "currency"]
    return fields
