"""What becomes of each task while the database refuses us, and for which of its codes that is."""

import pytest
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    ServerSelectionTimeoutError,
    WriteError,
)

from observability.database_refusals import REFUSALS, refusal_in, told_of
from payments.errors import InboxUnavailable
from tasks import duties
from tasks.alert_letters import known_tasks
from tasks.base import may_pass
from tasks.duties import ROWED, Duty, duty_of

#: Tasks that only read, or that a person or the schedule runs.
TOLD_AT_ONCE = {
    "payments.get", "payments.history", "invoices.status", "tokens.query", "cards.list", "aggregations.run",
    "aggregations.refresh_hot", "events.replay", "indexes.sync",
}  # fmt: skip


class TestDuties:
    """Every task has its place in the table."""

    def test_all_of_them(self) -> None:
        """Whoever asks for a change keeps its message, what has a row is swept, the others are told at once."""
        told = {
            name: duty_of(name, scheduled=False) for name in known_tasks() if not name.startswith(("tests.", "bench."))
        }
        ends = {name for name, duty in told.items() if duty is Duty.ENDS}
        reads = {name for name in ends if name.startswith("aggregations.")} - {"aggregations.invalidate"}
        rest = {name for name in ends if not name.startswith("maintenance.")} - reads
        assert rest == (TOLD_AT_ONCE & told.keys()) - reads
        assert {*ROWED} <= {name for name, duty in told.items() if duty is Duty.STAYS}
        assert not (duties._STAY | duties._SWEPT) - told.keys()
        of_callers = ("payments.", "invoices.", "tokens.", "cards.")
        moves_money = {name for name in told if name.startswith(of_callers)} - TOLD_AT_ONCE - {"payments.poll"}
        assert {name for name in moves_money if told[name] is not Duty.STAYS} == set()

    def test_ticks(self) -> None:
        """A tick of the schedule comes again, whatever its task is."""
        assert {duty_of(name, scheduled=True) for name in known_tasks()} == {Duty.SWEPT}


class TestCodes:
    """The closed table of the server's codes."""

    @pytest.mark.parametrize("refusal", REFUSALS.values(), ids=lambda one: one.key)
    def test_listed(self, refusal: object) -> None:
        """Each code has one reason, in whatever form the driver reports it, and none passes by itself."""
        row = REFUSALS[vars(refusal)["key"]]
        for code in row.codes:
            single = OperationFailure("no", code, {"code": code, "errmsg": "no"})
            several = BulkWriteError({"writeErrors": [{"index": 0, "code": code, "errmsg": "no"}]})
            wrapped = InboxUnavailable("delivery", "WriteError")
            wrapped.__cause__ = WriteError("no", code, {"code": code})
            assert {refusal_in(error) for error in (single, several, wrapped)} == {row}
            assert not may_pass(single)

    def test_quoted(self) -> None:
        """To whom is shut out the driver says for some seconds that there is no server, and quotes why."""
        said = OperationFailure(
            "Authentication failed.", 18, {"ok": 0.0, "errmsg": "Authentication failed.", "code": 18}
        )
        error = ServerSelectionTimeoutError(f"{said}, Timeout: 5.0s, Topology Description: <…>")
        assert refusal_in(error) is REFUSALS["credentials"]
        assert "code 18" in told_of(error, REFUSALS["credentials"])
        assert refusal_in(ServerSelectionTimeoutError("127.0.0.1:27017: connection refused")) is None

    def test_one_reason_for_each(self) -> None:
        """No code stands in two rows."""
        codes = [code for row in REFUSALS.values() for code in row.codes]
        assert len(codes) == len(set(codes))

    def test_others(self) -> None:
        """What passes by itself, what was asked wrongly and what is our own fault is none."""
        for error in (
            AutoReconnect("gone"), ExecutionTimeout("late", 50), OperationFailure("late", 262), ValueError("ours"),
            DuplicateKeyError("taken", 11000), OperationFailure("election", 189), OperationFailure("conflict", 112),
            OperationFailure("a bad query", 2), OperationFailure("history lost", 286), None,
        ):  # fmt: skip
            assert refusal_in(error) is None, error

    def test_nothing_of_the_document(self) -> None:
        """The sentence names fields and collections, and has no value of a document in it."""
        quoted = {"email": "client@example.com"}
        details = {
            "code": 121,
            "errmsg": "Document failed validation: client@example.com",
            "errInfo": {
                "failingDocumentId": "client@example.com",
                "details": {
                    "schemaRulesNotSatisfied": [
                        {"operatorName": "additionalProperties", "additionalProperties": ["gateway"],
                         "specifiedAs": quoted, "consideredValue": quoted},
                        {"propertiesNotSatisfied": [{"propertyName": "status", "details": [{"consideredValue": "@"}]}]},
                    ]
                },
            },
        }  # fmt: skip
        error = WriteError("client@example.com", 121, details)
        told = told_of(error, REFUSALS["validation"])
        assert "(gateway, status)" in told
        assert "code 121" in told
        assert "@" not in told
        missing = {"errmsg": 'not authorized on shop to execute command { insert: "payment_events", docs: "x@y" }'}
        told = told_of(OperationFailure("no", 13, missing), REFUSALS["rights"])
        assert "(insert on shop.payment_events)" in told
        assert "@" not in told
