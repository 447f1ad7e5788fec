"""What the payments of a run are meant to come to: everything that payers, callers and PayTabs' staff may do to one.

A shape says who does what, in which order, and where the payment must stand in the end. Sums are in tenths of the
payment's amount, so that they are exact in every currency.
"""

from dataclasses import dataclass

#: What a caller asks after the payment: the action and how many tenths of the amount.
Step = tuple[str, int]


@dataclass(frozen=True)
class Shape:
    """One way a payment can go.

    Attributes:
        name: What it is called in tables.
        state: Where the payment stands in the end.
        captured: Tenths of the amount that are taken in the end; `released` and `refunded` likewise.
        transaction: What the page is asked for: `sale` or `auth`.
        pages: What the payer does with each page, in turn: a card, `cancel`, `leave`; `form` is a charge without one,
            `die` a page that nobody pays in time, `late` one that is paid in its last moment, `voucher` a reference
            that outlives its page, `refuse` one that PayTabs refuses by an unlisted code, `register` a card that is
            kept, and `card` a charge of it.
        staff: What PayTabs' staff, or time, does with the last page's transaction.
        steps: What the caller asks for afterwards.
        plant: The mismatch that the run plants, a key of `stories.PLANTS`.
        review: How the case begins that a human must find, and nothing else may be found; empty for none.
        cms: What the CMS does to its document while the first page is open: `delete`, `edit`, or `paid` by hand.
        status: What the CMS reads in the end, where that is not what the state says.
        unlisted: Whether PayTabs answers the first follow-up with a code that is in no list.
        currency: The currency that is asked for; one of the drawn ones when empty.
    """

    name: str
    state: str
    captured: int = 0
    released: int = 0
    refunded: int = 0
    transaction: str = "sale"
    pages: tuple[str, ...] = ("authorised",)
    staff: str | None = None
    steps: tuple[Step, ...] = ()
    plant: str | None = None
    review: str = ""
    cms: str = ""
    status: str = ""
    unlisted: bool = False
    currency: str = ""


#: Payments that nobody asks anything of afterwards.
PLAIN = (
    Shape("paid", "PAID", 10),
    Shape("paid with 3-D Secure", "PAID", 10, pages=("three_ds",)),
    Shape("charged without a page", "PAID", 10, pages=("form",)),
    Shape("authorised", "AUTHORISED", transaction="auth"),
    Shape("declined", "DECLINED", pages=("declined",)),
    Shape("declined, the bank may have paid", "DECLINED", pages=("declined_doubtful",)),
    Shape("error", "ERROR", pages=("error_doubtful",)),
    Shape("cancelled", "CANCELLED", pages=("cancel",)),
    Shape("declined, then paid", "PAID", 10, pages=("declined", "authorised")),
    Shape("cancelled, then paid", "PAID", 10, pages=("cancel", "authorised")),
    Shape("left and expired", "EXPIRED", pages=("leave",), staff="expire"),
    Shape("left open", "AWAITING_PAYER", pages=("leave",)),
    Shape("held, then captured by hand", "PAID", 10, pages=("held",), staff="capture"),
    Shape("held, then freed by hand", "VOIDED", released=10, pages=("held",), staff="void"),
    Shape("deferred, then settled", "PAID", 10, pages=("pending",), staff="settle"),
    Shape("deferred, then expired", "EXPIRED", pages=("pending",), staff="expire"),
)

#: Payments with follow-ups; those with a single one come last.
FOLLOWED = (
    Shape("refunded in three", "REFUNDED", 10, 0, 10, steps=(("refund", 3), ("refund", 3), ("refund", 4))),
    Shape("captured in two", "PAID", 10, transaction="auth", steps=(("capture", 4), ("capture", 6))),
    Shape("captured, rest released", "PAID", 7, 3, transaction="auth", steps=(("capture", 7), ("release", 3))),
    Shape("captured, then refunded", "REFUNDED", 10, 0, 10, "auth", steps=(("capture", 10), ("refund", 10))),
    Shape("refunded in parts", "PART_REFUNDED", 10, 0, 5, steps=(("refund", 2), ("refund", 3))),
    Shape("charged, then refunded", "REFUNDED", 10, 0, 10, pages=("form",), steps=(("refund", 10),)),
    Shape("captured in part", "PART_CAPTURED", 4, transaction="auth", steps=(("capture", 4),)),
    Shape("captured", "PAID", 10, transaction="auth", steps=(("capture", 10),)),
    Shape("voided", "VOIDED", 0, 10, transaction="auth", steps=(("void", 10),)),
    Shape("released", "VOIDED", 0, 10, transaction="auth", steps=(("release", 10),)),
    Shape("released in part", "AUTHORISED", 0, 4, transaction="auth", steps=(("release", 4),)),
    Shape("refunded in part", "PART_REFUNDED", 10, 0, 3, steps=(("refund", 3),)),
    Shape("refunded", "REFUNDED", 10, 0, 10, steps=(("refund", 10),)),
)

#: Payments with a mismatch that only a human may settle; a notice of another profile is refused at the door.
PLANTED = (
    Shape("another amount told", "PAID", 10, plant="amount", review="a notice with another amount"),
    Shape("another currency told", "PAID", 10, plant="currency", review="a notice in another currency"),
    Shape("another profile told", "PAID", 10, plant="profile"),
    Shape("another cart told", "PAID", 10, plant="cart", review="a notice for another cart"),
    Shape("never paid, told as paid", "REVIEW", pages=("leave",), plant="lie",
          review="a signed notice that no query confirms"),
    Shape("old page paid too", "REVIEW", 20, pages=("declined", "authorised"), plant="old_page", review="paid twice"),
)  # fmt: skip

#: Payments at the edges: pages that die, vouchers that outlive theirs, codes in no list, kept cards, a CMS that edits.
EDGES = (
    Shape("page died, the next one paid", "PAID", 10, pages=("die", "authorised")),
    Shape("two pages died, the next one paid", "PAID", 10, pages=("die", "die", "authorised")),
    Shape("page died, charged without one", "PAID", 10, pages=("die", "form")),
    Shape("paid in the page's last moment", "PAID", 10, pages=("late",)),
    Shape("voucher that outlives its page", "PAID", 10, pages=("voucher",), staff="settle"),
    Shape("refused by an unlisted code, corrected, paid", "PAID", 10, pages=("refuse", "authorised"), currency="QAR"),
    Shape("refund answered by an unlisted code", "PART_REFUNDED", 10, 0, 3, steps=(("refund", 3),), unlisted=True),
    Shape("card registered, then charged", "PAID", 10, pages=("register", "card")),
    Shape("card registered, charged, refunded", "REFUNDED", 10, 0, 10, pages=("register", "card"),
          steps=(("refund", 10),)),
    Shape("deleted by the CMS under way", "PAID", 10, cms="delete"),
    Shape("edited by the CMS under way", "PAID", 10, cms="edit"),
    Shape("set to paid by the CMS, then declined", "DECLINED", pages=("declined",), cms="paid", status="paid",
          review="the CMS has set status to"),
)  # fmt: skip

#: Payments that are paid and given back, wholly or in part, by one refund.
REFUNDED_ONCE = tuple(shape for shape in FOLLOWED if shape.steps in ((("refund", 3),), (("refund", 10),)))
