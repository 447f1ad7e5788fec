from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paytabs.headers import CORRELATION_HEADER, request_headers, retry_after_seconds


class TestCorrelationId:
    """Our id on its way to the gateway."""

    def test_travels(self) -> None:
        """An id of the usual kind arrives unchanged."""
        usual = "0f8e6c1e-5d0c-4a83-9a55-0a9a8f9f2f11"
        assert request_headers("S", usual, keep_alive=False)[CORRELATION_HEADER] == usual

    @settings(deadline=None)
    @given(st.text(st.characters(codec=None), min_size=1))
    def test_no_injection(self, foreign: str) -> None:
        """No id, however foreign, holds anything but harmless ASCII of bounded length."""
        value = request_headers("S", foreign, keep_alive=False)[CORRELATION_HEADER]
        assert 0 < len(value) <= 200
        assert all("!" <= character <= "~" for character in value)

    @pytest.mark.parametrize("absent", [None, ""])
    def test_absent(self, absent: str | None) -> None:
        """Without an id there is no header."""
        assert CORRELATION_HEADER not in request_headers("S", absent, keep_alive=False)


class TestRetryAfter:
    """The wait an answer asks for."""

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [(None, None), ("", None), ("soon", None), ("-5", None), ("7", 7.0), ("0", 0.0), ("999999999", 86_400.0)],
    )
    def test_seconds(self, header: str | None, seconds: float | None) -> None:
        """A number of seconds is taken, bounded by a day; nonsense is nothing."""
        assert retry_after_seconds(header) == seconds

    def test_date(self) -> None:
        """A date is turned into seconds from now, never negative."""
        soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
        assert retry_after_seconds(soon) == pytest.approx(60, abs=2)
        assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0

    def test_of_the_same_clock(self) -> None:
        """A date is counted from the answer's own, whatever this machine's clock says; nonsense there is no date."""
        later, then = "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:26:30 GMT"
        assert retry_after_seconds(later, then) == 90.0
        assert retry_after_seconds(then, later) == 0.0
        assert retry_after_seconds(later, "yesterday") == 0.0
