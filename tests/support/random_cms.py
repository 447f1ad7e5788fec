"""Random documents of the CMS, with everything that its collections may have wrong: strategies for property tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Decimal128, Int64, ObjectId
from hypothesis import strategies as st

Document = dict[str, Any]
Values = st.SearchStrategy[Any]

#: When the answers are made.
NOW = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)

#: Every collection and how many documents it has at most; ids are numbered, so that references hit or dangle.
SIZES = {
    "users": 3, "contracts": 3, "payments": 8, "projects": 4, "designs": 4, "projectsteps": 4, "projectworkers": 3,
    "notes": 5, "permissions": 5, "projectearnings": 6, "orgzearnings": 6, "orgzs": 2,
}  # fmt: skip

#: What no answer may hold.
SECRET = "$2b$10$planted.secret"


def identity(collection: str, place: int) -> ObjectId:
    """Give the id of a collection's document."""
    return ObjectId(f"{list(SIZES).index(collection) + 1:08x}{place:016x}")


def reference(collection: str) -> Values:
    """Refer to a document that is there or not, or to nothing."""
    there = [identity(collection, place) for place in range(SIZES[collection])]
    return st.sampled_from([*there[:1] * 3, *there, ObjectId("f" * 24), None])


def references(collection: str) -> Values:
    """Refer to several, some twice; or hold what is no list."""
    return st.one_of(*[st.lists(reference(collection), min_size=1, max_size=5)] * 3, st.none(), reference(collection))


CREATED = st.sampled_from(
    [NOW - timedelta(days=days) for days in (0, 1, 29, 30, 31, 60, 89, 90, 400)]
    + [NOW + timedelta(days=1), datetime(2026, 5, 31, 23, 59, 59, 999000, tzinfo=UTC), None, "2026-05-01"]
)
CURRENCY = st.sampled_from(["SAR"] * 4 + ["sar", " sar ", "USD", "usd", "", "riyal", "S1R", None, 682])
MONEY_TEXT = st.decimals("0", "99999.99", places=2).map(str)
PAID_TEXT = MONEY_TEXT | MONEY_TEXT | st.sampled_from(
    ["115.00", " 7.5 ", "0", "0.125", "0.000000001", "123456789012345.123456789", "", "abc", "1e3", "-5", "+5",
     "1,000.00", "NaN", "Infinity", "1234567890123456", ".5", "5.", 12.5, 5, None, Decimal128("1.5")]
)  # fmt: skip
EARNED = st.decimals("-9999999", "9999999", places=2).map(float) | st.sampled_from(
    [0.1, 0.2, 0.1 + 0.2, 1 / 3, 2 / 3, 1234567.891, -0.0, 5, Int64(7), 1e15, -1e15, float("nan"), float("inf"),
     "12.50", True, None, Decimal128("1.10"), Decimal128("NaN"), Decimal128("-Infinity")]
)  # fmt: skip
STATUS = st.sampled_from(["pending", "pending", "paid", "paid", "refunded", "failed", "Paid", None, 7])
GATEWAY = st.fixed_dictionaries(
    {}, optional={"captured": PAID_TEXT, "refunded": PAID_TEXT, "released": PAID_TEXT, "secret": st.just(SECRET)}
)
WORD = st.sampled_from(["open", "done", "seen", None, 4])
PERIOD = st.sampled_from(["monthly", "yearly", "weekly", None])
TYPE = st.sampled_from(["profit", "loss", "loss", "gift", None])
PERSON: dict[str, Values] = {
    "fullName": st.just("Huda"), "password": st.just(SECRET), "resetToken": st.just(SECRET), "isAdmin": st.booleans(),
    "address": st.just({"street": "King Fahd Road", "password": SECRET, "doorCode": SECRET}) | st.none(),
}  # fmt: skip
EARNING: dict[str, Values] = {"type": TYPE, "period": PERIOD, "amount": EARNED, "currency": CURRENCY}

#: Stands for a member that a document does not have.
MISSING = object()

