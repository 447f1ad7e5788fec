"""Random documents of the CMS, with everything that its collections may have wrong, for property tests.

Drawn member by member from one seeded source of chance: a strategy for every member would give documents of which most
members are the simplest they could be, and hardly ever two that have to do with each other.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from bson import Decimal128, Int64, ObjectId
from hypothesis import strategies as st

Document = dict[str, Any]
Draw = Callable[[Random], Any]

#: When the answers are made.
NOW = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)

#: Every collection and how many documents it has at most; ids are numbered, so that references hit or dangle.
SIZES = {
    "users": 3, "contracts": 3, "payments": 14, "projects": 4, "designs": 4, "projectsteps": 5, "projectworkers": 3,
    "notes": 8, "permissions": 8, "projectearnings": 12, "orgzearnings": 12, "orgzs": 2,
}  # fmt: skip

#: What no answer may hold.
SECRET = "$2b$10$planted.secret"


def one_of(*values: Any) -> Draw:
    """Draw one of some values."""
    return lambda chance: chance.choice(values)


def either(usual: Draw, odd: Draw) -> Draw:
    """Draw mostly what is usual."""
    return lambda chance: (usual if chance.random() < USUALLY else odd)(chance)


#: How often a value is as it should be, and a member there at all.
USUALLY = 0.75


def identity(collection: str, place: int) -> ObjectId:
    """Give the id of a collection's document."""
    return ObjectId(f"{list(SIZES).index(collection) + 1:08x}{place:016x}")


def reference(collection: str) -> Draw:
    """Refer to a document that is there or not, often to the first, or to nothing."""
    there = [identity(collection, place) for place in range(SIZES[collection])]
    return one_of(*there[:1] * len(there), *there, ObjectId("f" * 24), None)


def references(collection: str) -> Draw:
    """Refer to several, some twice; or hold what is no list."""
    one = reference(collection)
    return either(lambda chance: [one(chance) for _ in range(chance.randint(1, 6))], either(one, one_of(None, [])))


CREATED = one_of(
    *(NOW - timedelta(days=days) for days in (0, 1, 29, 30, 31, 60, 89, 90, 400)),
    NOW + timedelta(days=1), datetime(2026, 5, 31, 23, 59, 59, 999000, tzinfo=UTC), None, "2026-05-01",
)  # fmt: skip
CURRENCY = either(one_of("SAR", "SAR", "sar", " sar ", "USD", "usd"), one_of("SAR", "", "riyal", "S1R", None, 682))
PAID_TEXT = either(
    lambda chance: f"{chance.randint(0, 9_999_999) / 100:.2f}",
    one_of(
        "115.00", " 7.5 ", "0", "0.125", "0.000000001", "123456789012345.123456789", "", "abc", "1e3", "-5", "+5",
        "1,000.00", "NaN", "Infinity", "1234567890123456", ".5", "5.", 12.5, 5, None, Decimal128("1.5"),
    ),
)  # fmt: skip
EARNED = either(
    lambda chance: chance.randint(-999_999_999, 9_999_999_999) / 100,
    one_of(
        0.1, 0.2, 0.1 + 0.2, 1 / 3, 2 / 3, 1234567.891, -0.0, 5, Int64(7), 1e15, -1e15, float("nan"), float("inf"),
        "12.50", None, Decimal128("1.10"), Decimal128("NaN"), Decimal128("-Infinity"), *(True, [5]),
    ),
)  # fmt: skip
STATUS = either(
    one_of("pending", "paid", "refunded", "failed"),
    one_of("Paid", " refunded\t", "", "FAILED ", "paid\0", ["failed"], None, 7),
)
WORD = one_of("open", "done", "seen", None, 4)
PERSON: dict[str, Draw] = {
    "fullName": one_of("Huda"), "password": one_of(SECRET), "resetToken": one_of(SECRET),
    "isAdmin": one_of(*(True, False)),
    "address": one_of({"street": "King Fahd Road", "password": SECRET, "doorCode": SECRET}, "Riyadh", None),
}  # fmt: skip
EARNING: dict[str, Draw] = {
    "type": either(one_of("profit", "loss"), one_of("gift", None)), "amount": EARNED, "currency": CURRENCY,
    "period": one_of("monthly", "yearly", "weekly", None),
}  # fmt: skip
BOOKED: dict[str, Draw] = {
    "captured": PAID_TEXT,
    "refunded": PAID_TEXT,
    "released": PAID_TEXT,
    "secret": one_of(SECRET),
}

