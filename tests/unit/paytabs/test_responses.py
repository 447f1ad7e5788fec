import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paytabs.errors import LISTED_CODES
from paytabs.responses import Answer, Call, Outcome, classify

PAGE = {
    "tran_ref": "TST2621800000101",
    "tran_type": "Sale",
    "cart_id": "INV-2026-0001",
    "cart_currency": "SAR",
    "cart_amount": "115.00",
    "tran_total": "0",
    "redirect_url": "https://secure.paytabs.sa/payment/wr/5D98",
    "trace": "PMNT0201.6A745EC2.00000011",
}
EVERY_CALL = st.sampled_from(list(Call))

#: The members that are read from an answer of any call.
MEMBERS = st.sampled_from(
    [
        *("code", "message", "trace", "trace_code", "tran_ref", "previous_tran_ref"),
        *("redirect_url", "payment_result", "response_status", "response_code", "transaction_time", "tran_total"),
        *("cart_amount", "cart_id", "profileId", "profile_id", "payment_info", "card_scheme"),
        *("token", "invoice_id", "invoice_link", "invoice_status", "tran_status", "tran_status_msg"),
        *("invoice_currency", "invoice_total"),
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["A", "V", "0", "2", "115.00", "paid", "TST1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=6),
    max_leaves=12,
)

#: One good answer of every shape.
SAMPLES: tuple[dict[str, Any], ...] = (
    PAGE,
    {"tran_ref": "TST1", "payment_result": {"response_status": "A"}, "tran_total": "1.00"},
    {"tran_ref": "TST1", "payment_info": {"card_scheme": "Visa"}},
    {"code": 0, "message": "m"},
    {"invoice_id": 7, "invoice_link": "https://secure.paytabs.sa/payment/request/invoice/7/4D78"},
    {"invoice_status": "paid", "tran_ref": "TST1", "tran_status": "A"},
    {"invoice_id": 7, "invoice_currency": "SAR", "invoice_total": "1.00", "tran_ref": "TST1"},
)


def envelope(code: object, **members: Any) -> bytes:
    """Write an error envelope."""
    return json.dumps({"code": code, "message": "m", "trace": "PMNT0402.6A745EC2.000668D2"} | members).encode()


def completed(status: str, code: str = "G12345", **members: Any) -> dict[str, Any]:
    """Make a completed answer."""
    result = {"response_status": status, "response_code": code, "response_message": "m"}
    return {"tran_ref": "TST2621800000102", "tran_type": "Sale", "payment_result": result} | members


def as_bytes(document: object) -> bytes:
    """Write an answer's body."""
    return json.dumps(document).encode()


class TestErrorEnvelope:
    """An answer with a code greater than zero."""

    @pytest.mark.parametrize("code", [1, 2, 101, 206])
    @pytest.mark.parametrize("http_status", [200, 400, 401, 404])
    def test_listed(self, code: int, http_status: int) -> None:
        """A listed code under a refusing status is proof that nothing happened, as a number and as text."""
        for written in (code, str(code)):
            answer = classify(http_status, envelope(written))
            assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, f"code_{code}")
            assert (answer.error_code, answer.http_status) == (code, http_status)
            assert (answer.message, answer.trace) == ("m", "PMNT0402.6A745EC2.000668D2")

    @pytest.mark.parametrize("http_status", [200, 400, 409])
    def test_duplicate(self, http_status: int) -> None:
        """Code 4 means that an earlier copy arrived: unknown, under any status."""
        answer = classify(http_status, envelope(4))
        assert (answer.outcome, answer.detail, answer.error_code) == (Outcome.UNKNOWN, "code_4", 4)

    @pytest.mark.parametrize("code", [3, 5, 100, 342, 999_999_999, "77"])
    def test_unlisted(self, code: object) -> None:
        """A code that is not in the table ends a page, which costs nothing unmade, and proves nothing of money."""
        answer = classify(400, envelope(code))
        known = (Outcome.DID_NOT_HAPPEN, "unlisted_code", int(str(code)))
        assert (answer.outcome, answer.detail, answer.error_code) == known
        assert classify(400, envelope(code), call=Call.CHARGE).outcome is Outcome.UNKNOWN

    @pytest.mark.parametrize("http_status", [302, 402, 403, 405, 408, 409, 422])
    def test_other_status(self, http_status: int) -> None:
        """So does a listed code under a status that the gateway does not refuse with."""
        assert classify(http_status, envelope(2)).outcome is Outcome.DID_NOT_HAPPEN
        assert classify(http_status, envelope(2), call=Call.FOLLOW_UP).outcome is Outcome.UNKNOWN

    @pytest.mark.parametrize("trace", ["", "x" * 65, "a b", "a\x00", 5, None, ["x"]])
    def test_no_trace(self, trace: object) -> None:
        """A trace that is no reference is none."""
        assert classify(400, envelope(2, trace=trace)).trace is None

    def test_endless_sentence(self) -> None:
        """A sentence is cut and cleaned before anybody sees it."""
        message = classify(400, envelope(2, message="a\x00b\x1b[31m" + "x" * 100_000)).message
        assert message is not None
        assert message.startswith("a b [31mx")
        assert len(message) <= 1000

    @pytest.mark.parametrize("code", [10**9, 2**63, 10**30, "9" * 30, 10**4000])
    @pytest.mark.parametrize("call", [Call.REQUEST, Call.CHARGE])
    def test_endless(self, code: object, call: Call) -> None:
        """A code that no database keeps is still one: it ends a page as any unlisted code does, and money does not."""
        answer = classify(400, envelope(code), call=call)
        ends = Outcome.DID_NOT_HAPPEN if call is Call.REQUEST else Outcome.UNKNOWN
        assert (answer.outcome, answer.detail, answer.error_code) == (ends, "unlisted_code", 999_999_999)

    @pytest.mark.parametrize("code", [1, 2, 101, 113, 206, 240])
    @pytest.mark.parametrize("result", [{}, {"payment_result": {"response_status": "A", "response_code": "G1"}}])
    def test_names_a_transaction(self, code: int, result: dict[str, Any]) -> None:
        """An envelope that names a transaction as well proves nothing: money may have moved, and it is there."""
        body = envelope(code, tran_ref="TST2633486667001", **result)
        for call in (Call.CHARGE, Call.FOLLOW_UP, Call.FREEING, Call.QUERY_TRAN, Call.QUERY_CART):
            answer = classify(400, body, call=call)
            assert (answer.outcome, answer.error_code, answer.key_in_doubt) == (Outcome.UNKNOWN, code, False)
        assert classify(400, body, call=Call.REQUEST).outcome is Outcome.DID_NOT_HAPPEN

    @pytest.mark.parametrize("code", [0, "0", -1, 2.0, True, None, "2x", "٢", [2], {}])
    def test_no_code(self, code: object) -> None:
        """Zero is success, and what is no number is no code; alone it is an answer we do not know."""
        answer = classify(200, envelope(code))
        assert (answer.outcome, answer.detail, answer.error_code) == (Outcome.UNKNOWN, "unexpected_shape", None)

    def test_comes_first(self) -> None:
        """A code outranks everything else in the body."""
        assert classify(200, envelope(2, **PAGE)).outcome is Outcome.DID_NOT_HAPPEN

    @pytest.mark.parametrize("call", [Call.QUERY_TRAN, Call.QUERY_CART])
    @pytest.mark.parametrize("http_status", [200, 400, 404])
    def test_not_found(self, call: Call, http_status: int) -> None:
        """To a query, codes 2 and 113 say that nothing was found, under each of the statuses they may come with."""
        for code in (2, 113):
            answer = classify(http_status, envelope(code), call=call)
            assert (answer.outcome, answer.detail) == (Outcome.DID_NOT_HAPPEN, "not_found")

    def test_table_is_closed(self) -> None:
        """Exactly these codes are known, each with its evidence, and only a wrong key needs a human."""
        assert set(LISTED_CODES) == {1, 2, 4, 101, 113, 206}
        assert all(row.evidence for row in LISTED_CODES.values())
        assert [row.code for row in LISTED_CODES.values() if row.configuration_fault] == [1]


class TestDoubtfulStatus:
    """429 and 5xx, whatever their body."""

    @pytest.mark.parametrize("http_status", [429, 500, 502, 503, 504, 599])
    @pytest.mark.parametrize(
        "body", [b"", b"<html>", envelope(1), envelope(2), as_bytes(PAGE), as_bytes(completed("A")), b"[]"]
    )
    def test_proves_nothing(self, http_status: int, body: bytes) -> None:
        """Neither a JSON code nor a success in the body makes it more than unknown, for any call."""
        for call in Call:
            answer = classify(http_status, body, call=call)
            assert answer.outcome is Outcome.UNKNOWN, call
            assert answer.detail == ("http_429" if http_status == 429 else "http_5xx"), call
            assert answer.transaction is None, call
            assert answer.transactions == (), call

    def test_keeps_what_operators_need(self) -> None:
        """The code, the trace and the wait asked for are kept."""
        answer = classify(429, envelope(2), retry_after_seconds=7.0)
        assert (answer.error_code, answer.trace, answer.retry_after_seconds) == (2, "PMNT0402.6A745EC2.000668D2", 7.0)


class TestPage:
    """An answer with a page to send the payer to."""

    def test_made(self) -> None:
        """The page exists and nothing has been charged."""
        answer = classify(200, as_bytes(PAGE))
        assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "redirect")
        assert answer.transaction is not None
        assert answer.transaction.redirect_url == PAGE["redirect_url"]
        assert answer.transaction.is_page

    def test_asked_later(self) -> None:
        """A query that answers with the page says that the payer has yet to act."""
        assert classify(200, as_bytes(PAGE), call=Call.QUERY_TRAN).outcome is Outcome.PENDING

    def test_query_of_a_paid_page(self) -> None:
        """A query's result counts, though the page's address is still in it."""
        paid = as_bytes(completed("A", redirect_url="https://secure.paytabs.sa/payment/wr/5D98"))
        assert classify(200, paid, call=Call.QUERY_TRAN).outcome is Outcome.SUCCEEDED

    @pytest.mark.parametrize("url", ["", None, "  ", 5, ["https://x"]])
    def test_no_address(self, url: object) -> None:
        """Without an address there is no page, and the answer says nothing else."""
        assert classify(200, as_bytes(PAGE | {"redirect_url": url})).outcome is Outcome.UNKNOWN

    @pytest.mark.parametrize("tran_ref", ["", None, [1]])
    def test_no_reference(self, tran_ref: object) -> None:
        """A page we could never ask about again is not taken for one."""
        assert classify(200, as_bytes(PAGE | {"tran_ref": tran_ref})).outcome is Outcome.UNKNOWN


