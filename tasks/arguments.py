"""What each task takes: closed models, strict types, JSON only. A mistake names its field and is never retried."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from aggregations.tokens import cluster_time
from aggregations.views import VIEWS
from paytabs.card_data import refuse_card_data
from paytabs.errors import InvalidRequest
from tasks.arguments_agreement import Agreement


def _hex_id(value: object) -> object:
    if isinstance(value, str) and len(value) == 24 and not set(value) - set("0123456789abcdef"):  # noqa: PLR2004 - an ObjectId
        return value
    raise PydanticCustomError("object_id", "an id of 24 lower-case hexadecimal digits")


def _web_address(value: str) -> str:
    if value.startswith(("https://", "http://")) and value.isascii() and value.isprintable() and " " not in value:
        return value
    raise PydanticCustomError("url", "an http(s) address")


def _known_view(value: str) -> str:
    if value in VIEWS:
        return value
    raise PydanticCustomError("view", "one of {known}", {"known": ", ".join(VIEWS)})


def _moment(value: object) -> object:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() is None:
        raise PydanticCustomError("moment", "a time in ISO-8601 with its zone, such as 2026-08-06T10:15:30Z")
    return moment


#: A time as JSON has it.
Moment = Annotated[datetime, BeforeValidator(_moment)]

#: A MongoDB id: 24 lower-case hexadecimal digits.
ObjectIdText = Annotated[str, BeforeValidator(_hex_id)]

#: A caller's idempotency key.
OperationId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]

#: An address PayTabs may call or send the payer to.
WebAddress = Annotated[str, StringConstraints(max_length=255), AfterValidator(_web_address)]

#: What aggregations are called.
AggregationName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


def _cluster_time(value: str) -> str:
    if cluster_time(value) is None:
        raise PydanticCustomError("cluster_time", "MongoDB's time as seconds.increment, such as 1767225600.3")
    return value


#: A time of the database, as text: JSON has no word for MongoDB's timestamps.
ClusterTime = Annotated[str, AfterValidator(_cluster_time)]

TranRef = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,64}$")]


class Arguments(BaseModel):
    """What every task takes: who asks. Card data is refused wherever it stands, and the refusal says why."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    requested_by: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_card_data(cls, given: object) -> object:
        try:
            refuse_card_data(given)
        except InvalidRequest as error:
            path, reason = error.field, error.expected
            raise PydanticCustomError(
                "card_data", "{reason} (found: {path})", {"reason": reason, "path": path}
            ) from None
        return given


class Decided(Arguments):
    """What somebody decides on: `audit_reason` is kept in the audit trail for good, and names nobody but staff."""

    audit_reason: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None


class OfPayment(Arguments):
    """A payment of the CMS."""

    payment_id: ObjectIdText


class CreatePage(OfPayment):
    """A hosted page for a payment."""

    transaction: Literal["sale", "auth", "register"] = "sale"
    callback_url: WebAddress | None = None
    return_url: WebAddress | None = None
    language: Literal["ar", "en", "tr"] = "ar"
    methods: Annotated[list[Annotated[str, StringConstraints(pattern=r"^-?[a-z]+$")]], Field(min_length=1)] = ["all"]
    tokenise: Annotated[int, Field(ge=2, le=6)] | None = None
    agreement: Annotated[Agreement | None, Field(json_schema_extra={"exact": True})] = None
    operation_id: OperationId | None = None


class Verify(Arguments):
    """A payment, by its id or by the reference of one of its transactions."""

    payment_id: ObjectIdText | None = None
    tran_ref: TranRef | None = None
    payer_returned: bool = False

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.payment_id is None) == (self.tran_ref is None):
            raise PydanticCustomError("one_of", "exactly one of payment_id and tran_ref")
        return self


class OfOperation(Arguments):
    """An operation in the ledger."""

    operation_id: OperationId


class OfDelivery(Arguments):
    """A delivery in the inbox: the SHA-256 of its raw body."""

    delivery_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Handle(Arguments):
    """An event, by its payment's id and its version, and the name of one of its reactions."""

    event_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}-[1-9][0-9]{0,8}$")]
    handler: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,63}$")]


class Stretch(BaseModel):
    """A stretch of time, by when events were recorded: from one moment on and before another, both optional."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    since: Moment | None = Field(None, alias="from")
    until: Moment | None = Field(None, alias="to")


class Replay(Arguments):
    """A projection to be replayed, or a replay to go on with; `range` leaves out payments without an event in it."""

    projection: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,63}$")] | None = None
    range: Stretch = Stretch()
    dry_run: bool = False
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    replay_id: Annotated[str, StringConstraints(pattern=r"^replay-[0-9a-zA-Z-]{1,64}$")] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.projection is None) == (self.replay_id is None):
            raise PydanticCustomError("one_of", "exactly one of projection and replay_id")
        return self


class Invalidate(Arguments):
    """Tags of reads that are out of date, such as `contract:65f0…`, and MongoDB's time of the change, if known."""

    tags: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[a-z_]+(:[A-Za-z0-9._-]{1,64})?$")]],
        Field(min_length=1, max_length=1_000),
    ]
    cluster_time: ClusterTime | None = None


class RefreshViews(Decided):
    """A materialised view to refresh, all that have something to do without a name; `full` builds it anew."""

    name: Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_view)] | None = None
    full: bool = False


class SyncIndexes(Arguments):
    """The declared indexes; `reason` is why they are built now, kept in the audit trail for good."""

    drop_undeclared: bool = False
    create_collections: bool = False
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class RunAggregation(Arguments):
    """An aggregation by name; its parameters are checked by its own model.

    With `cluster_time`, MongoDB's time of a write of the caller's, the answer has seen that write.
    """

    name: AggregationName
    params: dict[str, object] = Field(default_factory=dict)
    max_age_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = None
    cluster_time: ClusterTime | None = None


class RefreshAggregation(Arguments):
    """An aggregation by name, whose remembered answer has grown old."""

    name: AggregationName
    params: dict[str, object] = Field(default_factory=dict)
