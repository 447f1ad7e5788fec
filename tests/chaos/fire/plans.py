"""Which payments a run makes: drawn from the shapes by a seed, with exactly as many follow-ups as were asked for."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import cycle

from tests.chaos.fire.shapes import EDGES, FOLLOWED, PLAIN, PLANTED, Shape

#: Currencies and their decimals; most payments are in the first.
CURRENCIES = {"SAR": 2, "AED": 2, "KWD": 3, "JPY": 0}

#: One payment in so many carries a planted mismatch, but at least one of each kind does.
ONE_PLANTED_IN = 25

#: One payment in so many is one of the edges, but at least one of each kind is.
ONE_EDGE_IN = 6


@dataclass(frozen=True)
class Plan:
    """One payment of a run: `tenth` is a tenth of its amount."""

    number: int
    shape: Shape
    tenth: Decimal
    currency: str

    def part(self, tenths: int) -> Decimal:
        """Give so many tenths of the amount."""
        return self.tenth * tenths


def draw_plans(payments: int, follow_ups: int, seed: int, edges: Sequence[Shape] = EDGES) -> list[Plan]:
    """Draw the plans of a run, in the order in which they begin."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable run, no secrets
    planted = max(len(PLANTED), payments // ONE_PLANTED_IN)
    edge = list(_some(edges, max(len(edges), payments // ONE_EDGE_IN))) if edges else []
    left = follow_ups - sum(len(shape.steps) for shape in edge)
    chosen = [*edge, *_followed(max(left, 0)), *_some(PLANTED, planted)]
    if len(chosen) > payments:
        raise ValueError(f"payments: expected at least {len(chosen)} for {follow_ups} follow-ups, got {payments}")
    weights = [6 if shape.name == "paid" else 1 for shape in PLAIN]
    chosen += chance.choices(PLAIN, weights, k=payments - len(chosen))
    chance.shuffle(chosen)
    return make_plans(chosen, chance)


def make_plans(shapes: Sequence[Shape], chance: random.Random) -> list[Plan]:
    """Give every shape a number, an amount and a currency."""
    return [_plan(number, shape, chance) for number, shape in enumerate(shapes)]


def _plan(number: int, shape: Shape, chance: random.Random) -> Plan:
    drawn = chance.choices(list(CURRENCIES), [7, 1, 1, 1])[0]
    tenth = Decimal(chance.randrange(1_00, 300_00)).scaleb(-(2 if shape.currency else CURRENCIES[drawn]))
    return Plan(number, shape, tenth, shape.currency or drawn)


def _followed(follow_ups: int) -> Iterator[Shape]:
    """Choose shapes in turn until their steps are as many as asked for."""
    for shape in cycle(FOLLOWED):
        if not follow_ups:
            return
        if len(shape.steps) <= follow_ups:
            follow_ups -= len(shape.steps)
            yield shape


def _some(shapes: Sequence[Shape], number: int) -> Iterator[Shape]:
    turn = cycle(shapes)
    return (next(turn) for _ in range(number))
