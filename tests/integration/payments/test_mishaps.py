import random
from collections import Counter
from typing import Any

import pytest

from payments.errors import InvalidArgument, NotYet
from tests.integration.payments.stage import DECLINED, HELD, PAID, PENDING, Interrupted, Stage
from tests.support.cms import SeededPayment, seed_payment

#: What payers do; None leaves the page.
ACTS = (PAID, PAID, PAID, DECLINED, "cancel", "three_ds", HELD, PENDING, None)


class TestMishaps:
    """Calls are cut and fail at random, workers die, notices get lost: money and documents agree in the end."""

    @pytest.mark.parametrize("seed", [1, 2])
    def test_everything_at_once(self, stage: Stage, seed: int) -> None:
        """Every payment's state is its charges' sum at PayTabs, none is charged twice, none is left in doubt."""
        chance = random.Random(seed)  # noqa: S311 - repeatable mishaps, no secrets
        dying = stage.another_world(_die)
        payments = [seed_payment(stage.database) for _ in range(5)]
        stage.sandbox.switch(cut_rate=0.25, error_rate=0.25, random_seed=seed, notify_callback=False, notify_ipn=False)
        for _ in range(3):
            for seeded in payments:
                _ask(stage, seeded, dying if chance.random() < 0.3 else stage.world)
                _pay(stage, seeded, chance.choice(ACTS), chance)
            stage.live(chance.choice([3, 20, 200]))
        stage.sandbox.switch(cut_rate=0, error_rate=0)
        stage.live(2 * 86_400)
        for seeded in payments:
            self._check(stage, seeded)

    def _check(self, stage: Stage, seeded: SeededPayment) -> None:
        carts = {send.cart_id for row in stage.rows(seeded) for send in row.sends}
        charged = Counter(entry["status"] for entry in stage.sandbox.ledger() if entry["cart_id"] in carts)
        view, cms = stage.get(seeded), stage.cms(seeded)
        assert stage.facts(seeded)
        assert charged["A"] + charged["H"] <= 1
        assert (view.state == "PAID") == (charged["A"] == 1)
        assert (cms["status"] == "paid") == (charged["A"] == 1)
        assert (view.state == "ON_HOLD") == (charged["H"] == 1)
        assert view.state not in {"SENT?", "REVIEW"}
        assert sum(row.open for row in stage.rows(seeded)) <= 1


def _die() -> None:
    raise Interrupted


def _ask(stage: Stage, seeded: SeededPayment, world: Any) -> None:
    try:
        stage.create(seeded, world)
    except (NotYet, Interrupted, InvalidArgument):
        return


def _pay(stage: Stage, seeded: SeededPayment, act: str | None, chance: random.Random) -> None:
    """Do what a payer does with the page that the CMS's document links to; most notices come, some get lost."""
    gateway = stage.cms(seeded).get("gateway") or {}
    tran_ref = gateway.get("tran_ref") if gateway.get("redirect_url") else None
    unpaid = {entry["tran_ref"] for entry in stage.sandbox.ledger() if entry["status"] is None}
    if act is None or tran_ref is None or tran_ref not in unpaid:
        return
    stage.sandbox.cancel(tran_ref) if act == "cancel" else stage.sandbox.pay(tran_ref, act)
    if chance.random() < 0.6:
        stage.notice(tran_ref)
