"""What can go wrong in the life of a payment, in its own words."""

from enum import StrEnum

from paytabs.answers import PARKED, Answer


class PaymentsError(Exception):
    """Raised when a payment's life cannot go on as asked; the root of this package's errors."""


class InboxUnavailable(PaymentsError):
    """Raised when a delivery may or may not have been stored: the sender must deliver it again.

    Attributes:
        delivery_id: The delivery whose fate is unknown.
        reason: The driver's error class, for logs and counters.
    """

    def __init__(self, delivery_id: str, reason: str) -> None:
        self.delivery_id = delivery_id
        self.reason = reason
        super().__init__(delivery_id, reason)

    def __str__(self) -> str:
        return f"delivery {self.delivery_id} could not be stored for certain ({self.reason})"


class DeliveryLost(PaymentsError):
    """Raised when a worker finishes a delivery that another worker has taken over since: its write was not made.

    Attributes:
        delivery_id: The delivery that is no longer this worker's.
        fence: The number under which this worker held it.
    """

    def __init__(self, delivery_id: str, fence: int) -> None:
        self.delivery_id = delivery_id
        self.fence = fence
        super().__init__(delivery_id, fence)

    def __str__(self) -> str:
        return f"delivery {self.delivery_id} is no longer held under fence {self.fence}"


class GuardMissing(PaymentsError):
    """Raised when an index is missing that keeps money from moving twice: nothing is accepted until it is there again.

    Attributes:
        index: Its name.
    """

    def __init__(self, index: str) -> None:
        self.index = index
        super().__init__(index)

    def __str__(self) -> str:
        return f"the index {self.index} of payment_operations is missing: nothing is accepted or sent without it"


class Refusal(StrEnum):
    """Why a request is refused, for programs: `InvalidArgument.code`; a code keeps its meaning for ever."""

    PAYMENT_UNKNOWN = "payment_unknown"
    # Stored cards.
    CARD_KEY_MISSING = "card_key_missing"
    CARD_UNKNOWN = "card_unknown"
    CARD_FORGOTTEN = "card_forgotten"
    CARD_EXPIRED = "card_expired"
    CARD_WAITING = "card_waiting"
    CARD_UNREADABLE = "card_unreadable"
    CARD_OF_ANOTHER_CLIENT = "card_of_another_client"
    # Agreements upon which instalments are charged.
    AGREEMENT_FULL = "agreement_full"
    AGREEMENT_AMOUNT = "agreement_amount"
    AGREEMENT_CURRENCY = "agreement_currency"
    AGREEMENT_NOT_BEGUN = "agreement_not_begun"
    AGREEMENT_ENDED = "agreement_ended"
    AGREEMENT_TOO_SOON = "agreement_too_soon"
    INSTALMENT_UNDER_WAY = "instalment_under_way"
    PAGE_OPEN = "page_open"
    CALLBACK_NOT_PUBLIC = "callback_not_public"
    # The CMS's word about its own payment stands in the way.
    STATUS_UNREADABLE = "cms_status_unreadable"
    SETTLED_OUTSIDE = "settled_outside"
    NOT_SETTLED_OUTSIDE = "not_settled_outside"
    CMS_WORD_OPEN = "cms_word_open"


class InvalidArgument(PaymentsError, ValueError):
    """Raised when a caller asked for something that cannot be done as asked; asking again cannot help.

    Attributes:
        field: The argument or document field at fault.
        expected: What would have been accepted.
        code: Why, as one of `Refusal`, for programs; the words may change, the code does not.
    """

    def __init__(self, field: str, expected: str, code: str | None = None) -> None:
        self.field = field
        self.expected = expected
        self.code = code
        super().__init__(field, expected, *([code] if code else []))

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}"


class OperationConflict(InvalidArgument):
    """Raised when an operation id is used again with other parameters; the operation stands as first asked."""


