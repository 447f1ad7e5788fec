"""The closed table of refusals, every cell of it stated here once more and by hand."""

import json

import pytest

from paytabs.breaker_verdict import names_wrong_settings
from paytabs.errors import LISTED_CODES
from paytabs.refusals import KIND_OF_CALL, REFUSALS, UNLISTED, CallKind, Refusal, Standing, refusal, standing
from paytabs.responses import Call, Outcome, classify

#: page, money, freeing, look-up, invoice act: E ended, K key in doubt, R key refused, N not found, U unknown.
CELLS = {
    (1, Standing.REFUSING): "K K K R E",
    (1, Standing.OTHER): "K U U U U",
    (1, Standing.DOUBTFUL): "U U U U U",
    (2, Standing.REFUSING): "E E E N E",
    (2, Standing.OTHER): "E U U U U",
    (2, Standing.DOUBTFUL): "U U U U U",
    (4, Standing.REFUSING): "U U U U U",
    (4, Standing.OTHER): "U U U U U",
    (4, Standing.DOUBTFUL): "U U U U U",
    (101, Standing.REFUSING): "E E E E E",
    (101, Standing.OTHER): "E U U U U",
    (101, Standing.DOUBTFUL): "U U U U U",
    (113, Standing.REFUSING): "E U U N U",
    (113, Standing.OTHER): "E U U U U",
    (113, Standing.DOUBTFUL): "U U U U U",
    (206, Standing.REFUSING): "E E E E E",
    (206, Standing.OTHER): "E U U U U",
    (206, Standing.DOUBTFUL): "U U U U U",
    (UNLISTED, Standing.REFUSING): "E U U U U",
    (UNLISTED, Standing.OTHER): "E U U U U",
    (UNLISTED, Standing.DOUBTFUL): "U U U U U",
}

LETTERS = {
    "E": Refusal.ENDED,
    "K": Refusal.KEY_IN_DOUBT,
    "R": Refusal.KEY_REFUSED,
    "N": Refusal.NOT_FOUND,
    "U": Refusal.UNKNOWN,
}

#: Statuses of each standing.
STATUSES = {
    Standing.REFUSING: (200, 400, 401, 404),
    Standing.OTHER: (201, 302, 402, 403, 405, 408, 409, 410, 422, 451),
    Standing.DOUBTFUL: (429, 500, 502, 503, 504, 599),
}

#: Codes that stand for each row: 240 and 401 were seen, the others were not.
CODES = {UNLISTED: (3, 5, 100, 240, 342, 401, 999, 999_999_999), **{code: (code,) for code in LISTED_CODES}}

ROWS = [(code, stands, kind, LETTERS[letter])
        for (code, stands), letters in CELLS.items()
        for kind, letter in zip(CallKind, letters.split(), strict=True)]  # fmt: skip


class TestTable:
    """Code times status times call: nothing is left to a rule that nobody wrote down."""

    def test_closed(self) -> None:
        """Every listed code has a row, so have all others together, and every call has its kind."""
        assert {code for code, _, _ in REFUSALS} == {UNLISTED, *LISTED_CODES}
        assert len(REFUSALS) == len(ROWS) == 7 * 3 * 5
        assert KIND_OF_CALL.keys() == set(Call)
        assert set(KIND_OF_CALL.values()) == set(CallKind)

    @pytest.mark.parametrize(("code", "stands", "kind", "proves"), ROWS)
    def test_cell(self, code: int, stands: Standing, kind: CallKind, proves: Refusal) -> None:
        """What is stated is what every code, status and call of the cell comes to, in the table and in an answer."""
        calls = [call for call, one in KIND_OF_CALL.items() if one is kind]
        for number in CODES[code]:
            for status in STATUSES[stands]:
                assert standing(status) is stands
                for call in calls:
                    assert refusal(number, status, call) is proves
                    _check_answer(number, status, call, proves)


def _check_answer(code: int, http_status: int, call: Call, proves: Refusal) -> None:
    body = {"code": code, "message": "m", "trace": "PMNT0402.6A745EC2.000668D2"}
    answer = classify(http_status, json.dumps(body).encode(), call=call)
    assert answer.outcome is (Outcome.UNKNOWN if proves is Refusal.UNKNOWN else Outcome.DID_NOT_HAPPEN)
    assert (answer.detail == "not_found") is (proves is Refusal.NOT_FOUND)
    assert answer.key_in_doubt is (proves is Refusal.KEY_IN_DOUBT)
    assert (answer.error_code, answer.message, answer.trace) == (code, "m", body["trace"])
    if standing(http_status) is not Standing.DOUBTFUL and proves is not Refusal.NOT_FOUND:
        assert answer.detail == (f"code_{code}" if code in LISTED_CODES else "unlisted_code")


class TestKey:
    """What stops everybody."""

    @pytest.mark.parametrize(
        ("http_status", "body", "stops"),
        [
            (401, b'{"code": 1}', True),
            (200, b'{"code": 1}', True),
            (401, b"<html>", True),
            (401, b'{"code": 401, "message": "No response"}', False),
            (401, b'{"code": 2}', False),
            (400, b'{"code": 240}', False),
        ],
    )
    def test_names_the_key(self, http_status: int, body: bytes, *, stops: bool) -> None:
        """Code 1 and a 401 without any code are about the key; a code speaks for itself, whatever its status."""
        assert names_wrong_settings(classify(http_status, body, call=Call.QUERY_TRAN)) is stops
