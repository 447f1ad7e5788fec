import pytest

from payments.reconcile import is_conclusive
from paytabs.responses import Call, classify


class TestConclusive:
    """Whether a query was answered."""

    @pytest.mark.parametrize(
        ("status", "body", "call", "expected"),
        [
            (200, b"[]", Call.QUERY_CART, True),
            (400, b'{"code": 2, "message": "Transaction not found"}', Call.QUERY_TRAN, True),
            (200, b"", Call.QUERY_CART, False),
            (200, b"  ", Call.QUERY_TRAN, False),
            (200, b"<html>", Call.QUERY_CART, False),
            (502, b"", Call.QUERY_CART, False),
            (401, b'{"code": 1}', Call.QUERY_TRAN, False),
        ],
    )
    def test_nothing(self, status: int, body: bytes, call: Call, expected: bool) -> None:
        """An empty list says that there is nothing; an answer without a body says nothing at all."""
        assert is_conclusive(classify(status, body, call=call)) is expected
