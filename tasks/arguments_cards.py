"""What the tasks about stored cards take: ids, never a token."""

from typing import Literal

from tasks.arguments import Arguments, Decided, ObjectIdText, OfPayment, OperationId, WebAddress

#: The id of a card that is kept here: 24 lower-case hexadecimal digits.
CardId = ObjectIdText


class ListCards(Arguments):
    """The cards of a client of the CMS."""

    client_id: ObjectIdText


class ForgetCard(Decided):
    """A card that is to be forgotten."""

    card_id: CardId
    operation_id: OperationId


class ChargeCard(OfPayment):
    """A charge of a card that is kept here, for a payment of the same client."""

    card_id: CardId
    operation_id: OperationId
    payer_present: bool = False
    transaction: Literal["sale", "auth"] = "sale"
    callback_url: WebAddress | None = None
    return_url: WebAddress | None = None
