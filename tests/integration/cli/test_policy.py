import json
from pathlib import Path
from typing import Any

import pytest

from config.timechain import LINKS
from payments.ladder import LADDERS
from paytabs.errors import LISTED_CODES, RESPONSE_CODES
from paytabs.refusals import REFUSALS, UNLISTED, CallKind, Standing
from paytabs.resilience import POLICIES
from tests.integration.cli.conftest import Command
from workers.cli_policy_rows import asked_after

DOCS = Path(__file__).parents[3] / "docs" / "operations.md"


@pytest.fixture
def printed(command: Command) -> dict[str, list[dict[str, Any]]]:
    """What the command prints as JSON where nothing at all is set."""
    done = command("policy", "--json")
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


class TestPolicy:
    """What is repeated, asked and awaited, as the code has it."""

    def test_policies(self, printed: dict[str, list[dict[str, Any]]]) -> None:
        """Every policy with all its numbers, its reason, and what its first waits may be."""
        rows = {row["policy"]: row for row in printed["retry_policies"]}
        assert list(rows) == list(POLICIES)
        for name, policy in POLICIES.items():
            for field in ("base_seconds", "factor", "cap_seconds", "horizon_seconds", "max_attempts", "reason"):
                assert rows[name][field] == getattr(policy, field)
        assert rows["task_retry"]["first_ceilings_seconds"] == [1, 2, 4, 8, 16, 20]
        assert rows["query_inside_call"]["first_ceilings_seconds"] == [0.2, 0.4]

    def test_ladders(self, printed: dict[str, list[dict[str, Any]]]) -> None:
        """Every kind of operation: when PayTabs is asked, what follows when it knows nothing, when a human looks."""
        rows = {row["kind"]: row for row in printed["ladders"]}
        assert LADDERS.keys() <= rows.keys()
        often = "5, 15, 60, 130, 300 s"
        assert rows["refund"] == {
            "kind": "refund", "asked_after": f"{often}, then hourly", "when_nothing_is_found": "never sent again",
            "human_after": "24 h",
        }  # fmt: skip
        assert rows["void"]["when_nothing_is_found"] == "sent once more under a new cart"
        assert rows["create_page"] == {
            "kind": "create_page", "asked_after": f"{often}, 1, 6, 24 h, then daily",
            "when_nothing_is_found": "sent again under a new cart", "human_after": "never",
        }  # fmt: skip
        assert rows["adopt"]["when_nothing_is_found"] == "never sent again"

    def test_pages(self, command: Command) -> None:
        """How long a page lives, and for how long a payer in the middle of it is waited for, as it is set here."""
        done = command("policy", "--json", PAYPAGE_TTL_MINUTES="35", PAGE_MARGIN_SECONDS="90")
        rows = {row["setting"]: row["minutes"] for row in json.loads(done.stdout)["pages"]}
        assert rows == {"PAYPAGE_TTL_MINUTES": 35, "PAGE_MARGIN_SECONDS": 1.5, "PAGE_MARGIN_OTHER_SECONDS": 180}

    @pytest.mark.parametrize("minutes", ["0", "-1", "1.5", "twenty"])
    def test_page_life(self, command: Command, minutes: str) -> None:
        """A page lives for whole minutes, one at least."""
        done = command("policy", PAYPAGE_TTL_MINUTES=minutes)
        assert done.exit_code == 2
        assert "PAYPAGE_TTL_MINUTES: expected whole minutes" in done.stderr

    def test_codes(self, printed: dict[str, list[dict[str, Any]]]) -> None:
        """Every listed code with its meaning and where that is known from; none is sent again by itself."""
        errors = {row["code"]: row for row in printed["error_codes"]}
        assert errors.keys() == {*LISTED_CODES, "any other"}
        for code, row in LISTED_CODES.items():
            assert (errors[code]["meaning"], errors[code]["evidence"]) == (row.meaning, row.evidence)
        for code, cells in errors.items():
            for kind in CallKind:
                said = cells[kind.replace("-", "_").replace(" ", "_")]
                number = UNLISTED if code == "any other" else int(code)
                assert said.startswith(REFUSALS[number, Standing.REFUSING, kind])
                assert said.endswith(REFUSALS[number, Standing.OTHER, kind])
        assert errors[1]["page"] == "waits: one question tells a bad key from a bad request"
        assert errors[1]["money"].endswith("under another status unknown: found out by query")
        assert errors["any other"]["page"] == "ended: not executed"
        assert errors[113]["look_up"].startswith("not found")
        answers = {(row["status"], row["code"]): row["retried"] for row in printed["response_codes"]}
        assert answers.keys() == RESPONSE_CODES.keys()
        assert answers["D", "300"] == "no: ask the bank first"
        assert answers["D", "316"] == "by the payer, with another card"
        assert answers["C", "321"] == "by the payer, if they like"

    def test_time_chain(self, command: Command) -> None:
        """The times as they are set here, each with the ones that have to be longer."""
        done = command("policy", "--json", SWEEP_SECONDS="7", LEASE_SECONDS="31")
        rows = {row["setting"]: row for row in json.loads(done.stdout)["time_chain"]}
        assert rows.keys() == {name.upper() for link in LINKS for name in (*link.shorter, link.longer)}
        assert (rows["SWEEP_SECONDS"]["seconds"], rows["LEASE_SECONDS"]["seconds"]) == (7, 31)
        assert rows["SWEEP_SECONDS"]["stays_under"] == ["LEASE_SECONDS: the sweep must see an ended lease soon"]

    def test_tables(self, command: Command) -> None:
        """For people the same as tables, with nothing cut off."""
        done = command("policy")
        assert done.exit_code == 0, done.output
        for expected in (
            "Retry policies",
            "Ladders",
            "Pages",
            "Error codes",
            "Response codes",
            "Time chain",
            "0.2 0.4",
        ):
            assert expected in done.stdout
        assert "…" not in done.stdout

    def test_wrong_settings(self, command: Command) -> None:
        """Times that break the chain are told instead of being printed."""
        done = command("policy", LEASE_SECONDS="5")
        assert done.exit_code == 2
        assert "LEASE_SECONDS: expected more than" in done.stderr


@pytest.mark.parametrize("kind", LADDERS)
def test_docs_agree(kind: str) -> None:
    """docs/operations.md gives each kind of operation the ladder that the code gives it."""
    (line,) = (
        line for line in DOCS.read_text().splitlines() if f"`{kind}`" in line.partition("|")[2].partition("|")[0]
    )
    _, _, asked, nothing, *_ = (cell.strip() for cell in line.split("|"))
    assert asked.startswith(asked_after(LADDERS[kind]))
    assert nothing.startswith(LADDERS[kind].on_nothing)