class TestCompleted:
    """An answer with a payment result."""

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            ("A", Outcome.SUCCEEDED),
            ("a", Outcome.SUCCEEDED),
            ("P", Outcome.PENDING),
            ("H", Outcome.PENDING),
            ("D", Outcome.REFUSED),
            ("E", Outcome.REFUSED),
            ("C", Outcome.REFUSED),
            ("X", Outcome.REFUSED),
            ("V", Outcome.REFUSED),
        ],
    )
    @pytest.mark.parametrize("call", [Call.REQUEST, Call.QUERY_TRAN])
    @pytest.mark.parametrize("http_status", [200, 400])
    def test_by_status(self, status: str, outcome: Outcome, call: Call, http_status: int) -> None:
        """The status letter decides, not the HTTP status and not the presence of a reference."""
        answer = classify(http_status, as_bytes(completed(status)), call=call)
        assert (answer.outcome, answer.detail) == (outcome, "completed")
        assert answer.transaction is not None

    @pytest.mark.parametrize("status", ["Z", "AA", "", "Authorised"])
    def test_unknown_status(self, status: str) -> None:
        """An unknown letter is neither success nor failure; the transaction is kept for the query."""
        answer = classify(200, as_bytes(completed(status)))
        assert (answer.outcome, answer.detail) == (Outcome.UNKNOWN, "unknown_status")
        assert answer.transaction is not None

    @pytest.mark.parametrize(
        ("status", "code", "bank_check"),
        [
            ("E", "400", True),
            ("E", "401", True),
            ("D", "300", True),
            ("D", "400", False),
            ("E", "300", False),
            ("D", "316", False),
            ("A", "400", False),
        ],
    )
    def test_bank_check(self, status: str, code: str, *, bank_check: bool) -> None:
        """Three refusals are refusals still, but the bank has to be asked."""
        answer = classify(200, as_bytes(completed(status, code)))
        assert answer.transaction is not None
        assert answer.transaction.bank_check is bank_check
        assert (answer.outcome is Outcome.REFUSED) == (status != "A")

    def test_wrong_member(self) -> None:
        """A success with an amount nobody can read is unknown, not a crash and not a success."""
        answer = classify(200, as_bytes(completed("A", tran_total="a lot")))
        assert (answer.outcome, answer.detail) == (Outcome.UNKNOWN, "malformed")


