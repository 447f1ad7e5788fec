import json

import pytest

from paytabs.breaker_verdict import VERDICT_OF_DETAIL, counts_as_failure
from paytabs.errors import LISTED_CODES
from paytabs.responses import Answer, Call, Outcome, classify


def answered(status: str, code: str = "G12345") -> bytes:
    """Write the answer about a finished transaction."""
    result = {"response_status": status, "response_code": code, "response_message": "x"}
    return json.dumps({"tran_ref": "TST1", "cart_id": "C1", "payment_result": result}).encode()


def refused(code: int) -> bytes:
    """Write an error envelope."""
    return json.dumps({"code": code, "message": "x", "trace": "PMNT0201.1"}).encode()


class TestWorks:
    """What proves that PayTabs works is no failure, however unwelcome."""

    @pytest.mark.parametrize("status", list("AHPVEDXC"))
    def test_every_status(self, status: str) -> None:
        """Authorised, held, pending, voided, in error, declined, expired, cancelled: PayTabs answered."""
        assert counts_as_failure(classify(200, answered(status))) is False

    @pytest.mark.parametrize("code", ["300", "316", "400", "401", "501"])
    def test_declines(self, code: str) -> None:
        """No decline counts, not even one whose code looks like an HTTP status."""
        assert counts_as_failure(classify(200, answered("D", code))) is False

    @pytest.mark.parametrize("code", sorted(LISTED_CODES.keys() - {1}))
    @pytest.mark.parametrize("http_status", [200, 400, 404])
    def test_refusals(self, code: int, http_status: int) -> None:
        """A listed refusal is our own fault."""
        assert counts_as_failure(classify(http_status, refused(code))) is False

    def test_duplicate(self) -> None:
        """So is a request that PayTabs has seen before."""
        assert counts_as_failure(classify(409, refused(4))) is False

    def test_nothing_found(self) -> None:
        """A query that finds nothing was answered, in either way of saying so."""
        assert counts_as_failure(classify(200, b"[]", call=Call.QUERY_CART)) is False
        assert counts_as_failure(classify(400, refused(2), call=Call.QUERY_TRAN)) is False

    def test_new_status(self) -> None:
        """A letter nobody knows comes in a whole answer."""
        assert counts_as_failure(classify(200, answered("Q"))) is False


class TestFails:
    """What PayTabs or the way to it did wrong counts."""

    @pytest.mark.parametrize("http_status", [429, 500, 502, 503, 504])
    def test_statuses(self, http_status: int) -> None:
        """Too many requests and server errors count, whatever their body."""
        for body in (b"", b"<html>", refused(2), answered("A")):
            assert counts_as_failure(classify(http_status, body)) is True

    @pytest.mark.parametrize("body", [b"<html>Maintenance</html>", b"", b"{", b"[1]", b"{}", b"7"])
    def test_bodies(self, body: bytes) -> None:
        """A body that is none of PayTabs' answers counts."""
        assert counts_as_failure(classify(200, body)) is True

    @pytest.mark.parametrize("detail", ["dns", "connect_refused", "connect_timeout", "connect_failed", "tls"])
    def test_unreachable(self, detail: str) -> None:
        """So does a PayTabs that cannot be reached."""
        assert counts_as_failure(Answer(Outcome.DID_NOT_HAPPEN, detail)) is True

    @pytest.mark.parametrize("detail", ["timeout", "connection_lost", "broken_body", "too_large", "other_cart_id"])
    def test_lost_answers(self, detail: str) -> None:
        """So does an answer that did not come, not whole, or about something else."""
        assert counts_as_failure(Answer(Outcome.UNKNOWN, detail)) is True


class TestNeither:
    """What says nothing about PayTabs' health counts neither way."""

    def test_own_key(self) -> None:
        """A wrong key stops us until a human acts; PayTabs is well."""
        assert counts_as_failure(classify(401, refused(1))) is None
        assert counts_as_failure(classify(200, refused(1))) is None
        assert counts_as_failure(classify(401, b"<html>")) is None

    def test_too_slow_ourselves(self) -> None:
        """A call that our own fence stopped never reached PayTabs."""
        assert counts_as_failure(Answer(Outcome.DID_NOT_HAPPEN, "fence_expired")) is None

    def test_unlisted(self) -> None:
        """A code, or a detail, that nobody knows stops nobody."""
        assert counts_as_failure(classify(200, refused(999))) is None
        assert counts_as_failure(Answer(Outcome.UNKNOWN, "never_heard_of")) is None
        assert counts_as_failure(Answer(Outcome.DID_NOT_HAPPEN, "never_heard_of")) is None

    def test_wrong_status(self) -> None:
        """A listed code under a status that PayTabs does not refuse with may be a proxy's."""
        assert counts_as_failure(classify(403, refused(2))) is None


class TestTable:
    """The table itself."""

    def test_says_why(self) -> None:
        """Every row gives its reason."""
        assert all(verdict.reason for verdict in VERDICT_OF_DETAIL.values())
