"""Reasons by the sentence that stood for them before there were codes."""

from typing import Any

from payments.reason_kinds import members
from payments.reasons import Reason
from payments.reasons_before import read_sentence


def reason_of(sentence: str) -> Reason:
    """Return the reason that a sentence stood for."""
    return Reason(*read_sentence(sentence))


def about(sentence: str) -> dict[str, Any]:
    """Return the members by which a fact carries the reason of a sentence."""
    return members(reason_of(sentence))
