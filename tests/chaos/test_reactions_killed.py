from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from tests.chaos.reactions import PROCESSES, Reactions, await_all, reacting
from tests.chaos.stage import HEALS_WITHIN_SECONDS
from tests.support.sandbox import Sandbox
from tests.support.traces import traces_in
from tests.support.waiting import eventually

#: Where the small form dies, all on the way of one payment; the full form has every place and every handler.
PLACES = (
    "outbox_committed:activate_projects",
    "dispatch_claimed:activate_projects",
    "handler_in_transaction:recount_contract",
    "handler_claimed:notify_cms",
    "handler_effected:email_client",
)


@pytest.fixture
def act(tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox) -> Iterator[Reactions]:
    """A whole system that dies here and there, and whom it tells."""
    with reacting(tmp_path_factory.mktemp("reactions"), sandbox, PLACES) as running:
        yield running


class TestReactionsKilled:
    """Whoever does reactions, or sends them out, may be killed at any step."""

    def test_one_payment(self, act: Reactions) -> None:
        """Effects in the database exist once; only the mail whose sender died over it came twice, under one id."""
        payment = act.paid()
        for place in PLACES:
            died = partial(act.died, place)
            eventually(died, within_seconds=HEALS_WITHIN_SECONDS, what=f"a death at {place}")
            act.hurry(payment)
        act.hurry(payment)
        await_all(act, [payment], HEALS_WITHIN_SECONDS)
        assert act.effects_of(payment) == (1, 1)
        mails, webhooks = act.mails_of(payment), act.webhooks_of(payment)
        assert (len(mails), len(set(mails))) == (2, 1)
        assert len(webhooks) == 1
        attempts: Counter[str] = Counter()
        for row in act.rows(payment):  # the contract is counted when the payment is first shown, too
            attempts[row["handler"]] = max(attempts[row["handler"]], row["attempts"])
        for killed in ("recount_contract", "notify_cms", "email_client"):
            assert attempts[killed] >= 2, attempts
        assert attempts["activate_projects"] == 1
        assert act.stage.is_paid(payment)
        # The person whose payment it was stands in none of the processes' logs.
        assert {name: traces_in(act.stage.system.log(name)) for name in PROCESSES} == {name: [] for name in PROCESSES}