#: Each collection's members; any may be missing.
MEMBERS: dict[str, dict[str, Values]] = {
    "users": PERSON,
    "contracts": {"employee": references("users"), "paymentsIds": references("payments"), "title": st.just("Villa")},
    "payments": {
        "amount": PAID_TEXT, "currency": CURRENCY, "status": STATUS, "createdAt": CREATED, "gateway": GATEWAY,
        "client": reference("users"), "contractId": reference("contracts"), "title": st.just("Instalment"),
    },
    "projects": {
        "employee": reference("users"), "designs": references("designs"), "steps": references("projectsteps"),
        "workers": references("projectworkers"), "status": WORD, "earnings": references("projectearnings"),
    },
    "designs": {"desc": st.just("Plan"), "path": st.just("plans/1.pdf")},
    "projectsteps": {"status": WORD, "content": st.just("Dig")},
    "projectworkers": PERSON | {"role": st.just("Mason")},
    "notes": {
        "onModel": st.sampled_from(["Project", "Project", "Design", None]), "onId": reference("projects"),
        "status": WORD,
    },
    "permissions": {
        "_for": reference("users"), "type": st.just("Read"),
        "status": st.sampled_from(["granted", "granted", "rejected", "revoke", None]),
    },
    "projectearnings": EARNING | {"project": reference("projects")},
    "orgzearnings": EARNING | {"orgz": reference("orgzs")},
    "orgzs": {"title": st.just("Works"), "status": st.just("open")},
}  # fmt: skip


def documents(collection: str) -> st.SearchStrategy[list[Document]]:
    """Draw a collection: each document with most of its members, in the order of their ids."""
    mostly = {name: st.one_of(*[values] * 6, st.just(MISSING)) for name, values in MEMBERS[collection].items()}
    drawn = st.lists(st.fixed_dictionaries(mostly), min_size=SIZES[collection] // 2, max_size=SIZES[collection])
    return drawn.map(lambda found: [_numbered(collection, place, one) for place, one in enumerate(found)])


def _numbered(collection: str, place: int, drawn: Document) -> Document:
    members = {name: value for name, value in drawn.items() if value is not MISSING}
    return {"_id": identity(collection, place), **members, "__v": 0}


def _event(place: int, seen: tuple[str, str, str | None, str | None, bool, int]) -> Document:
    tran_ref, status, code, tran_type, acts, minutes = seen
    opened = status == "page"
    said = {"status": status, "tran_type": tran_type, "code": code} | ({"previous_tran_ref": "T0"} if acts else {})
    data = {"tran_ref": tran_ref} | ({} if opened else {name: value for name, value in said.items() if value})
    at = NOW - timedelta(days=40) + timedelta(minutes=minutes, milliseconds=place)
    return {
        "_id": f"{place}", "payment_id": ObjectId(f"{place:024x}"), "version": 1, "recorded_at": at, "data": data,
        "type": "PageOpened" if opened else "TransactionObserved",
    }  # fmt: skip


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["T1", "T2", "T3", "T4"]), st.sampled_from(["page", "A", "D", "E", "C", "X", "V", "H", "P"]),
        st.sampled_from(["G1", "481", None]), st.sampled_from(["sale", "auth", "sale", "refund"]), st.booleans(),
        st.sampled_from([days * 24 * 60 for days in (0, 2, 3, 10, 40, 41)]) | st.integers(0, 45 * 24 * 60),
    ),
    min_size=3,
    max_size=12,
).map(lambda seen: [_event(place, one) for place, one in enumerate(seen)])  # fmt: skip

#: The whole of the CMS's database, and our events.
CMS: st.SearchStrategy[dict[str, list[Document]]] = st.fixed_dictionaries(
    {**{name: documents(name) for name in SIZES}, "payment_events": EVENTS}
)


def _id_of(collection: str) -> Values:
    return st.sampled_from([str(identity(collection, place)) for place in (0, 0, 0, 0, 1, SIZES[collection])])


_EARNINGS = [str(identity(name, place)) for name in ("projectearnings", "orgzearnings") for place in range(6)]
_PAGE: dict[str, Values] = {"limit": st.sampled_from([1, 2, 100]), "skip": st.sampled_from([0, 0, 1])}
_SINCE = st.sampled_from([None, NOW - timedelta(days=90), NOW - timedelta(days=30)])
_PROJECT, _USER = {"project_id": _id_of("projects")}, {"user_id": _id_of("users")}

#: What each aggregation is asked with.
ASKED: dict[str, Values] = {
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
            "since": st.sampled_from([None, NOW - timedelta(days=38)]), "days": st.sampled_from([1, 30, 60])
        },
    }.items()
}  # fmt: skip
