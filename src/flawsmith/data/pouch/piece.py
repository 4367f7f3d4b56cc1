"""One simulated pouch cell and one view of it: everything drawn at random, and where the rim is."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.pouch.clutter import Clutter, Print
from flawsmith.data.pouch.holder import Holder
from flawsmith.data.pouch.noise import Curve, Grid, Lattice

_EDGE_SLACK = 60.0  # tilt and waves move an edge by less than this

CORNER = 90.0
"""Radius of the cell's corners in pixels; rim and cup wall lie within it."""

_LIGHTS = {  # azimuth the light comes from, radians; y points down
    "left-light": np.pi + 0.45,
    "right-light": -0.45,
    "top-light": -np.pi / 2 + 0.3,
    "bottom-light": np.pi / 2 + 0.3,
}
VIEWS = tuple(_LIGHTS)


@dataclass(frozen=True)
class Piece:
    """One physical cell in its holder: everything that does not depend on the view."""

    shape: tuple[int, int]
    box: tuple[float, float, float, float]  # left, top, right, bottom edge
    tilt: float
    edges: tuple[Curve, Curve, Curve, Curve]
    fine_edges: tuple[Curve, Curve, Curve, Curve]
    rim: float
    wall: float
    wall_height: float
    albedo: float
    gloss: float
    lobe: float
    emboss: float
    lattice_emboss: tuple[float, float, float]  # slope, period, angle
    grain: float
    mottle: float
    waves: tuple[Lattice, ...]
    seal: tuple[float, float, float]  # inner distance, outer distance, slope
    holder: Holder
    entry: NDArray[np.int64]
    clutter: Clutter
    prints: tuple[Print, ...]


@dataclass(frozen=True)
class Camera:
    """One view: light, exposure, and the faults of a line-scan camera."""

    shift: tuple[int, int]
    light: tuple[float, float]
    target: float
    noise: float
    line_gain: Grid
    pixel_gain: Grid
    bands: Grid
    drift: Curve
    entry: tuple[int, int]


@lru_cache(maxsize=4)
def make_piece(seed: int, part: int, height: int, width: int) -> Piece:
    """Draw one cell for a frame of height x width pixels."""
    rng = np.random.default_rng([seed, part, 1])
    margin = np.minimum(
        rng.uniform([120, 90, 120, 90], [200, 150, 200, 150]), min(height, width) / 4
    )
    box = (margin[0], margin[1], width - margin[2], height - margin[3])
    spans = (height, width, height, width)
    periodic = rng.random() < 0.45
    waves = (
        Lattice.random(rng, (height, width), (260.0, 420.0), rng.uniform(0.015, 0.045)),
        Lattice.random(rng, (height, width), (70.0, 95.0), rng.uniform(0.008, 0.03)),
        Lattice.random(rng, (height, width), (21.0, 26.0), rng.uniform(0.004, 0.014)),
    )
    rim = rng.uniform(34, 50)
    tone = float(rng.choice([-0.42, -0.3, 0.22, 0.34]))
    return Piece(
        shape=(height, width),
        box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        tilt=rng.uniform(-0.006, 0.006),
        edges=tuple(Curve.random(rng, n, 330.0, 4.0) for n in spans),  # type: ignore[arg-type]
        fine_edges=tuple(Curve.random(rng, n, 38.0, 0.9) for n in spans),  # type: ignore[arg-type]
        rim=rim,
        wall=rng.uniform(10, 18),
        wall_height=rng.uniform(1.6, 3.2),
        albedo=rng.uniform(0.85, 1.05),
        gloss=rng.uniform(0.3, 0.75),
        lobe=rng.uniform(0.2, 0.32),
        emboss=rng.uniform(0.012, 0.036),
        lattice_emboss=(
            rng.uniform(0.008, 0.022) if periodic else 0.0,
            rng.uniform(6.0, 9.0),
            rng.uniform(0.6, 0.95),
        ),
        grain=rng.uniform(0.01, 0.03),
        mottle=rng.uniform(0.006, 0.02),
        waves=waves,
        seal=(rng.uniform(7, 11), rim - rng.uniform(7, 12), rng.uniform(0.05, 0.16)),
        holder=Holder.random(rng),
        entry=rng.integers(0, 1 << 20, size=(4, 2)),
        clutter=Clutter.random(rng, height, width),
        prints=tuple(
            Print.random(rng, x, float(box[1]), tone) for x in np.arange(260.0, width - 500, 880.0)
        ),
    )


