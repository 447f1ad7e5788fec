"""How many figures become few: median, 95th percentile and maximum, in milliseconds."""

import math
import statistics
from collections.abc import Sequence

#: The share of measurements that the percentile covers.
PERCENTILE = 0.95


def summary(seconds: Sequence[float]) -> tuple[float, float, float]:
    """Return the median, the 95th percentile (nearest rank) and the maximum, in seconds.

    Args:
        seconds: The measurements, at least one. Up to nineteen of them, the percentile is the maximum.
    """
    ordered = sorted(seconds)
    return statistics.median(ordered), ordered[math.ceil(PERCENTILE * len(ordered)) - 1], ordered[-1]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay rows out as a Markdown table, the first column to the left and the others to the right."""
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        first, *others = (
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join([first, *others])} |"

    rule = ["-" * width if column == 0 else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return [line(cells[0]), line(rule), *map(line, cells[1:])]


def milliseconds(seconds: float) -> str:
    """Write seconds as whole milliseconds."""
    return f"{seconds * 1000:.0f} ms"
