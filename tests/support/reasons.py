"""Reasons by the sentence that stood for them before there were codes."""

from typing import Any

from payments.reason_kinds import members
from payments.reasons import Reason
from payments.reasons_before import read_sentence


def reason_of(sentence: str) -> Reason:
    """Return the reason that a sentence stood for."""
    return Reason(*read_sentence(sentence))


def reason_of_key(key: str) -> Reason:
    """Return the reason that a key identifies: a sentence of those days, or a code with what it is about."""
    code, *rest = key.split("\n")
    return Reason(code, rest[0], tuple(rest[1:])) if rest else reason_of(key)


def about(sentence: str) -> dict[str, Any]:
    """Return the members by which a fact carries the reason of a sentence."""
    return members(reason_of(sentence))
