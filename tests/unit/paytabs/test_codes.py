import pytest
from hypothesis import given
from hypothesis import strategies as st

from paytabs.errors import RESPONSE_CODES, response_code
from paytabs.responses import OUTCOME_OF_STATUS


class TestResponseCodes:
    """The closed table of response codes."""

    def test_closed(self) -> None:
        """Exactly these are known, each with its meaning and its evidence, under a status that is known as well."""
        assert {row.code for row in RESPONSE_CODES.values()} == {
            *("120", "200", "300", "310", "316", "321", "325", "342", "345", "354", "355", "400", "401", "501", "600")
        }
        for key, row in RESPONSE_CODES.items():
            assert key == (row.status, row.code)
            assert row.meaning
            assert row.evidence
            assert row.is_listed
            assert row.status in OUTCOME_OF_STATUS

    def test_doubtful(self) -> None:
        """After three refusals the bank has to be asked, and the payer is not sent to pay again."""
        doubtful = {key: row for key, row in RESPONSE_CODES.items() if row.is_doubtful}
        assert set(doubtful) == {("D", "300"), ("E", "400"), ("E", "401")}
        assert not any(row.payer_may_retry for row in doubtful.values())

    @pytest.mark.parametrize(
        ("status", "code", "retry"),
        [
            ("D", "316", True),
            ("C", "321", True),
            ("X", "355", True),
            ("D", "501", False),
            ("E", "325", False),
            ("E", "120", False),
        ],
    )
    def test_payer(self, status: str, code: str, *, retry: bool) -> None:
        """Another card may help against an empty account, not against the merchant's own limit or a suspected fraud."""
        assert response_code(status.lower(), code).payer_may_retry is retry

    @pytest.mark.parametrize(
        ("status", "code"), [("A", "G12345"), ("A", "300"), ("D", "400"), ("E", "991"), ("Z", "300"), (None, None)]
    )
    def test_unlisted(self, status: str | None, code: str | None) -> None:
        """Any other pair is looked up as well: nothing is known, nothing is doubted."""
        row = response_code(status, code)
        assert (row.is_listed, row.is_doubtful, row.payer_may_retry) == (False, False, False)
        assert (row.status, row.code) == (status or "", code or "")

    @given(st.none() | st.text(), st.none() | st.text())
    def test_any(self, status: str | None, code: str | None) -> None:
        """No status and no code make the look-up fail."""
        assert response_code(status, code).is_listed == (((status or "").upper(), code or "") in RESPONSE_CODES)
