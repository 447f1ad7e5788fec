"""Bars on a logarithmic scale as an SVG that reads in light and in dark surroundings."""

import math
from collections.abc import Mapping, Sequence
from html import escape

#: Sizes in pixels: the names' column, the bars, the figures behind them, one bar, the gap between groups.
NAMES, BARS, FIGURES, BAR, GAP = 180, 560, 90, 11, 10

#: The heading's height, and the axis's below.
HEAD, FOOT = 64, 34

#: One colour per series, dark enough for white paper and light enough for a dark page.
COLOURS = ("#c2571a", "#8f8a3a", "#2f7fc1", "#2c9c72")

STYLE = (
    "text{font:12px sans-serif;fill:#24292f}.small{font-size:10px;fill:#57606a}"
    ".title{font-weight:bold}.grid{stroke:#8b949e;stroke-opacity:.35}"
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9da7b3}}"
)


def bars(title: str, series: Sequence[str], groups: Mapping[str, Sequence[float | None]]) -> str:
    """Draw groups of bars.

    Args:
        title: What the figures are.
        series: What each bar of a group stands for.
        groups: The milliseconds of each series, by name; None where there is none.
    """
    known = [value for values in groups.values() for value in values if value]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    tall = len(series) * BAR + GAP
    width, bottom = NAMES + BARS + FIGURES, HEAD + tall * len(groups)

    def at(value: float) -> float:
        return NAMES + BARS * (math.log10(value) - low) / max(1, high - low)

    drawn = [f'<text x="8" y="20" class="title">{escape(title)}</text>', *_legend(series)]
    for power in range(low, high + 1):
        x = at(10.0**power)
        drawn.append(f'<line class="grid" x1="{x:.1f}" y1="{HEAD - 6}" x2="{x:.1f}" y2="{bottom}"/>')
        drawn.append(
            f'<text class="small" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{10.0**power:g} ms</text>'
        )
    for row, (name, values) in enumerate(groups.items()):
        top = HEAD + row * tall
        drawn.append(f'<text x="{NAMES - 8}" y="{top + tall / 2:.0f}" text-anchor="end">{escape(name)}</text>')
        for place, value in enumerate(values):
            if value:
                drawn += _bar(top + place * BAR, at(value), value, COLOURS[place % len(COLOURS)])
    size = f'width="{width}" height="{bottom + FOOT}" viewBox="0 0 {width} {bottom + FOOT}"'
    body = "\n".join(drawn)
    described = f'role="img" aria-label="{escape(title)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {described}>\n<style>{STYLE}</style>\n{body}\n</svg>\n'


def _bar(y: float, end: float, value: float, colour: str) -> list[str]:
    wide = max(1.0, end - NAMES)
    figures = ".2f" if value < 10 else ",.0f"  # noqa: PLR2004 - three figures are enough to compare
    return [
        f'<rect x="{NAMES}" y="{y:.1f}" width="{wide:.1f}" height="{BAR - 2}" rx="2" fill="{colour}"/>',
        f'<text class="small" x="{NAMES + wide + 5:.1f}" y="{y + BAR - 3:.1f}">{value:{figures}}</text>',
    ]


def _legend(series: Sequence[str]) -> list[str]:
    drawn, x = [], float(NAMES)
    for name, colour in zip(series, COLOURS, strict=False):
        drawn.append(f'<rect x="{x:.0f}" y="34" width="12" height="12" rx="2" fill="{colour}"/>')
        drawn.append(f'<text x="{x + 17:.0f}" y="44">{escape(name)}</text>')
        x += 45 + 7 * len(name)
    return drawn
