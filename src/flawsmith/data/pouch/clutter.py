"""Harmless things on a pouch cell that look like defects: dust, fibres, scuffs, print, wrinkles."""

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.pouch.noise import Grid, turned

_FRAME_AREA = 5400.0 * 2000.0

PRINT_SIZE = (44, 300)
"""Height and width of a marking in pixels."""

_DIGITS = (  # the usual 5 x 7 dot matrix, a row of five dots in each number
    (14, 17, 19, 21, 25, 17, 14),
    (4, 12, 4, 4, 4, 4, 14),
    (14, 17, 1, 2, 4, 8, 31),
    (31, 2, 4, 2, 1, 17, 14),
    (2, 6, 10, 18, 31, 2, 2),
    (31, 16, 30, 1, 1, 17, 14),
    (6, 8, 16, 30, 17, 17, 14),
    (31, 1, 2, 4, 8, 8, 8),
    (14, 17, 17, 14, 17, 17, 14),
    (14, 17, 17, 15, 1, 2, 12),
)


class Layers(Protocol):
    """The part of the renderer's canvas that clutter adds to."""

    ys: Grid
    xs: Grid
    top: int
    left: int
    slope_x: Grid
    slope_y: Grid
    albedo: Grid


@dataclass(frozen=True)
class Clutter:
    """Rows are things; the first two columns are x and y.

    Attributes:
        specks: radius, contrast.
        fibres: angle, length, bend, contrast.
        scuffs: angle, length, width, contrast, seed.
        wrinkles: angle, half length, half width, slope.
    """

    specks: Grid
    fibres: Grid
    scuffs: Grid
    wrinkles: Grid

    @classmethod
    def random(cls, rng: np.random.Generator, height: int, width: int) -> "Clutter":
        """Draw what lies on one cell; some cells are dustier than others."""
        share = height * width / _FRAME_AREA
        dust = float(np.exp(0.5 * rng.standard_normal()))

        def things(count: float, *columns: NDArray[np.float64]) -> Grid:
            number = len(columns[0])
            place = (rng.uniform(0, width, number), rng.uniform(0, height, number))
            return np.stack([*place, *columns], axis=1).astype(np.float32)

        n = int(2600 * share * dust)
        specks = things(
            n,
            rng.uniform(0.6, 1.5, n),
            np.clip(rng.exponential(0.13, n), 0.04, 0.4) * rng.choice([-1, 1], n),
        )
        n = int(420 * share * dust)
        fibres = things(
            n,
            rng.uniform(0, np.pi, n),
            rng.uniform(8, 34, n),
            rng.uniform(-0.5, 0.5, n),
            rng.uniform(0.06, 0.26, n) * rng.choice([-1, 1], n, p=[0.6, 0.4]),
        )
        n = int(220 * share)
        scuffs = things(
            n,
            rng.normal(0, 0.6, n),
            rng.uniform(18, 60, n),
            rng.uniform(5, 20, n),
            rng.uniform(0.02, 0.07, n),
            rng.integers(0, 1 << 20, n).astype(np.float64),
        )
        n = int(150 * share)
        wrinkles = things(
            n,
            rng.normal(0, 0.9, n),
            rng.uniform(60, 260, n),
            rng.uniform(13, 32, n),
            rng.uniform(-0.11, 0.11, n),
        )
        return cls(specks, fibres, scuffs, wrinkles)


def _near(things: Grid, canvas: Layers, reach: Grid | float) -> Grid:
    x, y = things[:, 0] - canvas.left, things[:, 1] - canvas.top
    height, width = canvas.albedo.shape
    inside = (x > -reach) & (x < width + reach) & (y > -reach) & (y < height + reach)
    near: Grid = things[inside]
    return near


def _window(canvas: Layers, x: float, y: float, reach: float) -> tuple[slice, slice]:
    height, width = canvas.albedo.shape
    x, y = x - canvas.left, y - canvas.top
    rows = slice(max(int(y - reach), 0), min(int(y + reach) + 2, height))
    return rows, slice(max(int(x - reach), 0), min(int(x + reach) + 2, width))


def add_wrinkles(clutter: Clutter, canvas: Layers) -> None:
    """Add long soft waves of the foil: wide and gentle, where a fold is narrow and sharp."""
    reach = clutter.wrinkles[:, 3] + 40
    for x, y, angle, half_length, half_width, slope in _near(clutter.wrinkles, canvas, reach):
        rows, columns = _window(canvas, x, y, half_length + 40)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        u, v = turned(canvas.xs[None, columns] - x, canvas.ys[rows, None] - y, angle)
        v = (v - 0.15 * u * u / half_length) / half_width
        fade = np.clip(1 - (u / half_length) ** 2, 0, None) ** 2
        across = slope * 3.1 * v * np.clip(1 - v * v, 0, None) ** 2 * fade
        canvas.slope_x[rows, columns] -= math.sin(angle) * across
        canvas.slope_y[rows, columns] += math.cos(angle) * across


