from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import bson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.assessment import assess
from payments.cms_fields import ADDED, cms_fields
from payments.declines import NO_CODE, UNLISTED, decline_of, of_error, of_response
from payments.events import Context, Event, seal
from payments.facts import AttemptNotSent, AttemptRefused, Fact, OutcomeUnknown, ReviewRaised
from payments.movements import FAILED
from payments.payment import FAILED_STATES, fold
from payments.replay import differences, is_outdated, is_same
from payments.views import view_payment
from paytabs.errors import LISTED_CODES, RESPONSE_CODES
from tests.support.reasons import about
from tests.unit.payments.stories import CREATED, after, page, seen, sent
from tests.unit.payments.test_any_order import BEFORE, SAID

PAYMENT_ID, NOW = "65f0c0ffee65f0c0ffee65f0", datetime(2026, 8, 6, 10, tzinfo=UTC)

Said = dict[str, Any] | None

DEFERRED = [*page(), seen("T1", "payment request", "P", "0", code="4411")]

#: What each row's code means for another try: with the same card, with another one.
TRIES = {
    ("E", "120"): (False, False),
    ("E", "200"): (True, True),
    ("D", "300"): (False, False),
    ("D", "310"): (True, True),
    ("D", "316"): (False, True),
    ("C", "321"): (True, True),
    ("E", "325"): (False, False),
    ("D", "342"): (False, False),
    ("D", "345"): (True, True),
    ("D", "354"): (False, True),
    ("X", "355"): (True, True),
    ("E", "400"): (False, False),
    ("E", "401"): (False, False),
    ("D", "501"): (False, False),
    ("P", "600"): (False, False),
}


def refused(code: int, number: int = 1) -> AttemptRefused:
    """Return that PayTabs refused an attempt's request."""
    return AttemptRefused(operation_id=f"op-{number}", cart_id=f"cart-{number}", code=code, detail=f"code_{code}")


def told(*facts: Fact) -> Said:
    """Return why a payment's attempt failed, if its state comes of that."""
    payment = fold(facts)
    return decline_of(payment, assess(payment))


def why(code: str | None, meaning: str, tries: tuple[bool | None, bool | None], of: str = "payment") -> Said:
    """Return a decline as it is told; `tries` are with the same card and with another one."""
    return {"of": of, "code": code, "meaning": meaning, "retry_same_card": tries[0], "retry_other_card": tries[1]}


YES, NO, NOBODY_KNOWS = (True, True), (False, False), (None, None)
FUNDS = why("316", "insufficient funds", (False, True))
GONE = why("321", "cancelled by the payer", YES)
OVER = why("355", "the transaction expired", YES)