class NotYet(PaymentsError):
    """Raised when work is in other hands or parked and the caller may look again later.

    Attributes:
        payment_id: The payment that is being worked on.
        delay_seconds: How long it makes sense to wait.
        reason: Why, in a short machine word.
    """

    def __init__(self, payment_id: str, delay_seconds: float, reason: str) -> None:
        self.payment_id = payment_id
        self.delay_seconds = delay_seconds
        self.reason = reason
        super().__init__(payment_id, delay_seconds, reason)

    def __str__(self) -> str:
        return f"payment {self.payment_id}: {self.reason}, again in {self.delay_seconds:g} s"


class LedgerBehind(PaymentsError):
    """Raised when a copy outside knows of sends that the database does not: nothing is sent until somebody says so."""


class RowWaits(NotYet):
    """Raised when what was asked for stands in a row, which goes on without its caller."""


def note_sent(error: BaseException) -> None:
    """Note on an error that PayTabs had been sent something before it was raised."""
    vars(error)["sent"] = True


def was_sent(error: BaseException) -> bool:
    """Tell whether PayTabs had been sent something before an error was raised: what became of that is not booked."""
    return "sent" in vars(error)


class StreamContended(PaymentsError):
    """Raised when other writers won every race for a payment's next event; trying again later helps.

    Attributes:
        payment_id: The payment whose stream is busy.
    """

    def __init__(self, payment_id: str) -> None:
        self.payment_id = payment_id
        super().__init__(payment_id)

    def __str__(self) -> str:
        return f"payment {self.payment_id}: other writers won every race for its next event"


class PaymentBusy(StreamContended):
    """Raised when another operation of the payment is in hand at this moment; trying again later helps.

    Attributes:
        operation_id: The operation that is in hand.
    """

    def __init__(self, payment_id: str, operation_id: str) -> None:
        super().__init__(payment_id)
        self.operation_id = operation_id
        self.args = (payment_id, operation_id)

    def __str__(self) -> str:
        return f"payment {self.payment_id}: operation {self.operation_id} is in hand"


class GatewaySilent(StreamContended):
    """Raised when PayTabs did not say what was asked, and asking again later does no harm.

    Attributes:
        detail: Why, in a short machine word.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("")
        self.detail = detail
        self.args = (detail,)

    def __str__(self) -> str:
        return f"PayTabs does not say: {self.detail}"


def no_answer(answer: Answer, payment_id: str = "") -> NotYet | GatewaySilent:
    """Return what to raise when PayTabs was not asked, or did not say.

    Args:
        answer: what stands in place of an answer.
        payment_id: what was asked about, if it was a payment.

    Returns:
        When it may be asked again if it may not be called now, else what makes the task try again by itself.
    """
    if answer.detail == PARKED:
        return NotYet(payment_id, answer.retry_after_seconds or 1.0, PARKED)
    return GatewaySilent(answer.detail)


class EventUnreadable(PaymentsError, KeyError):
    """Raised when this version cannot tell what a stored event says: half a history must decide nothing.

    Attributes:
        type_name: The event's type.
        schema_version: The version of its data.
        reason: What is missing.
    """

    def __init__(self, type_name: str, schema_version: object, reason: str) -> None:
        self.type_name = type_name
        self.schema_version = schema_version
        self.reason = reason
        super().__init__(type_name, schema_version, reason)

    def __str__(self) -> str:
        return f"an event {self.type_name} of schema version {self.schema_version} cannot be read: {self.reason}"


class NeverAgain(PaymentsError):
    """Raised when a reaction to an event cannot succeed however often it is tried, or is not wanted any more."""


class NotDelivered(PaymentsError):
    """Raised when somebody outside could not be told; telling them again later may succeed.

    Attributes:
        retry_after_seconds: How long they asked to be left alone, if they did.
    """

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class SealsDiffer(PaymentsError):
    """Raised when the seals in the database are not those outside it: a person has to look before there are more."""


class ReplayTaken(PaymentsError):
    """Raised when somebody else goes on with the same replay at the same time.

    Attributes:
        replay_id: The replay.
    """

    def __init__(self, replay_id: str) -> None:
        super().__init__(replay_id)
        self.replay_id = replay_id

    def __str__(self) -> str:
        return f"replay {self.replay_id}: somebody else goes on with it"
