"""How much seeded data there is, and the ids and times of all of it: arithmetic on a seed, and no clock.

Every id can be told without the document it belongs to, so that whatever refers to it can be made in any order and in
any process, and so that who asks questions of seeded data knows whom to ask about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from hashlib import sha256
from struct import pack

from bson import ObjectId

#: What there is at scale 1. A family is a contract with its payments and its project with all that hangs on that.
USERS, FAMILIES, ORGS = 10_000, 50_000, 250

#: The least of each, so that the smallest scale still has something of everything.
LEAST_USERS, LEAST_FAMILIES, LEAST_ORGS = 10, 10, 1

#: The largest scale: an id has room for 16 million documents of a kind, a family for 32 of them.
LARGEST_SCALE = 10.0

#: How many of ten families in a row have how many of each: a thousand families have exactly a thousand times the mean.
PER_FAMILY: dict[str, tuple[int, ...]] = {
    "payments": (2, 4, 6, 8, 9, 10, 11, 13, 15, 22),
    "designs": (0, 0, 1, 1, 1, 2, 2, 2, 3, 3),
    "projectsteps": (0, 1, 1, 2, 2, 2, 2, 3, 3, 4),
    "projectworkers": (0, 0, 0, 0, 0, 1, 1, 1, 1, 1),
    "notes": (0, 1, 2, 3, 4, 5, 6, 8, 11, 20),
    "projectearnings": (0, 2, 3, 4, 5, 5, 6, 7, 8, 10),
}

#: How many permissions users have, and how many earnings an organisation.
PER_USER = (0, 2, 5, 8, 9, 10, 11, 13, 17, 25)
PER_ORG = 200

#: Of ten users this many are employees; the others are clients.
EMPLOYEES_IN_TEN = 2

#: The years that the data reaches back from its end, and the part of them in which families begin.
YEARS = 4
BEGINNINGS = 0.78

#: The day that the data ends with unless another is asked for.
ENDS = date(2026, 6, 30)


@dataclass(frozen=True)
class SeedPlan:
    """One body of seeded data.

    Attributes:
        scale: 1 is 10,000 users and 50,000 families.
        seed: other data with each.
        ends: the day that nothing is younger than.
    """

    scale: float
    seed: int = 1
    ends: date = ENDS

    @cached_property
    def users(self) -> int:
        """How many users there are."""
        return max(LEAST_USERS, round(USERS * self.scale))

    @cached_property
    def families(self) -> int:
        """How many families there are."""
        return max(LEAST_FAMILIES, round(FAMILIES * self.scale))

    @cached_property
    def orgs(self) -> int:
        """How many organisations there are."""
        return max(LEAST_ORGS, round(ORGS * self.scale))

    @property
    def documents(self) -> int:
        """How many documents there will be, of all kinds together."""
        of_families = sum(self.size_of(kind, number) for number in range(self.families) for kind in PER_FAMILY)
        of_users = sum(1 + PER_USER[number % 10] + self.is_employee(number) for number in range(self.users))
        return 2 * self.families + of_families + of_users + self.orgs * (1 + PER_ORG)

    def size_of(self, kind: str, family: int) -> int:
        """Tell how many of a kind a family has; which of ten it is differs from kind to kind."""
        return PER_FAMILY[kind][(7 * family + 3 * len(kind)) % 10]

    def is_employee(self, user: int) -> bool:
        """Tell whether a user is an employee."""
        return user % 10 < EMPLOYEES_IN_TEN

    def employee(self, number: int) -> ObjectId:
        """Return the id of some employee, another one for each number up to all of them."""
        all_of_them = self.users // 10 * EMPLOYEES_IN_TEN
        place = number % max(1, all_of_them)
        return self.user_id(place // EMPLOYEES_IN_TEN * 10 + place % EMPLOYEES_IN_TEN)

    def client(self, number: int) -> ObjectId:
        """Return the id of some client."""
        in_ten = 10 - EMPLOYEES_IN_TEN
        place = number % max(1, self.users // 10 * in_ten)
        return self.user_id(place // in_ten * 10 + EMPLOYEES_IN_TEN + place % in_ten)

    def user_id(self, user: int) -> ObjectId:
        """Return a user's id."""
        return self.object_id("users", user, self.began(user, self.users))

    def org_id(self, org: int) -> ObjectId:
        """Return an organisation's id."""
        return self.object_id("orgzs", org, self.began(org, self.orgs))

    def project_id(self, family: int) -> ObjectId:
        """Return the id of a family's project."""
        return self.object_id("projects", family, self.family_began(family))

    def contract_id(self, family: int) -> ObjectId:
        """Return the id of a family's contract."""
        return self.object_id("contracts", family, self.family_began(family))

    def family_began(self, family: int) -> datetime:
        """Tell when a family's contract and project were made."""
        return self.began(family, self.families)

    def earning_made(self, family: int, child: int) -> datetime:
        """Tell when an earning of a family's project was booked: one every month."""
        return self.family_began(family) + timedelta(days=30 * child)

    def began(self, number: int, of: int) -> datetime:
        """Tell when one of so many was made: they follow each other evenly, to the millisecond."""
        span_ms = int(YEARS * 365 * BEGINNINGS) * 86_400_000
        return self._begins + timedelta(milliseconds=span_ms * number // of)

    def object_id(self, kind: str, number: int, made: datetime) -> ObjectId:
        """Return an id as a driver would have made it at that time: the second, the process, a counter."""
        seconds = int(made.timestamp())
        return ObjectId(pack(">I", seconds) + self._process(kind) + number.to_bytes(3, "big"))

    def nobody(self, number: int) -> ObjectId:
        """Return an id that no document has: what it named was deleted."""
        return self.object_id("deleted", number % 2**24, self._begins)

    def _process(self, kind: str) -> bytes:
        if kind not in self._processes:
            self._processes[kind] = sha256(f"{self.seed}:{kind}".encode()).digest()[:5]
        return self._processes[kind]

    @cached_property
    def _processes(self) -> dict[str, bytes]:
        return {}

    @cached_property
    def _begins(self) -> datetime:
        return datetime.combine(self.ends, time(), UTC) - timedelta(days=YEARS * 365)


def chosen(options: Sequence[str], at: float) -> str:
    """Return one of some options, by a number from 0 up to 1."""
    return options[int(at * len(options))]