class TestArray:
    """The answer to a query by cart."""

    def test_found(self) -> None:
        """The transactions come in the order received."""
        entries = [completed("A", tran_ref="T2"), completed("C", tran_ref="T1")]
        answer = classify(200, as_bytes(entries), call=Call.QUERY_CART)
        assert (answer.outcome, answer.detail) == (Outcome.SUCCEEDED, "found")
        assert [found.tran_ref for found in answer.transactions] == ["T2", "T1"]

    def test_empty(self) -> None:
        """Nothing found is an answer too."""
        answer = classify(200, b"[]", call=Call.QUERY_CART)
        assert (answer.outcome, answer.detail, answer.transactions) == (Outcome.SUCCEEDED, "empty", ())

    @pytest.mark.parametrize("call", [Call.REQUEST, Call.QUERY_TRAN])
    def test_not_asked_for(self, call: Call) -> None:
        """Nothing but a query by cart is answered with an array."""
        assert classify(200, as_bytes([completed("A")]), call=call).detail == "unexpected_shape"

    def test_object_instead(self) -> None:
        """A query by cart is not answered with an object."""
        assert classify(200, as_bytes(completed("A")), call=Call.QUERY_CART).outcome is Outcome.UNKNOWN

    @pytest.mark.parametrize("entry", [None, 5, "x", [], {}, {"tran_ref": 1.5}])
    def test_wrong_entry(self, entry: object) -> None:
        """One entry we cannot read makes the whole list unknown: it may be the one that was paid."""
        answer = classify(200, as_bytes([completed("A"), entry]), call=Call.QUERY_CART)
        assert (answer.outcome, answer.transactions) == (Outcome.UNKNOWN, ())


