from collections import Counter
from random import Random

from tests.integration.payments.stage import DECLINED, PAID, Stage
from tests.support.cms import SeededPayment, seed_payment

#: One day, in seconds, and some more than the last step of the ladder needs.
DAY = 86_400

#: How many payments live through it.
PAYMENTS = 16


class TestDrought:
    """Without any notice, a day of queries finds everything."""

    def test_a_day(self, stage: Stage) -> None:
        """Whenever a payer paid, it is found, his page ended or not; nobody costs more than 10 queries."""
        stage.sandbox.switch(notify_callback=False, notify_ipn=False)
        chance = Random(7)  # noqa: S311 - the hours at which payers pay
        payments = [seed_payment(stage.database) for _ in range(PAYMENTS)]
        refs = {one.payment: stage.open_page(one) for one in payments}
        paid, declined, abandoned = payments[:8], payments[8:11], payments[11:]
        began = stage.clock.now
        for seconds, payer in sorted((chance.uniform(1, DAY - 60), number) for number in range(11)):
            stage.live(seconds - (stage.clock.now - began).total_seconds())
            stage.sandbox.pay(refs[payments[payer].payment], PAID if payer < 8 else DECLINED)
        stage.live(DAY - (stage.clock.now - began).total_seconds())
        assert self.statuses(stage, paid) == {"paid"}
        assert self.statuses(stage, declined) == {"failed"}
        assert self.statuses(stage, abandoned) == {"pending"}
        assert all(stage.row(one).has_ended for one in abandoned)
        carts = {send["cart_id"] for row in stage.database["payment_operations"].find() for send in row["sends"]}
        named = (query.get("tran_ref") or query["cart_id"] for query in stage.queries())
        # What an earlier test has left under way may still ask the same sandbox about its own.
        asked = Counter(one for one in named if one in {*refs.values(), *carts})
        assert asked.keys() == set(refs.values())
        assert max(asked.values()) <= 10
        assert len(stage.sent()) == PAYMENTS

    def statuses(self, stage: Stage, payments: list[SeededPayment]) -> set[str]:
        """Collect what the CMS reads of some payments."""
        return {stage.cms(one)["status"] for one in payments}
