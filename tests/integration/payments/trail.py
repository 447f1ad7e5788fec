"""What tests of the audit trail do: payments in few words, seals, and what a forger does in the database."""

from typing import Any

from payments.audit import Audit
from payments.events import content_hash, stored_content
from payments.facts import Fact
from payments.findings import Finding, Report
from payments.seals import Seal
from tests.integration.payments.stage import Stage
from tests.support.cms import SeededPayment
from tests.unit.payments.stories import CREATED, after, opened, seen, sent

Document = dict[str, Any]

#: Time enough for what was recorded to be sealed.
SEALABLE_SECONDS = 91.0


def paid(stage: Stage, seeded: SeededPayment) -> None:
    """Have a payment paid, in three changes that PayTabs' answers would lead to."""
    reference = f"T{seeded.payment_id}"
    for told in ([CREATED, sent()], [opened(1, reference)], [seen(reference, "sale", "A")]):
        record(stage, seeded, *told)


def refunded(stage: Stage, seeded: SeededPayment) -> None:
    """Have it refunded."""
    record(stage, seeded, after(f"T{seeded.payment_id}", f"R{seeded.payment_id}", "refund", "A"))


def record(stage: Stage, seeded: SeededPayment, *told: Fact) -> None:
    """Commit facts."""
    stage.world.store.change(seeded.payment_id, stage.context(), lambda change: change.record(*told))


def seal(stage: Stage) -> list[Seal]:
    """Let time pass until everything is old enough, and seal it."""
    stage.clock.advance(SEALABLE_SECONDS)
    return stage.world.sealer.seal(60)


def verify(stage: Stage, *, with_file: bool = True) -> Report:
    """Verify the whole trail."""
    file = stage.world.sealer._parts.file if with_file else None
    return Audit(stage.database, file, lambda _name, _by: None).verify()


def broken(stage: Stage, *, with_file: bool = True) -> list[Finding]:
    """List the broken places."""
    return verify(stage, with_file=with_file).findings


def events(stage: Stage, seeded: SeededPayment) -> list[Document]:
    """List a payment's events as they are stored."""
    return list(stage.database["payment_events"].find({"payment_id": seeded.payment}).sort("version", 1))


def rewrite(stage: Stage, documents: list[Document]) -> None:
    """Put documents in the place of those of the same payment."""
    rows = stage.database["payment_events"]
    rows.delete_many({"payment_id": documents[0]["payment_id"]})
    rows.insert_many(documents)


def chained_anew(documents: list[Document]) -> list[Document]:
    """Return a history whose links and hashes are right again, as a forger makes it who knows how."""
    prev_hash = "0" * 64
    for document in documents:
        document["prev_hash"] = prev_hash
        prev_hash = document["hash"] = content_hash(stored_content(document))
    return documents


def where(finding: Finding) -> tuple[str | None, int | None]:
    """Return the payment and the version that a finding names."""
    return finding.payment_id, finding.version