@lru_cache(maxsize=8)
def make_camera(seed: int, part: int, view: int, height: int, width: int) -> Camera:
    """Draw the circumstances of one view of a cell."""
    rng = np.random.default_rng([seed, part, 2, view])
    azimuth = _LIGHTS[VIEWS[view]] + rng.uniform(-0.35, 0.35)
    tilt = rng.uniform(0.34, 0.5)
    ys = np.arange(height, dtype=np.float32)
    across = (ys - height / 2) / (height / 2)
    fall = 1.0 - rng.uniform(0.05, 0.24) * (across - rng.uniform(-0.3, 0.3)) ** 2
    streaks = rng.standard_normal(height).astype(np.float32)
    streaks = streaks + 2.5 * cv2.GaussianBlur(streaks[:, None], (1, 31), 5.0)[:, 0]
    lines = rng.standard_normal(width).astype(np.float32)
    lines = lines + 1.8 * cv2.GaussianBlur(lines[None, :], (61, 1), 9.0)[0]
    bands = np.zeros_like(ys)
    for _ in range(int(rng.integers(2, 6))):
        centre, wide = rng.uniform(0, height), rng.uniform(60, 320)
        bands += rng.uniform(-0.3, 0.6) * np.exp(-(((ys - centre) / wide) ** 2))
    return Camera(
        shift=(int(rng.integers(-4, 5)), int(rng.integers(-4, 5))),
        light=(float(np.cos(azimuth) * tilt), float(np.sin(azimuth) * tilt)),
        target=float(rng.uniform(98, 150)),
        noise=float(rng.uniform(1.3, 2.9)),
        line_gain=(1 + rng.uniform(0.003, 0.009) * lines).astype(np.float32),
        pixel_gain=(fall * (1 + rng.uniform(0.002, 0.007) * streaks)).astype(np.float32),
        bands=bands.astype(np.float32),
        drift=Curve.random(rng, width, 700.0, 60.0),
        entry=(int(rng.integers(1 << 20)), int(rng.integers(1 << 20))),
    )


@dataclass(frozen=True)
class Rim:
    """Where the cell ends: depth inside the edge (capped at `CORNER`) and the inward normal."""

    depth: Grid
    normal_x: Grid
    normal_y: Grid


def edge_distances(piece: Piece, ys: Grid, xs: Grid) -> tuple[Grid, Grid, Grid, Grid]:
    """Return the distance inside the left, top, right and bottom edge (columns and rows)."""
    height, width = piece.shape
    lean_y, lean_x = piece.tilt * (ys - height / 2), piece.tilt * (xs - width / 2)
    along = (ys, xs, ys, xs)
    wave = [c(t) + f(t) for c, f, t in zip(piece.edges, piece.fine_edges, along, strict=True)]
    left, top, right, bottom = piece.box
    return (
        xs[None, :] - (left - lean_y + wave[0])[:, None],
        ys[:, None] - (top + lean_x + wave[1])[None, :],
        (right - lean_y + wave[2])[:, None] - xs[None, :],
        (bottom + lean_x + wave[3])[None, :] - ys[:, None],
    )


def locate_rim(piece: Piece, ys: Grid, xs: Grid) -> Rim | None:
    """Return the rim in a window, or None if the window lies on the flat of the cup."""
    left, top, right, bottom = piece.box
    reach = CORNER + _EDGE_SLACK
    if xs[0] - left > reach < right - xs[-1] and ys[0] - top > reach < bottom - ys[-1]:
        return None
    d_left, d_top, d_right, d_bottom = edge_distances(piece, ys, xs)
    across_x, across_y = np.minimum(d_left, d_right), np.minimum(d_top, d_bottom)
    u, v = np.maximum(CORNER - across_x, 0.0), np.maximum(CORNER - across_y, 0.0)
    if not (u.any() or v.any()):
        return None
    far = np.hypot(u, v)
    safe = np.maximum(far, 1e-6)
    return Rim(
        depth=CORNER - far,
        normal_x=np.where(d_left < d_right, u, -u) / safe,
        normal_y=np.where(d_top < d_bottom, v, -v) / safe,
    )