#: What is known of a payment, and what is told.
STORIES: dict[str, tuple[list[Fact], Said]] = {
    "nothing happened": ([CREATED], None),
    "a page is open": (page(), None),
    "declined": ([*page(), seen("T1", "sale", "D", code="316")], FUNDS),
    "declined, said thinly as well": (
        [*page(), seen("T1", "sale", "D", code="316"), seen("T1", "sale", "D", None, code=None, cart_id=None)], FUNDS,
    ),
    "pending, then declined": (
        [*page(), seen("T1", "sale", "P", "0", code="600"), seen("T1", "sale", "D", code="316")], FUNDS,
    ),
    "cancelled": ([*page(), seen("T1", "sale", "C", code="321")], GONE),
    "expired": ([*page(), seen("T1", "sale", "X", code="355")], OVER),
    "declined by a code that nobody knows": (
        [*page(), seen("T1", "sale", "D", code="999")], why("999", UNLISTED, NOBODY_KNOWS),
    ),
    "declined without a code": ([*page(), seen("T1", "sale", "D")], why(None, NO_CODE, NOBODY_KNOWS)),
    "cancelled without a code": ([*page(), seen("T1", "sale", "C")], why(None, NO_CODE, YES)),
    "late success": ([*page(), seen("T1", "sale", "D", code="316"), seen("T1", "sale", "A", code="G1")], None),
    "a hold that lapsed": (
        [*page("auth"), seen("T1", "auth", "A", code="G1", occurred_at="2026-08-06T10:00:00.000Z"),
         seen("T1", "auth", "X", code="355", occurred_at="2026-08-08T10:00:00.000Z")], OVER,
    ),
    "a voucher that expired": ([*DEFERRED, seen("T1", "payment request", "X", "0", code="355")], OVER),
    "a voucher that expired under a new reference": ([*DEFERRED, after("T1", "T2", "sale", "X", code="355")], OVER),
    "a voucher whose sale was declined": ([*DEFERRED, after("T1", "T2", "sale", "D", code="316")], FUNDS),
    "charged by cart": ([CREATED, sent(), seen("T9", "sale", "D", code="316")], FUNDS),
    "the second attempt decides": (
        [*page(), seen("T1", "sale", "D", code="501"), *page(number=2),
         seen("T2", "sale", "C", code="321", cart_id="cart-2")], GONE,
    ),
    "a new page after a decline": ([*page(), seen("T1", "sale", "D", code="316"), *page(number=2)], None),
    "paid by the second attempt": (
        [*page(), seen("T1", "sale", "D", code="316"), *page(number=2),
         seen("T2", "sale", "A", code="G1", cart_id="cart-2")], None,
    ),
    "refused": (
        [CREATED, sent(), refused(206)], why("206", LISTED_CODES[206].meaning, NO, of="request"),
    ),
    "refused by a code that nobody knows": (
        [CREATED, sent(), refused(240)], why("240", UNLISTED, NOBODY_KNOWS, of="request"),
    ),
    "declined, then refused": (
        [*page(), seen("T1", "sale", "D", code="316"), sent(2), refused(2, 2)],
        why("2", LISTED_CODES[2].meaning, NO, of="request"),
    ),
    "not sent": ([CREATED, sent(), AttemptNotSent(operation_id="op-1", cart_id="cart-1", detail="dns")], None),
    "unknown": (
        [CREATED, sent(), OutcomeUnknown(operation_id="op-1", cart_id="cart-1", detail="unlisted", code=240)], None,
    ),
    "a refund was declined": (
        [*page(), seen("T1", "sale", "A", code="G1"), after("T1", "T2", "refund", "D", code="342")], None,
    ),
    "a capture was declined": (
        [*page("auth"), seen("T1", "auth", "A", code="G1"), after("T1", "T2", "capture", "D", code="316")], None,
    ),
    "voided": ([*page("auth"), seen("T1", "auth", "V", code="G1")], None),
    "a case": (
        [*page(), seen("T1", "sale", "D", code="316"),
         ReviewRaised(**about("a notice with another amount"), evidence="T1 sale A", delivery_id="d1")], None,
    ),
}  # fmt: skip


class TestRows:
    """What each code says about another try."""

    @pytest.mark.parametrize(("status", "code"), RESPONSE_CODES)
    def test_listed(self, status: str, code: str) -> None:
        """Each row of the table is judged, and another card is never worse than the same one."""
        row = RESPONSE_CODES[status, code]
        said = of_response(status, code)
        assert (said.retry_same_card, said.retry_other_card) == TRIES[status, code]
        assert said.meaning == row.meaning
        assert not (said.retry_same_card and not said.retry_other_card)
        assert not (row.is_doubtful and said.retry_other_card)

    @pytest.mark.parametrize("status", sorted(FAILED))
    @pytest.mark.parametrize("code", ["999", "G12345", "", None, "٣١٦", "316 "])
    def test_unlisted(self, status: str, code: str | None) -> None:
        """Of a code that nobody knows nothing is claimed, but that a payer's own end may be tried again."""
        said = of_response(status, code)
        assert said.meaning == (UNLISTED if code else NO_CODE)
        assert said.retry_same_card == said.retry_other_card == (True if status in "CX" else None)

    @pytest.mark.parametrize("code", [*LISTED_CODES, 3, 240, 999_999, None])
    def test_requests(self, code: int | None) -> None:
        """A request that PayTabs refused is not mended by a card; of an unlisted code nothing is claimed."""
        said = of_error(code)
        assert said.of == "request"
        assert said.code == (None if code is None else str(code))
        assert said.retry_same_card == said.retry_other_card == (False if code in LISTED_CODES else None)
        assert said.meaning


