"""Where the events of a span differ from what their seal says: which payment, which version, and in which way."""

from collections.abc import Iterator

from payments.findings import Finding, of_event, of_span
from payments.marks import Mark, Span
from payments.seals import Seal


def differences(seal: Seal, found: Span) -> Iterator[Finding]:
    """Give a finding for each payment whose events are not those that were sealed.

    Args:
        seal: What was sealed.
        found: The events that are there now, those left out that a later seal names as late.
    """
    sealed, named = seal.head_marks, False
    for payment_id in sorted(sealed.keys() | found.heads.keys()):
        finding = _difference(seal, sealed.get(payment_id), found.heads.get(payment_id))
        if finding is not None:
            named = True
            yield finding
    if not named and (seal.count, seal.digest) != (found.count, found.digest):
        yield of_span(seal.n, f"{found.count} events are there, and other ones than the {seal.count} that were sealed")


def _difference(seal: Seal, sealed: Mark | None, found: Mark | None) -> Finding | None:
    """Compare the newest event of a payment within a span with the one that was sealed."""
    if sealed == found:
        return None
    if found is not None and (sealed is None or found.version > sealed.version):
        words = f"was recorded before the horizon of seal {seal.n}, which does not cover it: it was put in afterwards"
        return of_event(found.payment_id, found.version, words, seal=seal.n)
    if sealed is None:
        return None
    if found is not None and found.version == sealed.version:
        words = f"is not the event that seal {seal.n} covers: its history was written anew"
    else:
        words = f"is covered by seal {seal.n} and is gone, or has another time now"
    return of_event(sealed.payment_id, sealed.version, words, seal=seal.n)
