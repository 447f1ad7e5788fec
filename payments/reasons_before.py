"""How versions before the codes wrote a reason: sentences, frozen here for ever.

Their events hold nothing else, and the ids of their cases were made from them. So a sentence is read back into its
code, and what identifies a case of those days still is its sentence. Nothing here is ever reworded, and no code that
is newer is added. In a sentence `{subject}` and the parameters stand for anything.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

#: Between several references.
_AND = " and "

#: The names in a sentence that stand for all parameters, joined by "and", and for what the reason is about.
_ALL, _SUBJECT = "all", "subject"

#: By code, the sentence that was written last and, after it, earlier ones.
SENTENCES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "contradicting_previous_references": ("{subject}: contradicting previous references",),
        "transaction_type_missing": ("{subject}: transaction type missing",),
        "unknown_transaction_type": ("{subject}: unknown transaction type {0}",),
        "contradicting_transaction_types": ("{subject}: contradicting transaction types",),
        "unknown_status": ("{subject}: unknown status {0}",),
        "amount_below_zero": ("{subject}: amount below zero",),
        "contradicting_amounts": ("{subject}: contradicting amounts",),
        "amount_missing": ("{subject}: amount missing",),
        "payment_request_authorised": ("{subject}: a payment request cannot be authorised itself",),
        "circular_references": ("{subject}: previous references run in a circle",),
        "settled_more_than_once": ("{subject}: settled more than once",),
        "refunded_although_failed": ("{subject}: refunded although it failed",),
        "captures_exceed_authorised": ("{subject}: captured and released exceed authorised",),
        "refunds_exceed_captured": ("{subject}: refunds exceed captured",),
        "capture_undone": ("{subject}: a capture was undone; whether its hold stands is not known",),
        "paid_twice": ("paid twice: {all} both stand",),
        "profile_differs": ("{subject}: profile differs from the payment's",),
        "currency_differs": ("{subject}: currency differs from the payment's",),
        "amount_differs": ("{subject}: amount differs from the {0}'s",),
        "cart_differs": ("{subject}: cart differs from the attempt's",),
        "attempt_unknown": ("{subject}: a transaction of no known attempt",),
        "kind_differs": ("{subject}: a {0} where a {1} was asked",),
        "acts_on_another_transaction": ("{subject}: acts on another transaction than the {0} named",),
        "given_up_and_happened": ("{subject}: a {0} that was given up and happened all the same",),
        "nothing_found": (
            "{0} {subject}: nothing found within a day",
            "{0} {subject}: nothing found within 1 day, 0:00:00",
        ),
        "notice_from_another_profile": ("a notice from another profile",),
        "notice_in_another_currency": ("a notice in another currency",),
        "notice_for_another_cart": ("a notice for another cart",),
        "notice_with_another_amount": ("a notice with another amount",),
        "notice_query_names_another_cart": ("a notice whose query names another cart",),
        "notice_not_confirmed": ("a signed notice that no query confirms",),
        "cms_paid_reference_unknown": ("the CMS says paid, PayTabs does not know the reference",),
        "not_shown_by_paytabs": ("{subject}: PayTabs does not show it",),
        "ledger_differs": ("{subject}: PayTabs' ledger differs",),
        "unrecognised": ("{subject}",),
    }
)


def sentence_before(code: str, subject: str, params: Sequence[str]) -> str | None:
    """Return the sentence by which a reason was known, or None when its code is newer than the sentences."""
    known = SENTENCES.get(code)
    return _filled(known[0], subject, params) if known else None


def sentences_before(code: str, subject: str, params: Sequence[str]) -> list[str]:
    """Return every sentence that any version wrote for a reason, the last one first."""
    return [_filled(sentence, subject, params) for sentence in SENTENCES.get(code, ())]


def read_sentence(sentence: str) -> tuple[str, str, tuple[str, ...]]:
    """Return code, subject and parameters of a sentence; one of no known version is its own subject."""
    for code, parts in _PARTS:
        named = _read(sentence, parts)
        if named is not None:
            many = tuple(named[_ALL].split(_AND)) if _ALL in named else ()
            ordered = tuple(named[name] for name in sorted(named) if name.isdigit())
            return code, named.get(_SUBJECT, ""), many or ordered
    raise AssertionError(sentence)  # pragma: no cover - the last sentence takes anything


def _filled(sentence: str, subject: str, params: Sequence[str]) -> str:
    return sentence.format(*params, subject=subject, all=_AND.join(params))


def _read(sentence: str, parts: Sequence[str]) -> dict[str, str] | None:
    """Return what stands where a sentence's names are, each as short as can be; None when it is another sentence.

    Args:
        sentence: What was written.
        parts: Text and names by turns, text first and last.
    """
    if len(parts) == 1:
        return {} if sentence == parts[0] else None
    body = sentence.removeprefix(parts[0]).removesuffix(parts[-1])
    if len(body) != len(sentence) - len(parts[0]) - len(parts[-1]):
        return None
    found: dict[str, str] = {}
    *inner, last_name = parts[1:-1]
    for name, text in zip(inner[::2], inner[1::2], strict=True):
        found[name], between, body = body.partition(text)
        if not between:
            return None
    return found | {last_name: body}


#: Each sentence taken apart, in the table's order: the last one takes whatever is left.
_PARTS = tuple((code, re.split(r"\{(\w+)\}", sentence)) for code, known in SENTENCES.items() for sentence in known)
