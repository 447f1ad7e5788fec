"""Which card leads to which result: the sandbox's test cards, and what it takes from the card form.

Only the cards listed here are accepted, so that nobody can type a real one into a page that keeps no secrets.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from sandbox.errors import CardFieldError


@dataclass(frozen=True)
class Result:
    """What a payer's act comes to, in the gateway's terms.

    Attributes:
        status: `response_status`.
        code: `response_code`; None asks for a fresh authorisation or payer reference.
        message: `response_message`.
    """

    status: str
    code: str | None
    message: str


#: The payer pressed Cancel.
CANCELLED = Result("C", "321", "Cancelled")

#: The payer failed the 3-D Secure step.
THREE_DS_REJECTED = Result("D", "310", "3-D Secure rejected")

#: A bare card number that no card has.
INVALID_NUMBER = Result("E", "200", "Invalid card number")

#: A charge that went well.
AUTHORISED = Result("A", None, "Authorised")


@dataclass(frozen=True)
class TestCard:
    """One test card.

    Attributes:
        name: The short name under which `/sandbox/pay` knows it, and the key of its text on the page.
        number: Digits only.
        scheme: Card scheme.
        result: What paying with it comes to, after the 3-D Secure step where there is one.
        three_ds: Whether the 3-D Secure step comes first.
    """

    name: str
    number: str
    scheme: str
    result: Result
    three_ds: bool = False

    @property
    def grouped(self) -> str:
        """The number in groups of four, as printed on a card."""
        return " ".join(self.number[at : at + 4] for at in range(0, len(self.number), 4))

    @property
    def masked(self) -> str:
        """The number as the gateway shows it: first six and last four digits."""
        return f"{self.number[:4]} {self.number[4:6]}## #### {self.number[-4:]}"


#: Every card the page accepts, in the order of its table.
CARDS = (
    TestCard("authorised", "4111111111111111", "Visa", AUTHORISED),
    TestCard("authorised_mastercard", "5555555555554444", "MasterCard", AUTHORISED),
    TestCard("three_ds", "4000000000000002", "Visa", AUTHORISED, three_ds=True),
    TestCard("declined", "4000000000009995", "Visa", Result("D", "316", "Insufficient funds")),
    TestCard("declined_doubtful", "4000000000000309", "Visa", Result("D", "300", "Not authorised")),
    TestCard("held", "4000000000000408", "Visa", Result("H", None, "Authorised")),
    TestCard("pending", "4000000000000606", "Visa", Result("P", None, "Pending")),
    TestCard("error", "4000000000000317", "Visa", Result("E", "400", "Internal system error")),
    TestCard("error_doubtful", "4000000000000325", "Visa", Result("E", "401", "No response")),
    TestCard("expired", "4000000000000358", "Visa", Result("X", "355", "Transaction expired")),
)

_BY_NUMBER = {card.number: card for card in CARDS}
_BY_NAME = {card.name: card for card in CARDS}

_EXPIRY = re.compile(r"\A(0[1-9]|1[0-2]) ?/ ?(?:20)?(\d\d)\Z", re.ASCII)


@dataclass(frozen=True)
class CardEntry:
    """A card form that was filled in properly.

    Attributes:
        card: The test card.
        expiry_month: 1 to 12.
        expiry_year: Four digits.
    """

    card: TestCard
    expiry_month: int
    expiry_year: int


def usual_entry(card: TestCard) -> CardEntry:
    """Fill in a card's form as tests do, without caring for its expiry."""
    return CardEntry(card, 12, 2033)


def find_card(name_or_number: str) -> TestCard | None:
    """Find a test card by its short name or its number.

    Args:
        name_or_number: Such as `declined` or `4000 0000 0000 9995`.

    Returns:
        The card, or None.
    """
    return _BY_NAME.get(name_or_number) or _BY_NUMBER.get(re.sub(r"[ -]", "", name_or_number))


def read_card_form(number: str, expiry: str, cvv: str, now: datetime) -> CardEntry:
    """Check what the payer typed.

    Args:
        number: Card number, spaces and dashes allowed.
        expiry: `MM/YY` or `MM/YYYY`.
        cvv: Three or four digits; looked at and forgotten.
        now: The present time, against which the expiry is held.

    Returns:
        The entry.

    Raises:
        CardFieldError: Naming the first field that is wrong.
    """
    card = _BY_NUMBER.get(_check_number(re.sub(r"[ -]", "", number)))
    if card is None:
        raise CardFieldError("card-number", "not_a_test_card")
    month, year = _check_expiry(expiry.strip(), now)
    check_cvv(cvv)
    return CardEntry(card, month, year)


def check_cvv(cvv: str) -> None:
    """Check a security code; any will do.

    Args:
        cvv: Three or four digits.

    Raises:
        CardFieldError: When it is not.
    """
    if not re.fullmatch(r"[0-9]{3,4}", cvv.strip()):
        raise CardFieldError("cvv", "invalid_cvv")


def _check_number(digits: str) -> str:
    if not re.fullmatch(r"[0-9]{13,16}", digits) or not _passes_luhn(digits):
        raise CardFieldError("card-number", "invalid_number")
    return digits


def _passes_luhn(digits: str) -> bool:
    doubled = (int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0  # noqa: PLR2004 - digits end at 9


def _check_expiry(text: str, now: datetime) -> tuple[int, int]:
    match = _EXPIRY.match(text)
    if match is None:
        raise CardFieldError("expiry", "invalid_expiry")
    month, year = int(match[1]), 2000 + int(match[2])
    if (year, month) < (now.year, now.month):
        raise CardFieldError("expiry", "card_expired")
    return month, year