#: Each collection's members; any may be missing.
MEMBERS: dict[str, dict[str, Draw]] = {
    "users": PERSON,
    "contracts": {"employee": references("users"), "paymentsIds": references("payments"), "title": one_of("Villa")},
    "payments": {
        "amount": PAID_TEXT, "currency": CURRENCY, "status": STATUS, "createdAt": CREATED,
        "gateway": lambda chance: members(chance, BOOKED) if chance.random() < 1 / 2 else None,
        "client": reference("users"), "contractId": reference("contracts"), "title": one_of("Instalment"),
    },
    "projects": {
        "employee": reference("users"), "designs": references("designs"), "steps": references("projectsteps"),
        "workers": references("projectworkers"), "status": WORD, "earnings": references("projectearnings"),
    },
    "designs": {"desc": one_of("Plan"), "path": one_of("plans/1.pdf"), "password": one_of(SECRET)},
    "projectsteps": {"status": WORD, "content": one_of("Dig", {"text": "Dig", "password": SECRET})},
    "projectworkers": PERSON | {"role": one_of("Mason")},
    "notes": {
        "onModel": one_of("Project", "Project", "Design", None), "onId": reference("projects"), "status": WORD,
        "author": one_of({"fullName": "Huda", "passwordHash": SECRET}, None),
    },
    "permissions": {
        "_for": reference("users"), "type": one_of("Read"), "password": one_of(SECRET),
        "status": one_of("granted", "granted", "rejected", "revoke", None),
    },
    "projectearnings": EARNING | {"project": reference("projects")},
    "orgzearnings": EARNING | {"orgz": reference("orgzs")},
    "orgzs": {"title": one_of("Works"), "status": one_of("open")},
}  # fmt: skip


def members(chance: Random, drawn: dict[str, Draw]) -> Document:
    """Draw most of a document's members."""
    return {name: draw(chance) for name, draw in drawn.items() if chance.random() < USUALLY + 0.1}


def documents(chance: Random, collection: str) -> list[Document]:
    """Draw a collection, in the order of its ids."""
    count = chance.randint(SIZES[collection] // 2, SIZES[collection])
    drawn = [members(chance, MEMBERS[collection]) for _ in range(count)]
    return [{"_id": identity(collection, place), **one, "__v": 0} for place, one in enumerate(drawn)]


#: How long before now events were recorded, in days: also just on the edges of what is asked about.
RECORDED = (0, 0.01, 1, 5, 5.001, 8, 29.9, 30, 35, 38)


def event(chance: Random, place: int) -> Document:
    """Draw an event about one of a few charges; only the first two can share their time with an edge."""
    status = chance.choice(["page", "page", "A", "A", "D", "E", "C", "X", "V", "H", "P"])
    tran_type = chance.choice(["sale", "sale", "sale", "auth", "refund"])
    said = {"status": status, "tran_type": tran_type} | ({"code": "G1"} if chance.random() < 1 / 2 else {})
    said |= {"previous_tran_ref": "T0"} if chance.random() < 1 / 5 else {}
    return {
        "_id": f"{place}", "payment_id": identity("payments", place), "version": 1,
        "recorded_at": NOW - timedelta(days=chance.choice(RECORDED)) + timedelta(milliseconds=place // 2 * 700),
        "type": "PageOpened" if status == "page" else "TransactionObserved",
        "data": {"tran_ref": f"T{chance.randint(1, 5)}"} | ({} if status == "page" else said),
    }  # fmt: skip


def _cms(chance: Random) -> dict[str, list[Document]]:
    events = {"payment_events": [event(chance, place) for place in range(chance.randint(4, 16))]}
    return {name: documents(chance, name) for name in SIZES} | events


#: The whole of the CMS's database, and our events.
CMS = st.randoms(use_true_random=True).map(_cms)


def _id_of(collection: str) -> st.SearchStrategy[str]:
    return st.sampled_from([str(identity(collection, place)) for place in (0, 0, 0, 0, 1, SIZES[collection])])


_EARNINGS = [str(identity(name, place)) for name in ("projectearnings", "orgzearnings") for place in range(6)]
_PAGE: dict[str, st.SearchStrategy[Any]] = {"limit": st.sampled_from([1, 2, 100]), "skip": st.sampled_from([0, 0, 1])}
_SINCE = st.sampled_from([None, NOW - timedelta(days=90), NOW - timedelta(days=30)])
_PROJECT, _USER = {"project_id": _id_of("projects")}, {"user_id": _id_of("users")}

#: What each aggregation is asked with.
ASKED: dict[str, st.SearchStrategy[Any]] = {
    name: st.fixed_dictionaries(members)
    for name, members in {
        "contract_employees": {"contract_id": _id_of("contracts")},
        "project_designs": _PROJECT | _PAGE,
        "project_steps": _PROJECT | _PAGE,
        "project_notes": _PROJECT | _PAGE,
        "earnings_compound": {"earning_ids": st.lists(st.sampled_from(_EARNINGS), min_size=1, max_size=12)},
        "user_permissions": _USER | _PAGE,
        "user_projects": _USER | _PAGE,
        "payments_summary": {"since": _SINCE, "until": st.sampled_from([None, NOW])},
        "client_payments": {
            "client_id": _id_of("users"), "status": st.sampled_from([None, "pending", "paid", "failed"]), **_PAGE
        },
        "contract_balance": {"contract_id": _id_of("contracts")},
        "org_earnings": {"org_id": _id_of("orgzs")},
        "project_overview": _PROJECT,
        "receivables_ageing": {"brackets_days": st.sampled_from([[30, 60, 90], [1], [29, 31, 400]])},
        "gateway_performance": {
            "since": st.sampled_from([None, NOW - timedelta(days=38)]), "days": st.sampled_from([5, 30, 60])
        },
    }.items()
}  # fmt: skip
