import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from payments.audit_chains import Chains
from payments.events import GENESIS_HASH, Context, Event, canonical_bytes, content_hash, seal, stored_content
from payments.facts import Fact
from payments.findings import Finding
from payments.marks import Mark, Span, mark_of
from payments.seal_differences import differences
from payments.seals import Seal, make_seal, why_it_does_not_follow

GOLDEN = (Path(__file__).parent / "golden" / "seals.jsonl").read_text(encoding="utf-8").splitlines()
NOW = datetime(2026, 8, 6, 10, 15, 30, tzinfo=UTC)
PAYMENTS = tuple(f"64b00000000000000000000{number}" for number in range(1, 4))

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ReviewRaised(Fact):
    """The fact in its first version, of which the golden seals are."""

    reason: str
    evidence: str


#: How fast a busy machine is, is not the subject.
UNHURRIED = settings(deadline=None)

#: What happens, in order: whose payment grows, and how many seconds after the event before.
steps = st.lists(st.tuples(st.sampled_from(PAYMENTS), st.integers(0, 2)), min_size=2, max_size=12)


def happened(told: Iterable[tuple[str, int]]) -> list[Document]:
    """Return the documents of what happened, each event saying something else."""
    chains: dict[str, Event] = {}
    documents, now = [], NOW
    for number, (payment_id, seconds) in enumerate(told):
        now += timedelta(seconds=seconds)
        fact = ReviewRaised(reason=f"reason {number}", evidence="none")
        context = Context(correlation_id=f"c-{number}", source="test")
        chains[payment_id] = seal(payment_id, chains.get(payment_id), fact, now, context)
        documents.append(chains[payment_id].to_document())
    return documents


def taken(documents: Iterable[Document]) -> Span:
    """Take documents into a span, in the order in which MongoDB gives them."""
    span = Span()
    for one in sorted(documents, key=lambda one: (one["recorded_at"], one["payment_id"], one["version"])):
        mark = mark_of(one)
        assert mark is not None
        span.add(mark)
    return span


def sealed(documents: Iterable[Document], previous: Seal | None = None, **more: Any) -> Seal:
    """Seal documents."""
    seconds = 60 * (previous.n if previous else 0)
    horizon = f"2026-08-06T10:{17 + seconds // 60}:00.000Z"
    return make_seal(previous, taken(documents), **{"horizon": horizon, "sealed_at": horizon, **more})


def chained_anew(documents: list[Document]) -> list[Document]:
    """Number and chain every payment's events anew, as a forger does it."""
    last: dict[Any, tuple[int, str]] = {}
    for one in documents:
        version, prev_hash = last.get(one["payment_id"], (0, GENESIS_HASH))
        one |= {"version": version + 1, "prev_hash": prev_hash, "_id": f"{one['payment_id']}-{version + 1}"}
        one["hash"] = content_hash(stored_content(one))
        last[one["payment_id"]] = (one["version"], one["hash"])
    return documents


def changed(documents: list[Document], place: int) -> list[Document]:
    """Change what one event says."""
    documents[place]["data"]["reason"] = "another reason"
    return documents


def dropped(documents: list[Document], place: int) -> list[Document]:
    """Take one out."""
    return [*documents[:place], *documents[place + 1 :]]


def inserted(documents: list[Document], place: int) -> list[Document]:
    """Put one more in."""
    extra = {**documents[place], "data": {"reason": "another reason", "evidence": "none"}}
    return [*documents[:place], extra, *documents[place:]]


def swapped(documents: list[Document], place: int) -> list[Document]:
    """Have one say what another one said, and the other way round."""
    other = (place + 1) % len(documents)
    first, second = documents[place], documents[other]
    first["data"], second["data"] = second["data"], first["data"]
    return documents


def chain_findings(documents: list[Document]) -> list[Finding]:
    """Follow all chains."""
    return list(Chains().findings(sorted(documents, key=lambda one: (one["payment_id"], one["version"]))))


class TestDigest:
    """Any single change under a seal is found, however well its chain was forged."""

    @UNHURRIED
    @given(told=steps, place=st.integers(0, 11), change=st.sampled_from([changed, dropped, inserted, swapped]))
    def test_any_change(
        self, told: list[tuple[str, int]], place: int, change: Callable[[list[Document], int], list[Document]]
    ) -> None:
        """What an event says, whether it is there, or its order: the digest is another, and the payment is named."""
        place %= len(told)
        seal_made = sealed(happened(told))
        forged = chained_anew(change(happened(told), place))
        assert chain_findings(forged) == []
        span = taken(forged)
        assert span.digest != seal_made.digest
        touched = {told[place][0], told[(place + 1) % len(told)][0] if change is swapped else told[place][0]}
        assert {finding.payment_id for finding in differences(seal_made, span)} == touched

    @UNHURRIED
    @given(told=steps)
    def test_no_change(self, told: list[tuple[str, int]]) -> None:
        """The same events give the same digest, and nothing is found."""
        assert list(differences(sealed(happened(told)), taken(happened(told)))) == []
        assert chain_findings(happened(told)) == []

    @UNHURRIED
    @given(told=steps, place=st.integers(0, 11))
    def test_gone(self, told: list[tuple[str, int]], place: int) -> None:
        """An event that is gone is found although the newest of its payment is there."""
        documents = happened(told)
        del documents[place % len(told)]
        assert list(differences(sealed(happened(told)), taken(documents)))


