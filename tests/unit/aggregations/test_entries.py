import hashlib
import json
import os
import shutil
import subprocess
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from bson import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from aggregations.catalogue import ContractParameters, find
from aggregations.entries import Entry, decode, encode, key_of
from aggregations.keyspace import Keyspace
from aggregations.plain import to_json
from aggregations.plans import summary
from aggregations.tokens import cluster_time, latest, new_token, written

ROOT = Path(__file__).parents[3]
CONTRACT = "65f0c0ffee65f0c0ffee65f0"
ENTRY = Entry(
    as_of="2026-07-01T09:00:00.123Z",
    source="primary",
    data=[{"fullName": "عمر", "amount": "115.10"}],
    tokens={"users": "a1", "contract:65f0": "b2@1767225600.3"},
    run="c3",
    built_at="2026-07-01T09:00:00.150Z",
)


class TestBytes:
    """What is kept is what the documents say, for readers in other languages."""

    def test_exact(self) -> None:
        """A short entry is this JSON, byte for byte."""
        assert encode(ENTRY, compress_bytes=1_000).decode() == (
            '{"as_of":"2026-07-01T09:00:00.123Z","source":"primary","data":[{"fullName":"عمر","amount":"115.10"}],'
            '"tokens":{"users":"a1","contract:65f0":"b2@1767225600.3"},"run":"c3",'
            '"built_at":"2026-07-01T09:00:00.150Z","v":1}'
        )

    def test_compressed(self) -> None:
        """A long one is the same JSON as a zlib stream, told apart by its first byte."""
        short, long = encode(ENTRY, compress_bytes=1_000), encode(ENTRY, compress_bytes=10)
        assert (short[:1], long[:1]) == (b"{", b"\x78")
        assert zlib.decompress(long) == short
        assert decode(short) == decode(long) == ENTRY

    @pytest.mark.parametrize(
        "raw", [b"", b"x", b"{}", b"[1]", b"{", b"\x78\x9c", b"null", b'{"v":2}', b"\xff\xfe", zlib.compress(b"{}")]
    )
    def test_foreign(self, raw: bytes) -> None:
        """What is no entry of this form is none."""
        assert decode(raw) is None
        assert decode(encode(replace(ENTRY, v=2), compress_bytes=1_000)) is None

    def test_key(self) -> None:
        """The key is made from the name, the version and the parameters as canonical JSON."""
        row = find("contract_employees")
        key = key_of(row, ContractParameters(contract_id=CONTRACT))
        # printf %s '{"contract_id":"65f0c0ffee65f0c0ffee65f0"}' | sha256sum
        assert key == "nestcms:read:contract_employees:1:42158330a3f8cb94205ed748b886377f"

    @pytest.mark.skipif(shutil.which("node") is None, reason="no Node on this machine")
    @pytest.mark.parametrize("compress_bytes", [10, 10_000])
    def test_node(self, compress_bytes: int) -> None:
        """The functions printed in the documents make the key and read either form."""
        _, _, rest = (ROOT / "docs" / "reads.md").read_text().partition("```js\n")
        code = rest.partition("```")[0]
        program = f"""{code}
        const raw = Buffer.from({encode(ENTRY, compress_bytes=compress_bytes).hex()!r}, 'hex')
        const tokens = ['users', '~users'].map(tokenKey)
        const key = keyOf('contract_employees', {{contract_id: '{CONTRACT}'}})
        console.log(JSON.stringify([key, entryFrom(raw), tokens]))
        """
        done = subprocess.run(
            ["node", "-e", program], capture_output=True, text=True, timeout=30, check=True,
            env={**os.environ, "MONGO_DATABASE": "cms"},
        )  # fmt: skip
        key, entry, tokens = json.loads(done.stdout)
        space = Keyspace("cms")
        assert key == space.entry(key_of(find("contract_employees"), ContractParameters(contract_id=CONTRACT)))
        assert Entry(**entry) == ENTRY
        assert tokens == list(space.tokens(["users"]).values())

    def test_key_of_times(self) -> None:
        """Of a time the key has what JavaScript's `toISOString` writes, however it was asked for."""
        row = find("payments_summary")
        asked = row.parameters.model_validate({"since": "2026-08-06T13:15:30.5+03:00"})
        canonical = '{"since":"2026-08-06T10:15:30.500Z","until":null}'
        assert key_of(row, asked).endswith(hashlib.sha256(canonical.encode()).hexdigest()[:32])

    def test_no_number(self) -> None:
        """What JSON has no word for is text, as exact decimals are."""
        assert to_json([float("nan"), float("-inf"), 1.5]) == ["nan", "-inf", 1.5]


class TestTokens:
    """A token is new each time, and may carry the database's time."""

    @given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
    def test_time(self, seconds: int, number: int) -> None:
        """The time comes back from the token, whatever it is."""
        at = Timestamp(seconds, number)
        assert latest([new_token(), new_token(at)]) == at == cluster_time(written(at))

    def test_latest(self) -> None:
        """Of several the latest counts, by number and not by letter."""
        times = [Timestamp(9, 5), Timestamp(10, 1), Timestamp(9, 9)]
        assert latest(map(new_token, times)) == Timestamp(10, 1)
        assert latest([new_token(), "x@y", "x@99999999999.1", "x@4294967296.0"]) is None
        assert new_token() != new_token()


class TestPlans:
    """An explanation becomes one line, whichever form the server gives it in."""

    def test_classic(self) -> None:
        """Stages one after the other: the cursor's plan, then each join with its index."""
        explained = {
            "stages": [
                {
                    "$cursor": {
                        "queryPlanner": {
                            "parsedQuery": {"_id": {"$eq": "secret"}},
                            "winningPlan": {"stage": "FETCH", "inputStage": {"stage": "IXSCAN", "indexName": "nw_a"}},
                            "rejectedPlans": [{"stage": "COLLSCAN"}],
                        },
                        "executionStats": {"totalDocsExamined": 3, "executionStages": {"stage": "FETCH"}},
                    }
                },
                {
                    "$lookup": {"from": "users"},
                    "totalDocsExamined": 4,
                    "collectionScans": 0,
                    "indexesUsed": ["_id_"],
                },
            ]
        }
        plan = summary(explained)
        assert (plan.steps, plan.examined, plan.scans) == (("IXSCAN nw_a", "FETCH", "$lookup users _id_"), 7, False)

    def test_scans(self) -> None:
        """A whole collection read is one, first or in a join."""
        scan = {"queryPlanner": {"winningPlan": {"queryPlan": {"stage": "COLLSCAN"}, "slotBasedPlan": {"stages": ""}}}}
        join = {"stages": [{"$lookup": {"from": "notes"}, "collectionScans": 2}]}
        hashed = {"queryPlanner": {"winningPlan": {"stage": "EQ_LOOKUP", "strategy": "HashJoin"}}}
        assert [summary(one).scans for one in (scan, join, hashed)] == [True] * 3
        assert summary(hashed).steps == ("EQ_LOOKUP HashJoin",)
        assert summary(scan).examined is None
