"""Charts over time and the flow of parts as SVG; colours are those of the page's style."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

MOST_LABELS = 9


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        style: class of the page's style that gives the colour.
        values: one for each label; None leaves a gap.
        lows: lower ends of intervals, drawn as bars where there are any.
        highs: upper ends.
        marks: positions of values to mark.
        dots: values are drawn as dots too.
    """

    name: str
    style: str
    values: Sequence[float | None]
    lows: Sequence[float | None] = ()
    highs: Sequence[float | None] = ()
    marks: frozenset[int] = field(default_factory=frozenset)
    dots: bool = True


@dataclass(frozen=True)
class Node:
    """A box of the flow: its share of all parts, from 0 to 1."""

    name: str
    style: str
    count: int


@dataclass(frozen=True)
class Band:
    """Parts that go from one node to one of the next column."""

    start: int
    end: int
    count: int


def time_chart(
    title: str,
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    percent: bool,
    size: tuple[int, int] = (570, 240),
) -> Markup:
    """Return a chart with one place for each label; it begins at 0 if it shows shares."""
    plot = _Plot(size, len(labels), *_range(series, from_zero=percent), percent=percent)
    body = [_text(plot.left, 15, title, "start", "title")]
    for tick in _ticks(plot.low, plot.high):
        line = Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
        body.append(line.format(plot.left, size[0] - plot.right, plot.y(tick), plot.y(tick)))
        body.append(_text(plot.left - 6, plot.y(tick) + 4, plot.words(tick), "end"))
    stride = -(-len(labels) // MOST_LABELS) or 1
    for place in range(0, len(labels), stride):
        body.append(_text(plot.x(place), size[1] - 10, labels[place]))
    for each in series:
        body += plot.curve(each, labels)
    return _svg(*size, title, body)


@dataclass(frozen=True)
class _Plot:
    """Where places and values of a chart lie."""

    size: tuple[int, int]
    places: int
    low: float
    high: float
    percent: bool
    left: int = 56
    right: int = 12
    top: int = 26
    bottom: int = 30

    def x(self, place: int) -> float:
        inner = self.size[0] - self.left - self.right
        return self.left + inner * (place + 0.5) / max(self.places, 1)

    def y(self, value: float) -> float:
        inner = self.size[1] - self.top - self.bottom
        return self.top + inner * (1 - (value - self.low) / (self.high - self.low))

    def words(self, value: float) -> str:
        return f"{100 * value:.3g} %" if self.percent else f"{value:.3g}"

    def curve(self, series: Series, labels: Sequence[str]) -> list[Markup]:
        """Return intervals, line and dots of a series."""
        body = []
        for n, (low, high) in enumerate(zip(series.lows, series.highs, strict=True)):
            if low is not None and high is not None:
                bar = Markup('<path class="range {}" d="M{:.1f} {:.1f}V{:.1f}"/>')
                body.append(bar.format(series.style, self.x(n), self.y(low), self.y(high)))
        path, down = "", False
        for n, value in enumerate(series.values):
            if value is not None:
                path += f"{'L' if down else 'M'}{self.x(n):.1f} {self.y(value):.1f}"
            down = value is not None
        body.append(Markup('<path class="curve {}" d="{}"/>').format(series.style, path))
        for n, value in enumerate(series.values):
            if value is not None and (series.dots or n in series.marks):
                dot = Markup(
                    '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>'
                )
                style = "alarm" if n in series.marks else series.style
                text = f"{series.name}, {labels[n]}: {self.words(value)}"
                radius = 4.5 if n in series.marks else 2.6
                body.append(dot.format(style, self.x(n), self.y(value), radius, text))
        return body


def flow_chart(columns: Sequence[Sequence[Node]], bands: Sequence[Sequence[Band]]) -> Markup:
    """Return the flow from the first column to the last, heights in proportion to counts.

    Args:
        columns: nodes from top to bottom; every column has the same sum, which is not 0.
        bands: for each column but the last, where its parts go.
    """
    width, height, gap, bar = 1120, 330, 26, 16
    total = sum(node.count for node in columns[0])
    scale = (height - 40 - gap * 2) / total
    lefts = [10 + (width - 250) * n / max(len(columns) - 1, 1) for n in range(len(columns))]
    tops = []
    for nodes in columns:
        tops.append([
            20 + sum(node.count for node in nodes[:n]) * scale + gap * n for n in range(len(nodes))
        ])  # fmt: skip
    body = []
    for n, each in enumerate(bands):
        out, into = list(tops[n]), list(tops[n + 1])
        for band in each:
            if not band.count:
                continue
            thick = max(band.count * scale, 1.0)
            x0, x1 = lefts[n] + bar, lefts[n + 1]
            y0, y1 = out[band.start], into[band.end]
            style = columns[n + 1][band.end].style
            body.append(_band(x0, y0, x1, y1, thick, style))
            out[band.start] += band.count * scale
            into[band.end] += band.count * scale
    for left, nodes, ys in zip(lefts, columns, tops, strict=True):
        labels = _apart([y + node.count * scale / 2 for node, y in zip(nodes, ys, strict=True)])
        for node, y, middle in zip(nodes, ys, labels, strict=True):
            box = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{}" height="{:.1f}"/>')
            body.append(box.format(node.style, left, y, bar, max(node.count * scale, 1.5)))
            body.append(_text(left + bar + 8, middle - 2, node.name, "start", "title"))
            words = f"{100 * node.count / total:.1f} %, {node.count:,}"
            body.append(_text(left + bar + 8, middle + 15, words, "start"))
    return _svg(width, height, "Flow of the parts", body)


def _band(x0: float, y0: float, x1: float, y1: float, thick: float, style: str) -> Markup:
    middle = (x0 + x1) / 2
    path = (
        f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
        f"v{thick:.1f}C{middle:.1f} {y1 + thick:.1f} {middle:.1f} {y0 + thick:.1f} "
        f"{x0:.1f} {y0 + thick:.1f}Z"
    )
    return Markup('<path class="band {}" d="{}"/>').format(style, path)


def _apart(places: Sequence[float], distance: float = 38.0) -> list[float]:
    """Return places from top to bottom that are no nearer to each other than ``distance``."""
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + distance) if found else max(place, 18.0))
    return found


def _range(series: Sequence[Series], *, from_zero: bool) -> tuple[float, float]:
    """Return the ends of the value axis, a little beyond what is drawn."""
    found = [
        value
        for each in series
        for values in (each.values, each.lows, each.highs)
        for value in values
        if value is not None
    ]
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    if from_zero:
        return 0.0, min(max(high * 1.05, 0.001), 1.0)
    margin = (high - low) * 0.06 or abs(high) * 0.05 or 0.5
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round values in a range."""
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _text(x: float, y: float, text: str, anchor: str = "middle", style: str = "") -> Markup:
    drawn = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return drawn.format(style, x, y, anchor, text)


def _svg(width: int, height: int, title: str, body: Sequence[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return head.format(width, height, title) + Markup("").join(body) + Markup("</svg>")