class TestChains:
    """What was changed without the forger's art is named by payment and version."""

    @UNHURRIED
    @given(
        told=steps, place=st.integers(0, 11), member=st.sampled_from(["data", "type", "source", "causation_id", "_id"])
    )  # fmt: skip
    def test_any_member(self, told: list[tuple[str, int]], place: int, member: str) -> None:
        """Any member of any event, and any that was added."""
        for name in (member, "added"):
            documents = happened(told)
            one = documents[place % len(told)]
            one[name] = {"reason": "another reason"}
            (finding,) = chain_findings(documents)
            assert (finding.payment_id, finding.version) == (str(one["payment_id"]), one["version"])

    @pytest.mark.parametrize("version", [None, 0, True, "1", 1.0, -1])
    def test_no_version(self, version: object) -> None:
        """A document without a version is found, and has no mark."""
        document = happened([(PAYMENTS[0], 0)])[0] | {"version": version}
        assert chain_findings([document])[0].version == 1
        assert mark_of(document) is None

    @pytest.mark.parametrize(
        "wrong", [{"payment_id": PAYMENTS[0]}, {"hash": None}, {"hash": "A" * 64}, {"recorded_at": "yesterday"}]
    )
    def test_unreadable(self, wrong: Document) -> None:
        """A document that cannot be read is found, not stumbled over."""
        assert len(chain_findings([happened([(PAYMENTS[0], 0)])[0] | wrong])) == 1


class TestSeal:
    """One seal leads to the next."""

    @pytest.fixture
    def chain(self) -> list[Seal]:
        """Three seals."""
        first = sealed(happened([(PAYMENTS[0], 0), (PAYMENTS[1], 1)]))
        second = sealed([], first, late=[Mark(PAYMENTS[2], 1, "a" * 64)], entries=(2, "b" * 64))
        return [first, second, sealed(happened([(PAYMENTS[2], 0)]), second, entries=(2, "b" * 64))]

    def test_golden(self, chain: list[Seal]) -> None:
        """The canonical bytes are fixed: seals that lie outside today are checked for years."""
        assert [canonical_bytes(one.model_dump()).decode() for one in chain] == GOLDEN
        for line in GOLDEN:
            read = json.loads(line)
            assert read.pop("hash") == sha256(canonical_bytes(read)).hexdigest()

    def test_follows(self, chain: list[Seal]) -> None:
        """Each follows the one before, and none follows another."""
        before: list[Seal | None] = [None, *chain[:-1]]
        for place, one in enumerate(chain):
            for other, previous in enumerate(before):
                assert (why_it_does_not_follow(previous, one) is None) == (place == other)

    @pytest.mark.parametrize("member", sorted(set(Seal.model_fields) - {"hash"}))
    def test_any_member(self, chain: list[Seal], member: str) -> None:
        """A seal of which anything was changed is found."""
        other = chain[0].model_dump()[member]
        whole = chain[2].model_dump()
        tampered = Seal.model_validate(whole | {member: other if other != whole[member] else _unlike(other)})
        assert why_it_does_not_follow(chain[1], tampered) is not None

    def test_rehashed(self, chain: list[Seal]) -> None:
        """A seal whose hash was made right again contradicts the one before, or the one after does."""
        for wrong in ({"total": 9}, {"since": chain[0].horizon}, {"entries": 1}, {"prev_hash": "c" * 64}):
            content = chain[2].content | wrong
            forged = Seal.model_validate(content | {"hash": content_hash(content)})
            assert why_it_does_not_follow(chain[1], forged) is not None

    def test_newer_version(self, chain: list[Seal]) -> None:
        """A member that a newer version added keeps its part in the hash."""
        content = chain[0].content | {"colour": "blue"}
        newer = Seal.model_validate(content | {"hash": content_hash(content)})
        assert newer.is_whole()
        assert Seal.model_validate(newer.model_dump() | {"colour": "red"}).is_whole() is False

    @pytest.mark.parametrize(
        "wrong",
        [{"horizon": "2026-13-40T10:00:00.000Z"}, {"n": 0}, {"count": 1.0}, {"heads": ["x"]}, {"hash": "z" * 64}],
    )
    def test_refused(self, chain: list[Seal], wrong: Document) -> None:
        """What no seal has is refused when it is read."""
        with pytest.raises(ValidationError):
            Seal.model_validate(chain[0].model_dump() | wrong)


def _unlike(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, list):
        return [f"{PAYMENTS[0]}-9 {'d' * 64}"]
    return value + 1 if isinstance(value, int) else "e" * 64