class TestUnreadable:
    """Answers that are not JSON, or not quite."""

    @pytest.mark.parametrize(
        "body",
        [
            b"<html><body>Bad Gateway</body></html>",
            b'{"code": 2, "mess',
            b'{"code": 2} trailing',
            b'{"code": 1, "code": 4}',
            b'{"tran_ref": "T", "cart_amount": NaN}',
            b'{"tran_ref": "T", "cart_amount": -Infinity}',
            b'{"tran_ref": "T", "cart_amount": 1e99999999999999999999}',
            b'{"code": ' + b"9" * 5000 + b"}",
            b"[" * 100_000,
            b"\xff\xfe{}",
            b"\xef\xbb\xbf{}",
            gzip.compress(envelope(1), mtime=0),
        ],
    )
    def test_not_json(self, body: bytes) -> None:
        """Broken JSON, repeated members, NaN and endless nesting are all unknown."""
        assert classify(400, body) == Answer(Outcome.UNKNOWN, "not_json", http_status=400)

    @pytest.mark.parametrize("body", [b"", b" \r\n"])
    def test_empty(self, body: bytes) -> None:
        """An empty answer is unknown."""
        assert classify(200, body).detail == "empty"

    @pytest.mark.parametrize("body", [b"null", b"true", b"5", b'"x"', b"{}", b'{"payment_result": "A"}'])
    def test_unexpected(self, body: bytes) -> None:
        """JSON of another shape is unknown."""
        answer = classify(200, body)
        assert (answer.outcome, answer.detail) == (Outcome.UNKNOWN, "unexpected_shape")

    @settings(deadline=None)
    @given(st.binary(max_size=200), st.integers(100, 599), EVERY_CALL)
    def test_any_bytes(self, body: bytes, http_status: int, call: Call) -> None:
        """No bytes whatever make it raise."""
        assert isinstance(classify(http_status, body, call=call), Answer)

    @settings(deadline=None, max_examples=150)
    @given(JSON, EVERY_CALL, st.integers(100, 599))
    def test_any_json(self, document: object, call: Call, http_status: int) -> None:
        """No JSON makes it raise, and a success always comes with what succeeded."""
        answer = classify(http_status, as_bytes(document), call=call)
        if answer.outcome is Outcome.SUCCEEDED:
            acknowledged = {"found", "empty", "deleted", "cancelled", "sent", "invoice"}
            assert answer.transaction is not None or answer.detail in acknowledged
            assert http_status < 500

    @settings(deadline=None, max_examples=150)
    @given(st.sampled_from(SAMPLES), st.dictionaries(MEMBERS, JSON, max_size=3), EVERY_CALL)
    def test_any_object(self, sample: dict[str, Any], members: dict[str, object], call: Call) -> None:
        """No value of any member that is read makes it raise, in an answer that is otherwise right for its call."""
        answer = classify(200, as_bytes(sample | members), call=call)
        assert answer.outcome is not Outcome.REFUSED or answer.transaction or answer.invoice_status

    @pytest.mark.parametrize("call", list(Call))
    def test_unknown_members(self, call: Call) -> None:
        """Members nobody has heard of change nothing."""
        for sample in SAMPLES:
            plain = classify(200, as_bytes(sample), call=call)
            assert classify(200, as_bytes(sample | {"acquirer": {"x": [1.5]}, "paymentChannel": 7}), call=call) == plain
