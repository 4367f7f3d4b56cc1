"""Charts of the report as SVG inside the page: text stays text, sharp on screen and in print."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

INK, SOFT, GRID = "#2b2f36", "#6b7280", "#e4e7eb"


@dataclass(frozen=True)
class Line:
    """One curve of a chart."""

    label: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Axis:
    """Range and title of an axis."""

    low: float
    high: float
    title: str
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies, 0 to 1 and clipped."""
        ends: list[float] = [self.low, self.high, value]
        if self.log:
            ends = [math.log10(max(v, 1e-12)) for v in ends]
        low, high, given = ends
        return min(max((given - low) / (high - low), 0.0), 1.0) if high > low else 0.5

    def ticks(self) -> list[float]:
        """Return round values inside the range: 3 to 6, or powers of ten."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            stride = max(1, (last - first) // 4)
            powers = [10.0**e for e in range(first, last + 1, stride)]
            return powers if len(powers) > 1 else [self.low, self.high]
        step = nice_step((self.high - self.low) / 4)
        count = math.floor((self.high - self.low) / step + 1e-9)
        start = math.ceil(self.low / step - 1e-9) * step
        return [v for i in range(count + 1) if (v := start + i * step) <= self.high * (1 + 1e-9)]


def nice_step(raw: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 x 10^k that is not below ``raw``."""
    if raw <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    return next((m * power for m in (1.0, 2.0, 2.5, 5.0) if m * power >= raw - 1e-12), 10.0 * power)


def tick_text(value: float) -> str:
    """Return a tick's value: 0, 0.25, 500, 12k, 3M."""
    for limit, letter in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e6 if letter == 'M' else 1e3):.4g}{letter}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def _text(x: float, y: float, text: str, *, anchor: str = "middle", soft: bool = True) -> Markup:
    style = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" fill="{}">{}</text>')
    return style.format(x, y, anchor, SOFT if soft else INK, text)


def _svg(width: float, height: float, title: str, body: list[Markup]) -> Markup:
    head = Markup(
        '<svg viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}" height="{:.0f}" role="img" '
        'font-size="11" aria-label="{}">'
    ).format(width, height, width, height, title)
    return head + Markup("").join(body) + Markup("</svg>")


def interval_bar(
    value: float, low: float, high: float, *, full: float, colour: str, width: int = 190
) -> Markup:
    """Return a track from 0 to ``full`` with an interval and its value on it."""
    axis = Axis(0.0, full, "")
    left, right, at = (4 + (width - 8) * axis.place(v) for v in (low, high, value))
    body = [
        Markup('<line x1="4" y1="8" x2="{}" y2="8" stroke="{}" stroke-width="6"/>').format(
            width - 4, GRID
        ),
        Markup(
            '<line x1="{:.1f}" y1="8" x2="{:.1f}" y2="8" stroke="{}" stroke-width="6" '
            'stroke-opacity="0.45"/><circle cx="{:.1f}" cy="8" r="4.5" fill="{}"/>'
        ).format(left, max(right, left + 1), colour, at, colour),
    ]
    return _svg(width, 16, f"{value:.4g}, between {low:.4g} and {high:.4g}", body)


def chart(lines: Sequence[Line], x: Axis, y: Axis, title: str, *, size: tuple[int, int]) -> Markup:
    """Return a line chart; a curve of one point is drawn as a dot."""
    width, height = size
    left, right, top, bottom = 46, 10, 24, 36
    inner_width, inner_height = width - left - right, height - top - bottom

    def at(px: float, py: float) -> tuple[float, float]:
        return left + inner_width * x.place(px), top + inner_height * (1 - y.place(py))

    body = [Markup('<g font-weight="600">') + _text(left, 14, title, anchor="start", soft=False)]
    body.append(Markup("</g>"))
    for value in y.ticks():
        row = at(x.low, value)[1]
        rule = Markup('<line x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}" stroke="{}"/>')
        body.append(rule.format(left, row, width - right, row, GRID))
        body.append(_text(left - 6, row + 4, tick_text(value), anchor="end"))
    for value in x.ticks():
        body.append(_text(at(value, y.low)[0], height - bottom + 15, tick_text(value)))
    body.append(_text(left + inner_width / 2, height - 4, x.title))
    turned = Markup('<g transform="translate(11 {:.1f}) rotate(-90)">')
    body.append(turned.format(top + inner_height / 2) + _text(0, 0, y.title) + Markup("</g>"))
    for line in lines:
        points = [at(px, py) for px, py in zip(line.x, line.y, strict=True)]
        if len(points) == 1:
            dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4" fill="{}"/>')
            body.append(dot.format(*points[0], line.colour))
        elif points:
            path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
            curve = Markup(
                '<polyline points="{}" fill="none" stroke="{}" stroke-width="1.8" '
                'stroke-linejoin="round"/>'
            )
            body.append(curve.format(path, line.colour))
    return _svg(width, height, title, body)


