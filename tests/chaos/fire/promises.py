"""The promises that every run under fire is held to, each judged from the books of both sides."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from payments.events import broken_link
from tasks.wiring import World
from tests.chaos.fire.books import SUMS, Books, unlike
from tests.chaos.fire.driver import Driver
from tests.chaos.fire.report import Line
from tests.chaos.fire.stories import Story

#: What the CMS reads for each state; every other one is "pending".
CMS_STATUS = {
    "PAID": "paid", "PART_CAPTURED": "paid", "PART_REFUNDED": "paid", "REFUNDED": "refunded", "VOIDED": "failed",
    "DECLINED": "failed", "ERROR": "failed", "CANCELLED": "failed", "EXPIRED": "failed",
}  # fmt: skip

#: Operations about which nobody has to do anything any more.
ENDED = frozenset({"succeeded", "refused", "failed"})


def judge(books: Books, world: World) -> list[Line]:
    """Hold the books to every promise."""
    return [
        ledgers_equal(books), moved_once(books), sent_once(books), as_intended(books), documents(books),
        reviews(books), settled(books), chains(books, world),
    ]  # fmt: skip


def ledgers_equal(books: Books) -> Line:
    """Both ledgers have the same entries."""
    measured = f"{len(books.theirs())} entries at PayTabs, {len(books.ours())} of our events' references"
    return Line("the sandbox's ledger equals ours entry by entry", measured, unlike(books))


def moved_once(books: Books) -> Line:
    """No operation moved money twice, and no money moved without one."""
    homeless = [f"nobody's: {move}" for move in books.movements if move["cart_id"] not in books.owners]
    kinds = Counter(move["kind"] for move in books.movements)
    measured = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
    return Line("nothing was charged, captured, freed or refunded twice", measured, [*books.twice(), *homeless])


def sent_once(books: Books) -> Line:
    """Every cart was sent at most once, and is one of ours."""
    carts = Counter(one["body"]["cart_id"] for one in books.requests if one["path"] == "/payment/request")
    strange = [f"{cart} is of no operation" for cart in carts.keys() - books.owners.keys()]
    again = [f"{cart} was sent {times} times" for cart, times in carts.items() if times > 1]
    return Line("at most one send per cart", f"{sum(carts.values())} sends, {len(carts)} carts", [*again, *strange])


def as_intended(books: Books) -> Line:
    """Every payment's sums are those intended: at PayTabs, and in our books."""
    moved, wrong = books.moved(), []
    for story in books.stories:
        shape, gateway = story.plan.shape, books.document(story).get("gateway", {})
        for name in SUMS:
            meant = story.plan.part(getattr(shape, name))
            found = (moved[story.payment][name], Decimal(gateway.get(name, "0")))
            if found != (meant, meant):
                wrong.append(f"{_name(story)}: {name} {meant} meant, {found[0]} at PayTabs, {found[1]} here")
    return Line("each payment's sums are as intended, there and here", f"{len(books.stories)} payments", wrong)


def documents(books: Books) -> Line:
    """Every payment stands where it was meant to, and the CMS reads so."""
    wrong, states = [], Counter[str]()
    for story in books.stories:
        meant, document = story.plan.shape.state, books.document(story)
        found = (document.get("gateway", {}).get("state"), document["status"])
        states[found[1]] += 1
        if found != (meant, story.plan.shape.status or CMS_STATUS.get(meant, "pending")):
            wrong.append(f"{_name(story)}: {meant} meant, {found} read")
    measured = ", ".join(f"{number} {status}" for status, number in sorted(states.items()))
    return Line("each payment is final as intended, and the CMS's document says so", measured, wrong)


def reviews(books: Books) -> Line:
    """What needs a human is what was planted, and nothing else."""
    wrong, planted = [], 0
    for story in books.stories:
        cases = books.document(story).get("gateway", {}).get("review", [])
        meant = story.plan.shape.review
        planted += bool(meant)
        if len(cases) != bool(meant) or not all(case.startswith(meant) for case in cases):
            wrong.append(f"{_name(story)}: {meant or 'no case'} meant, {cases} found")
    return Line("`review` holds exactly the planted mismatches", f"{planted} planted", wrong)


def settled(books: Books) -> Line:
    """No operation is open or in doubt, but for pages that somebody may still pay."""
    plans = {story.payment: story.plan.shape for story in books.stories}
    wrong = []
    for row in books.rows:
        shape = plans[row["payment_id"]]
        stays_open = "leave" in shape.pages and not shape.staff
        allowed = ENDED | ({"pending"} if stays_open else set()) | ({"review"} if shape.review else set())
        if row["status"] not in allowed or row["open"] != stays_open:
            wrong.append(f"{row['_id']} is {row['status']}{', open' if row['open'] else ''}: {row['error']}")
    return Line("no operation is in doubt; open are the pages left open", f"{len(books.rows)} operations", wrong)


def chains(books: Books, world: World) -> Line:
    """The chain of hashes of every payment's events is whole."""
    histories = [(story, world.store.load(story.seeded.payment_id)) for story in books.stories]
    broken = [_name(story) for story, history in histories if broken_link(history) is not None]
    number = sum(len(history) for _, history in histories)
    return Line("every payment's chain of events is whole", f"{number} events", broken)


def stories_ended(stories: Sequence[Story], driver: Driver) -> Line:
    """Every story came to its end, and nothing happened that nobody asked for."""
    stuck = [f"{_name(story)} waits for {story.waits_for}" for story in driver.unfinished]
    wrong = [*driver.surprises, *stuck]
    measured = f"{len(stories) - len(wrong)} of {len(stories)} in {driver.lived_seconds:.0f} s"
    return Line("every payment came to its end in time", measured, wrong)


def _name(story: Story) -> str:
    return f"{story.plan.shape.name} ({story.seeded.payment_id})"
