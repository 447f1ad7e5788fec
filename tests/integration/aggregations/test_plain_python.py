import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from pymongo.database import Database

from aggregations.catalogue import CATALOGUE
from aggregations.errors import NotFound
from aggregations.runner import AggregationRunner
from tests.support import plain_money, plain_reads
from tests.support.plain_reads import Store, Unknown
from tests.support.plain_values import as_json
from tests.support.random_cms import ASKED, CMS, NOW, SECRET

Json = dict[str, Any]

#: The same answers, computed from lists of documents.
PLAIN: dict[str, Callable[[Store, Json], Any]] = {
    "contract_employees": plain_reads.contract_employees,
    "project_designs": plain_reads.of_project("designs", "designs"),
    "project_steps": plain_reads.of_project("projectsteps", "steps"),
    "project_notes": plain_reads.project_notes,
    "earnings_compound": plain_reads.earnings_compound,
    "user_permissions": plain_reads.user_permissions,
    "user_projects": plain_reads.user_projects,
    "payments_summary": plain_money.payments_summary,
    "client_payments": plain_money.client_payments,
    "contract_balance": plain_money.contract_balance,
    "org_earnings": plain_reads.org_earnings,
    "project_overview": plain_reads.project_overview,
    "receivables_ageing": partial(plain_money.receivables_ageing, now=NOW),
    "gateway_performance": partial(plain_money.gateway_performance, now=NOW),
}


def fill(database: Database[Json], store: Store) -> None:
    """Make the database hold exactly these documents."""
    for name, documents in store.items():
        database[name].delete_many({})
        if documents:
            database[name].insert_many(documents)


def plainly(name: str, store: Store, asked: Json) -> Any:
    """Give what Python makes of the documents, or the parameter whose subject is unknown."""
    try:
        return as_json(PLAIN[name](store, asked))
    except Unknown as unknown:
        return f"not found: {unknown}"


def ours(runner: AggregationRunner, name: str, asked: Json) -> Any:
    """Give what the aggregation answers, or the parameter whose subject is unknown."""
    try:
        return runner.run(name, CATALOGUE[name].parameters.model_validate(asked))["data"]
    except NotFound as unknown:
        return f"not found: {unknown.field}"


class TestSameAsPython:
    """Whatever the CMS's documents hold, each aggregation is what anybody could compute by hand."""

    @pytest.fixture
    def runner(self, database: Database[Json]) -> AggregationRunner:
        """The runner, its clock standing still."""
        return AggregationRunner(database, clock=lambda: NOW)

    def test_all_are_compared(self) -> None:
        """There is a computation, and a way to ask, for every row of the catalogue."""
        assert PLAIN.keys() == ASKED.keys() == CATALOGUE.keys()
        assert len(PLAIN) == 14

    # Not shrunk: every step fills the database anew, and the note says which aggregation with which parameters differs.
    @settings(
        max_examples=40,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(store=CMS, asked=st.fixed_dictionaries(ASKED))
    def test_equal(
        self, database: Database[Json], runner: AggregationRunner, store: Store, asked: dict[str, Json]
    ) -> None:
        """All fourteen, over missing members, nulls, dangling references, doubled ids and unreadable amounts."""
        fill(database, store)
        for name, parameters in asked.items():
            answer = ours(runner, name, parameters)
            note(f"{name} {parameters}")
            assert answer == plainly(name, store, parameters), name
            assert SECRET not in json.dumps(answer), name
