import json
from dataclasses import fields
from datetime import UTC
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import json_util
from bson.codec_options import CodecOptions

from payments.assessment import assess
from payments.events import broken_link, from_document
from payments.facts import FACTS
from payments.payment import fold

Document = dict[str, Any]

TIMES = json_util.JSONOptions(json_mode=json_util.JSONMode.RELAXED, tz_aware=True, tzinfo=UTC)
TEXT = (Path(__file__).parent / "golden" / "histories.json").read_text(encoding="utf-8")
HISTORIES: list[Document] = json_util.loads(TEXT, json_options=TIMES)


def stored(document: Document) -> Document:
    """Return a document as MongoDB gives it back."""
    found: Document = bson.decode(bson.encode(document), CodecOptions(tz_aware=True, tzinfo=UTC))
    return found


@pytest.mark.parametrize("history", HISTORIES, ids=[one["name"] for one in HISTORIES])
class TestGoldenHistories:
    """What programs of the past have stored means for ever what it meant then; `golden/record.py` adds to it."""

    def test_hashes(self, history: Document) -> None:
        """Every hash fits what is stored, and the chain is whole from its first event on."""
        assert broken_link(from_document(stored(one)) for one in history["documents"]) is None

    def test_fold(self, history: Document) -> None:
        """State, sums, flags and cases are what they were."""
        found = assess(fold(from_document(stored(one)).fact for one in history["documents"]))
        expected = history["expected"]
        assert (str(found.state), found.cms_status, found.tran_ref) == tuple(
            expected[name] for name in ("state", "status", "tran_ref")
        )
        for name in ("authorised", "captured", "released", "refunded", "refund_pending"):
            assert str(getattr(found, name)) == expected[name], name
        assert [reason.key for reason in found.review] == expected["review"]
        for name in ("flags", "parked"):
            assert list(getattr(found, name)) == expected[name], name

    def test_written_again(self, history: Document) -> None:
        """An event that was read is written again byte for byte, as BSON and as JSON."""
        for one in history["documents"]:
            again = from_document(stored(one)).to_document()
            assert bson.encode(again) == bson.encode(one)
            assert json_util.dumps(again, json_options=TIMES) == json_util.dumps(one, json_options=TIMES)


class TestCoverage:
    """The golden file tells of everything there is."""

    def test_every_version(self) -> None:
        """Each fact stands in it, in each of its schema versions."""
        told = {(one["type"], one["schema_version"]) for history in HISTORIES for one in history["documents"]}
        assert told == {(name, version + 1) for name, kind in FACTS.items() for version in range(kind.SCHEMA_VERSION)}

    def test_every_member(self) -> None:
        """So does each member of each fact, and those that came later or depend are absent somewhere as well."""
        told: dict[tuple[str, str], set[bool]] = {}
        for history in HISTORIES:
            for one in history["documents"]:
                for field in fields(FACTS[one["type"]]):
                    told.setdefault((one["type"], field.name), set()).add(field.name in one["data"])
        assert [name for name, ways in told.items() if True not in ways] == []
        for name in ("code", "operation_id", "client_id", "previous_tran_ref", "occurred_at"):
            assert any(False in ways for (_, member), ways in told.items() if member == name), name

    def test_file(self) -> None:
        """The file is as its tool writes it, so that adding a history shows as an addition."""
        assert json_util.dumps(HISTORIES, json_options=TIMES, indent=1, ensure_ascii=False) + "\n" == TEXT
        assert len({one["name"] for one in json.loads(TEXT)}) == len(HISTORIES)