@dataclass(frozen=True)
class Point:
    """One sample of a scatter chart, x and y in [0, 1]; a ring if it is not filled."""

    x: float
    y: float
    colour: str
    filled: bool


def scatter(points: Sequence[Point], title: str, *, size: int) -> Markup:
    """Return points in a square without axes; rings are drawn over filled ones."""
    radius, margin = (3.0, 8.0) if size >= 400 else (2.2, 5.0)
    frame = Markup('<rect x="0.5" y="0.5" width="{0}" height="{0}" fill="none" stroke="{1}"/>')
    body = [frame.format(size - 1, GRID)]
    dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{}" fill="{}" fill-opacity="0.7"/>')
    ring = Markup(
        '<circle cx="{:.1f}" cy="{:.1f}" r="{}" fill="none" stroke="{}" stroke-width="1.4"/>'
    )
    inner = size - 2 * margin
    for point in sorted(points, key=lambda p: not p.filled):
        place = margin + inner * point.x, margin + inner * (1 - point.y)
        body.append((dot if point.filled else ring).format(*place, radius, point.colour))
    return _svg(size, size, title, body)


@dataclass(frozen=True)
class Mark:
    """A value with its interval in a dot chart."""

    value: float | None
    low: float | None
    high: float | None
    colour: str


def dot_chart(
    rows: Sequence[tuple[str, Sequence[Mark]]],
    title: str,
    *,
    width: int = 760,
    axis: Axis | None = None,
) -> Markup:
    """Return one row a name with one dot and interval a mark, on an axis from 0 to 1 or another.

    Where 0 lies inside the axis, as with differences, a darker rule marks it.
    """
    axis = axis or Axis(0.0, 1.0, title)
    left, right, step = 190, 16, 9
    heights = [max(26, 10 + step * len(marks)) for _, marks in rows]
    height = sum(heights) + 34

    def at(value: float) -> float:
        return left + (width - left - right) * axis.place(value)

    body = []
    for value in axis.ticks():
        rule = Markup('<line x1="{:.1f}" y1="2" x2="{:.1f}" y2="{}" stroke="{}"/>')
        zero = axis.low < 0 < axis.high and abs(value) < 1e-9
        body.append(rule.format(at(value), at(value), height - 32, SOFT if zero else GRID))
        body.append(_text(at(value), height - 18, tick_text(0.0 if zero else value)))
    body.append(_text(at((axis.low + axis.high) / 2), height - 4, title))
    top = 0
    for (name, marks), row_height in zip(rows, heights, strict=True):
        shown = name if len(name) <= 30 else name[:29] + "…"
        body.append(_text(left - 12, top + row_height / 2 + 4, shown, anchor="end", soft=False))
        first = top + row_height / 2 - step * (len(marks) - 1) / 2
        for i, mark in enumerate(marks):
            body.append(_mark(mark, first + i * step, at))
        top += row_height
    return _svg(width, height, title, body)


def _mark(mark: Mark, row: float, at: Callable[[float], float]) -> Markup:
    if mark.value is None:
        return Markup("")
    drawn = Markup("")
    if mark.low is not None and mark.high is not None:
        drawn += Markup(
            '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}" stroke-width="3" '
            'stroke-opacity="0.4"/>'
        ).format(at(mark.low), row, at(mark.high), row, mark.colour)
    dot = Markup('<circle cx="{:.1f}" cy="{:.1f}" r="3.6" fill="{}"/>')
    return drawn + dot.format(at(mark.value), row, mark.colour)


def value_axis(lines: Sequence[Line], title: str) -> Axis:
    """Return the axis that holds all curves; logarithmic if they span a factor above 50."""
    values = [v for line in lines for v in line.y]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low > 0 and high / low > 50:
        return Axis(low, high, title, log=True)
    if low >= 0:
        low = 0.0
    if high <= low:
        high = low + 1.0
    return Axis(low, high + 0.04 * (high - low), title)


def images_axis(lines: Sequence[Line]) -> Axis:
    """Return the axis of images seen."""
    return Axis(0.0, max((v for line in lines for v in line.x), default=1.0) or 1.0, "images seen")
