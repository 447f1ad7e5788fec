"""Words of PayTabs that no table of ours has: counted and logged as they came, so that a table can grow by a row.

Nothing is decided here. An unlisted error code proves nothing, an unlisted status or type is a case for a human; both
are decided where answers are classified and payments are judged.
"""

from collections.abc import Iterator

import structlog

from observability.metrics import UNLISTED_WORDS
from paytabs.answers import OUTCOME_OF_STATUS, Answer
from paytabs.errors import LISTED_CODES, response_code
from paytabs.transactions import Transaction

#: Transaction types of section 4 of the gateway's contract, in lower case.
TRAN_TYPES = frozenset(
    {"sale", "auth", "register", "capture", "void", "release", "refund", "authext", "payment request"}
)

#: Statuses whose response code explains them; with the others it is a reference.
_EXPLAINED = frozenset("EDXC")

_log = structlog.get_logger(__name__)


def note_answer(answer: Answer) -> None:
    """Count what is unlisted in an answer."""
    if answer.error_code is not None and answer.error_code not in LISTED_CODES:
        _note("error_code", str(answer.error_code), answer.trace)
    seen = (answer.transaction, *answer.transactions)
    for transaction in filter(None, seen):
        note_transaction(transaction)


def note_transaction(transaction: Transaction) -> None:
    """Count what is unlisted in a transaction, an answer's or a notice's."""
    for what, word in _unlisted(transaction):
        _note(what, word, transaction.tran_ref)


def _unlisted(transaction: Transaction) -> Iterator[tuple[str, str]]:
    status, code = transaction.response_status, transaction.response_code
    if transaction.tran_type and transaction.tran_type not in TRAN_TYPES:
        yield "tran_type", transaction.tran_type
    if status and status not in OUTCOME_OF_STATUS:
        yield "response_status", status
    if status in _EXPLAINED and not response_code(status, code).is_listed:
        yield "response_code", f"{status} {code}"


def _note(what: str, word: str, where: str | None) -> None:
    UNLISTED_WORDS.labels(what=what).inc()
    _log.warning("unlisted_word", what=what, word=word, where=where)
