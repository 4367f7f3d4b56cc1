"""Smooth and fine noise that is a function of place, so that a tile equals a crop of its frame."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.floating[Any]]
"""Single precision unless said otherwise."""

BANK_SIZE = 1024
_BANK_SEED = 271828


def spline_basis(coords: Grid, spacing: float) -> tuple[int, Grid, Grid]:
    """Return the first knot, and len(coords) x knots weights of a cubic B-spline and its slope.

    Args:
        coords: increasing places, in pixels.
        spacing: distance of the knots, in pixels.
    """
    place = coords.astype(np.float64) / spacing
    knot = np.floor(place).astype(np.int64)
    t = place - knot
    t2, t3 = t * t, t * t * t
    values = (1 - 3 * t + 3 * t2 - t3, 4 - 6 * t2 + 3 * t3, 1 + 3 * t + 3 * t2 - 3 * t3, t3)
    slopes = (-1 + 2 * t - t2, -4 * t + 3 * t2, 1 + 2 * t - 3 * t2, t2)
    first = int(knot[0])
    shape = (len(coords), int(knot[-1]) - first + 4)
    value, slope = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    rows, columns = np.arange(len(coords)), knot - first
    for offset in range(4):
        value[rows, columns + offset] = values[offset] / 6
        slope[rows, columns + offset] = slopes[offset] / (2 * spacing)
    return first, value, slope


_LEAD = 5  # knots before the frame, so that places slightly outside of it are defined


@dataclass(frozen=True)
class Curve:
    """Smooth random function of one coordinate."""

    knots: Grid
    spacing: float

    @classmethod
    def random(cls, rng: np.random.Generator, length: int, spacing: float, scale: float) -> "Curve":
        """Draw knots for the coordinates 0 to ``length`` and some margin."""
        count = int(length / spacing) + 2 * _LEAD + 4
        return cls((scale * rng.standard_normal(count)).astype(np.float32), spacing)

    def __call__(self, coords: Grid) -> Grid:
        """Return the values at increasing ``coords``."""
        first, basis, _ = spline_basis(coords, self.spacing)
        start = first + _LEAD
        values: Grid = basis @ self.knots[start : start + basis.shape[1]]
        return values


@dataclass(frozen=True)
class Lattice:
    """Smooth random surface over the frame."""

    knots: Grid
    spacing: tuple[float, float]

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        shape: tuple[int, int],
        spacing: tuple[float, float],
        slope: float,
    ) -> "Lattice":
        """Draw knots for a height x width frame; ``slope`` is about the RMS slope reached."""
        counts = [int(n / s) + 2 * _LEAD + 4 for n, s in zip(shape, spacing, strict=True)]
        scale = slope * min(spacing) * 1.6
        return cls((scale * rng.standard_normal(counts)).astype(np.float32), spacing)

    def slopes(self, ys: Grid, xs: Grid) -> tuple[Grid, Grid]:
        """Return the derivatives along x and along y on the grid ``ys`` x ``xs``."""
        first_y, by, dy = spline_basis(ys, self.spacing[0])
        first_x, bx, dx = spline_basis(xs, self.spacing[1])
        top, left = first_y + _LEAD, first_x + _LEAD
        local = self.knots[top : top + by.shape[1], left : left + bx.shape[1]]
        along_x: Grid = by @ (local @ dx.T)
        along_y: Grid = dy @ (local @ bx.T)
        return along_x, along_y


@dataclass(frozen=True)
class Bank:
    """Periodic fine textures of unit RMS, made once and entered at a random place by each piece.

    Attributes:
        emboss_x, emboss_y: slopes of the orange-peel structure of the laminate's nylon layer.
        grain: streaks along x that rolling leaves in the foil.
        mottle: soft blotches.
        noise: white noise.
    """

    emboss_x: Grid
    emboss_y: Grid
    grain: Grid
    mottle: Grid
    noise: Grid


@lru_cache(maxsize=1)
def bank() -> Bank:
    """Return the texture bank."""
    rng = np.random.default_rng(_BANK_SEED)
    fy = np.fft.fftfreq(BANK_SIZE)[:, None]
    fx = np.fft.rfftfreq(BANK_SIZE)[None, :]
    radius = np.hypot(fx, fy)

    def spectrum() -> NDArray[np.complex128]:
        return np.fft.rfft2(rng.standard_normal((BANK_SIZE, BANK_SIZE)))

    def field(values: NDArray[np.complex128]) -> Grid:
        out: Grid = np.fft.irfft2(values, s=(BANK_SIZE, BANK_SIZE))
        unit: Grid = ((out - out.mean()) / out.std()).astype(np.float32)
        return unit

    height = spectrum() * np.exp(-((radius / 0.17) ** 2)) * radius / (radius + 0.05) ** 1.5
    grain = spectrum() * np.exp(-((fx / 0.008) ** 2) - (fy / 0.3) ** 2)
    mottle = spectrum() * np.exp(-((radius / 0.035) ** 2))
    return Bank(
        emboss_x=field(height * 2j * np.pi * fx),
        emboss_y=field(height * 2j * np.pi * fy),
        grain=field(grain),
        mottle=field(mottle),
        noise=rng.standard_normal((BANK_SIZE, BANK_SIZE), dtype=np.float32),
    )


def cut(texture: Grid, top: int, left: int, height: int, width: int) -> Grid:
    """Return a height x width piece of a periodic texture."""
    top, left = top % BANK_SIZE, left % BANK_SIZE
    piece: Grid
    if top + height <= BANK_SIZE and left + width <= BANK_SIZE:
        piece = texture[top : top + height, left : left + width]
    else:
        rows = np.arange(top, top + height) % BANK_SIZE
        columns = np.arange(left, left + width) % BANK_SIZE
        piece = texture[rows[:, None], columns[None, :]]
    return piece


def patch_noise(rng: np.random.Generator, shape: tuple[int, int], spacing: float) -> Grid:
    """Return smooth noise of unit RMS on a patch of its own."""
    counts = [int(n / spacing) + 5 for n in shape]
    coarse = rng.standard_normal(counts).astype(np.float32)
    size = (round(counts[1] * spacing), round(counts[0] * spacing))
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    margin = int(spacing)
    fine = fine[margin : margin + shape[0], margin : margin + shape[1]]
    values: Grid = (fine - fine.mean()) / max(float(fine.std()), 1e-6)
    return values


def turned(x: Grid, y: Grid, angle: float) -> tuple[Grid, Grid]:
    """Return coordinates along and across a line at ``angle`` (radians, from x towards y)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * x + sin * y, cos * y - sin * x