class TestDecline:
    """Present exactly while the payment's state comes of a failed attempt."""

    @pytest.mark.parametrize("name", STORIES)
    def test_stories(self, name: str) -> None:
        """What is told of a payment, in any order of what PayTabs said."""
        facts, expected = STORIES[name]
        assert told(*facts) == expected
        ours = [one for one in facts if type(one).__name__ != "TransactionObserved"]
        theirs = [one for one in facts if type(one).__name__ == "TransactionObserved"]
        for order in permutations(theirs):
            assert told(*ours, *order, *order[::-1]) == expected

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(before=BEFORE, said=SAID, data=st.data())
    def test_any_telling(self, before: list[Fact], said: list[Fact], data: st.DataObject) -> None:
        """Whatever was said in whatever order: one answer, and one exactly in the failed states."""
        first = told(*before, *said)
        assert told(*before, *data.draw(st.permutations([*said, *said]))) == first
        assert (first is not None) == (assess(fold([*before, *said])).state in FAILED_STATES)

    @pytest.mark.parametrize("name", STORIES)
    def test_everywhere(self, name: str) -> None:
        """The document, the view and the payment's replay tell the same."""
        facts, expected = STORIES[name]
        history = history_of(facts)
        payment = fold(facts)
        assert cms_fields(payment, assess(payment), 3, None)["gateway"]["decline"] == expected
        assert view_payment(PAYMENT_ID, history, None).to_json()["decline"] == expected


def history_of(facts: Sequence[Fact]) -> list[Event]:
    """Return facts as events of one payment."""
    events: list[Event] = []
    for fact in facts:
        events.append(
            seal(PAYMENT_ID, events[-1] if events else None, fact, NOW, Context(correlation_id="c", source="test"))
        )
    return events


def fields(facts: Sequence[Fact]) -> dict[str, Any]:
    """Return what the CMS's document is to say."""
    payment = fold(facts)
    return cms_fields(payment, assess(payment), len(facts), None)


class TestOldDocuments:
    """Documents that the version before has written."""

    @pytest.mark.parametrize("name", STORIES)
    def test_told_apart(self, name: str) -> None:
        """Lacking only what is new is no difference where nothing is to be said, and else told apart from one."""
        wanted = fields(STORIES[name][0])
        old = {**wanted, "gateway": {one: value for one, value in wanted["gateway"].items() if one not in ADDED}}
        telling = {f"gateway.{one}" for one in ADDED if wanted["gateway"].get(one)}
        assert ("gateway.decline" in telling) == (STORIES[name][1] is not None)
        assert is_same(wanted, wanted)
        assert not is_outdated(wanted, wanted)
        assert (is_same(wanted, old), is_outdated(wanted, old)) == (not telling, bool(telling))
        assert set(differences(wanted, old)) == telling

    @pytest.mark.parametrize("name", STORIES)
    def test_also_changed(self, name: str) -> None:
        """One that somebody has changed besides differs, whatever else it lacks."""
        wanted = fields(STORIES[name][0])
        old = {one: value for one, value in wanted["gateway"].items() if one not in ADDED} | {"captured": "1.00"}
        found = {**wanted, "gateway": old}
        assert not is_same(wanted, found)
        assert not is_outdated(wanted, found)
        assert "gateway.captured" in differences(wanted, found)

    def test_wrong(self) -> None:
        """A new member that says something else differs."""
        wanted = fields(STORIES["declined"][0])
        for wrong in (None, {}, {**(FUNDS or {}), "code": "501"}):
            found = {**wanted, "gateway": {**wanted["gateway"], "decline": wrong}}
            assert not is_same(wanted, found)
            assert not is_outdated(wanted, found)

    def test_kept_as_it_is(self) -> None:
        """What is told survives MongoDB's encoding as it is."""
        wanted = fields(STORIES["declined"][0])
        assert bson.decode(bson.encode(wanted)) == wanted
