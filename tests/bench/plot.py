"""Line plots as SVG, with logarithmic axes, readable on white and on black. Nothing to install."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 70, 200, 40, 50
COLOURS = ("#d1495b", "#2e86ab", "#3a9d5d", "#c98a1b", "#8e6bbf", "#7a7a7a")
"""Each keeps a contrast of 3:1 and more on white and on a dark page."""

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #333 } .title { font-weight: 600; font-size: 15px }
.grid { stroke: #8884; stroke-width: 1 } .line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } }
"""

Series = Mapping[str, Sequence[tuple[float, float]]]


class _Axis:
    """A logarithmic scale from the powers of ten around the values to a length in pixels."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        # A curve that stays within one power of ten gets one whole, so that noise does not look like growth.
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values)) - 1e-9), self.low + 1)
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def plot(title: str, across: str, up: str, series: Series) -> str:
    """The SVG of lines by name; points at or below zero are left out, as a logarithm has no place for them."""
    lines = {name: [(x, y) for x, y in points if x > 0 and y > 0] for name, points in series.items()}
    lines = {name: points for name, points in lines.items() if points}
    points = [point for each in lines.values() for point in each] or [(1.0, 1.0)]
    x_axis = _Axis([x for x, _ in points], LEFT, WIDTH - RIGHT)
    y_axis = _Axis([y for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>',
        *_grid(x_axis, y_axis, across, up),
    ]
    for number, (name, each) in enumerate(lines.items()):
        parts += _line(number, name, [(x_axis.place(x), y_axis.place(y)) for x, y in each])
    return "\n".join([*parts, "</svg>\n"])


def _grid(x_axis: _Axis, y_axis: _Axis, across: str, up: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for value in x_axis.ticks():
        x = x_axis.place(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_shown(value)}</text>')
    for value in y_axis.ticks():
        y = y_axis.place(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_shown(value)}</text>')
    middle = (LEFT + right) / 2
    parts.append(f'<text x="{middle:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(across)}</text>')
    parts.append(
        f'<text transform="translate(16 {HEIGHT / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(up)}</text>'
    )
    return parts


def _line(number: int, name: str, places: list[tuple[float, float]]) -> list[str]:
    colour = COLOURS[number % len(COLOURS)]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    y = TOP + 14 + number * 20
    return [
        f'<path class="line" stroke="{colour}" d="M{path}"/>',
        *dots,
        f'<path stroke="{colour}" stroke-width="3" d="M{WIDTH - RIGHT + 14} {y - 4}h16"/>',
        f'<text x="{WIDTH - RIGHT + 36}" y="{y}">{escape(name)}</text>',
    ]


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