def add_clutter(clutter: Clutter, canvas: Layers) -> None:
    """Add dust specks, fibres and scuffs: finer or fainter than the defects they resemble."""
    for x, y, radius, contrast in _near(clutter.specks, canvas, 6.0):
        rows, columns = _window(canvas, x, y, 5.0)
        far = (canvas.xs[None, columns] - x) ** 2 + (canvas.ys[rows, None] - y) ** 2
        canvas.albedo[rows, columns] += contrast * np.exp(-far / (radius * radius))
    for x, y, angle, length, bend, contrast in _near(clutter.fibres, canvas, 40.0):
        rows, columns = _window(canvas, x, y, length / 2 + 4)
        u, v = turned(canvas.xs[None, columns] - x, canvas.ys[rows, None] - y, angle)
        v = v - bend * (2 * u * u / length - length / 6)
        line = np.exp(-v * v / 0.7) * (np.abs(u) < length / 2)
        canvas.albedo[rows, columns] += contrast * line
    for x, y, angle, length, width, contrast, seed in _near(clutter.scuffs, canvas, 150.0):
        reach = 2 * length
        rows, columns = _window(canvas, x, y, reach)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        u, v = turned(canvas.xs[None, columns] - x, canvas.ys[rows, None] - y, angle)
        hairs = np.random.default_rng(int(seed)).standard_normal(400)
        fade = np.exp(-((u / length) ** 2) - (v / width) ** 2) * (np.abs(u) < reach)
        lines = np.interp(v * 1.4 + 200, np.arange(400), hairs)
        canvas.albedo[rows, columns] += contrast * (lines * fade).astype(np.float32)


@dataclass(frozen=True)
class Print:
    """A lot code in dots with a matrix code beside it.

    Attributes:
        digits: nine digits of the lot code.
        code: 12 x 12 cells of the matrix code, 0 or 1.
        x: left edge on the piece.
        y: upper edge on the piece.
        tone: relative change of the reflectance where the ink is.
    """

    digits: tuple[int, ...]
    code: NDArray[np.bool_]
    x: int
    y: int
    tone: float

    @classmethod
    def random(cls, rng: np.random.Generator, x: float, top: float, tone: float) -> "Print":
        """Draw the marking at about ``x`` along the cell whose upper edge is at ``top``."""
        code = rng.random((12, 12)) < 0.5
        code[:, 0], code[-1, :] = True, True
        return cls(
            digits=tuple(int(digit) for digit in rng.integers(0, 10, 9)),
            code=code,
            x=int(x + rng.uniform(0, 40)),
            y=int(top + rng.uniform(190, 230)),
            tone=tone * rng.uniform(0.7, 1.0),
        )

    def ink(self) -> Grid:
        """Return the coverage with ink, `PRINT_SIZE` values from 0 to 1."""
        ink = np.zeros(PRINT_SIZE, np.float32)
        dot = np.array([[0.5, 0.8, 0.2], [0.8, 1.0, 0.4], [0.2, 0.4, 0.1]], np.float32)
        for place, digit in enumerate(self.digits):
            rows = np.array([[(row >> (4 - c)) & 1 for c in range(5)] for row in _DIGITS[digit]])
            left = 50 + 26 * place + (14 if place > 2 else 0)
            ink[10:31, left : left + 15] = np.kron(rows, dot)
        ink[4:40, 2:38] = np.kron(self.code, np.ones((3, 3), np.float32))
        blurred: Grid = cv2.GaussianBlur(ink, (5, 5), 0.6)
        return blurred


def add_print(mark: Print, canvas: Layers) -> None:
    """Add the marking where it meets the window."""
    height, width = canvas.albedo.shape
    top, left = mark.y - canvas.top, mark.x - canvas.left
    y0, y1 = max(top, 0), min(top + PRINT_SIZE[0], height)
    x0, x1 = max(left, 0), min(left + PRINT_SIZE[1], width)
    if y0 < y1 and x0 < x1:
        ink = mark.ink()[y0 - top : y1 - top, x0 - left : x1 - left]
        canvas.albedo[y0:y1, x0:x1] += mark.tone * ink
