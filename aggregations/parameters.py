"""What aggregations are asked with: closed models with a limit on everything that could grow."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from aggregations.plain import iso_utc

#: The most members that one list of an answer has, and the most ids that are asked about at once.
MOST = 1_000

#: How many members a list has when nobody says.
USUAL = 100

#: The longest span of days that is asked about.
MOST_DAYS = 92


def _moment(value: object) -> object:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, datetime) and moment.tzinfo is not None:
            utc = moment.astimezone(UTC)
            return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError("moment", "a time as ISO-8601 with its zone, such as 2026-08-06T10:15:30Z")


def _before_the_last_days(moment: datetime) -> datetime:
    if moment >= datetime.max.replace(tzinfo=UTC) - timedelta(days=MOST_DAYS):
        raise PydanticCustomError("too_late", "a time that ends before the year 10000 with its days")
    return moment


def _ascending(days: list[int]) -> list[int]:
    if days != sorted(set(days)):
        raise PydanticCustomError("ascending", "days in ascending order, none twice")
    return days


#: A MongoDB id as callers write it.
DocumentId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]

#: A time: ISO-8601 text with its zone; UTC and to the millisecond from here on, as MongoDB keeps it.
#: A cache's key is made of it as JavaScript's `toISOString` writes it, so that other readers find what is remembered.
Moment = Annotated[datetime, BeforeValidator(_moment), PlainSerializer(iso_utc, when_used="json-unless-none")]


class Parameters(BaseModel):
    """What an aggregation is asked with; subclasses name the parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Page(Parameters):
    """Which part of a list: at most `limit` members after the first `skip`; the answer's `more` says if it goes on."""

    limit: Annotated[int, Field(ge=1, le=MOST)] = USUAL
    skip: Annotated[int, Field(ge=0, le=100_000)] = 0


class ContractParameters(Parameters):
    """A contract's id, 24 hexadecimal digits."""

    contract_id: DocumentId


class ProjectParameters(Parameters):
    """A project's id."""

    project_id: DocumentId


class UserParameters(Parameters):
    """A user's id."""

    user_id: DocumentId


class ClientParameters(Parameters):
    """The id of a user who pays."""

    client_id: DocumentId


# Of two bases the second one's parameters come first, also where they are given by position: whose list, then the part.
class ProjectPage(Page, ProjectParameters):
    """A project's id, and which part of its list."""


class UserPage(Page, UserParameters):
    """A user's id, and which part of the user's list."""


class PermissionsPage(UserPage):
    """A user's id; all permissions unless there are very many, because who acts on them must not miss one."""

    limit: Annotated[int, Field(ge=1, le=MOST)] = MOST


class ClientPage(Page, ClientParameters):
    """A client's id, which of the client's payments (`pending` includes those without a status), and which part."""

    status: Literal["pending", "paid", "refunded", "failed"] | None = None


class EarningsParameters(Parameters):
    """The ids of earnings, of projects or of organisations."""

    earning_ids: Annotated[list[DocumentId], Field(min_length=1, max_length=MOST)]


class OrgParameters(Parameters):
    """An organisation's id."""

    org_id: DocumentId


class SpanParameters(Parameters):
    """The payments created from `since` on and before `until`; both may be left out."""

    since: Moment | None = None
    until: Moment | None = None

    @model_validator(mode="after")
    def _forwards(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise PydanticCustomError("span", "since to be earlier than until")
        return self


class AgeParameters(Parameters):
    """Where one age bracket ends and the next begins, in days."""

    brackets_days: Annotated[
        list[Annotated[int, Field(ge=1, le=3_650)]], Field(min_length=1, max_length=12), AfterValidator(_ascending)
    ] = [30, 60, 90]


class RecentParameters(Parameters):
    """`days` from `since` on; without `since` the last ones."""

    since: Annotated[Moment, AfterValidator(_before_the_last_days)] | None = None
    days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 30
