"""The figures of heavy reads as a table, with each target and whether it is met."""

import statistics
from collections.abc import Mapping, Sequence

from aggregations.catalogue import CATALOGUE
from bench.parts.circumstances import circumstances
from bench.parts.figures import summary, table
from bench.parts.reads import Times
from bench.parts.reads_targets import Figures, Rates, insert_share, ratio, targets
from workers.stack_binaries import find_binary


def report(figures: Figures) -> str:
    """Write the table, the insert rates and the targets, with what is needed to judge them."""
    lines = [
        "# Heavy reads: the CMS's pipelines as they run today beside ours",
        "",
        *circumstances([find_binary("mongod"), find_binary("valkey-server")]),
        f"- data: scale {figures.plan.scale:g}, {figures.plan.documents:,} documents, one mongod with 1 GB of cache",
        f"- {figures.rounds} rounds, all measured in turn within each; other documents are asked about each time",
        "",
        *table(HEAD, [_row(name, figures) for name in CATALOGUE if name in figures.times]),
        "",
        "Milliseconds, median / p95. Ratio: today's median, or where today's fails or there is none, ours without our",
        "indexes, over ours with them. Examined: documents examined / returned, the subject itself included.",
        "",
        *table(("payments inserted a second", "without ours", "with ours", "share"), _insert_rows(figures.inserts)),
        "",
        *(f"{'met   ' if one.met else 'MISSED'}  {one.promise}: {one.found}" for one in targets(figures)),
    ]
    return "\n".join(lines) + "\n"


HEAD = ("aggregation", "today", "ours, no index", "indexed", "cached", "ratio", "examined", "today's answer")


def chart(figures: Figures) -> dict[str, list[float | None]]:
    """Return the medians in milliseconds, in the order of the catalogue."""
    rows = {name: figures.times[name] for name in CATALOGUE if name in figures.times}
    return {
        name: [_median_ms(one) for one in (row.today, row.bare, row.indexed, row.cached)] for name, row in rows.items()
    }


def _row(name: str, figures: Figures) -> list[str]:
    times = figures.times[name]
    looked, returned = figures.examined[name]
    four = (times.today, times.bare, times.indexed, times.cached)
    return [name, *map(_pair, four), f"{ratio(times):.1f}", f"{looked} / {returned}", _verdict(times)]


def _verdict(times: Times) -> str:
    if times.failures:
        return f"error: {', '.join(sorted(times.failures))}"
    if not times.asked:
        return "-"
    return f"wrong {times.wrong} of {times.asked}" if times.wrong else "right"


def _pair(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    median, p95, _ = summary(seconds)
    return f"{median * 1000:.2f} / {p95 * 1000:.2f}"


def _median_ms(seconds: Sequence[float]) -> float | None:
    return statistics.median(seconds) * 1000 if seconds else None


def _insert_rows(inserts: Mapping[str, Rates]) -> list[list[str]]:
    rows = []
    for how, rates in inserts.items():
        medians = (statistics.median(one) for one in zip(*rates, strict=True))
        rows.append([how, *(f"{one:,.0f}" for one in medians), f"{insert_share(rates):.2f}"])
    return rows
