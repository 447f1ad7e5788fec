import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from paytabs.answers import Answer, Outcome
from paytabs.transactions import Transaction
from paytabs.unlisted import note_answer, note_transaction


def counted(what: str) -> float:
    """Read the counter."""
    return REGISTRY.get_sample_value("nestcms_gateway_unlisted_words_total", {"what": what}) or 0.0


class TestUnlisted:
    """Words that no table has are counted by what they are, and logged as they came."""

    @pytest.mark.parametrize(
        ("what", "word", "members"),
        [
            ("tran_type", "installment", {"tran_type": "installment", "response_status": "A"}),
            ("response_status", "Q", {"tran_type": "sale", "response_status": "Q", "response_code": "1"}),
            ("response_code", "D 999", {"tran_type": "sale", "response_status": "D", "response_code": "999"}),
        ],
    )
    def test_transaction(self, what: str, word: str, members: dict[str, str]) -> None:
        """A type, a status, or the code of a refusal."""
        before = counted(what)
        with capture_logs() as lines:
            note_transaction(Transaction(tran_ref="TST1", **members))  # type: ignore[arg-type] # all of them text
        assert counted(what) == before + 1
        assert [(line["what"], line["word"], line["where"]) for line in lines] == [(what, word, "TST1")]

    def test_error_code(self) -> None:
        """An error code, and what stands in every transaction of an answer."""
        with capture_logs() as lines:
            note_answer(Answer(Outcome.UNKNOWN, "unlisted_code", error_code=777, trace="PMNT1"))
            note_answer(Answer(Outcome.SUCCEEDED, "found", transactions=(Transaction("A1", tran_type="x"),) * 2))
        assert [(line["what"], line["word"]) for line in lines] == [
            ("error_code", "777"), ("tran_type", "x"), ("tran_type", "x"),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        "members",
        [
            {"tran_type": "sale", "response_status": "A", "response_code": "G12345"},
            {"tran_type": "payment request", "response_status": "P", "response_code": "7781"},
            {"tran_type": "sale", "response_status": "D", "response_code": "316"},
            {},
        ],
    )
    def test_listed(self, members: dict[str, str]) -> None:
        """What is known, a bank's reference and a payer's number among it, is not counted."""
        with capture_logs() as lines:
            note_answer(Answer(Outcome.SUCCEEDED, "x", error_code=4, transaction=Transaction("A1", **members)))  # type: ignore[arg-type] # as above
        assert lines == []
