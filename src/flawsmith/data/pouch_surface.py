"""The surface of a simulated pouch cell: geometry, foil, light, line-scan camera.

Everything is a function of the place on the piece, so any window can be rendered by itself and
equals the same crop of the whole frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.pouch_clutter import Clutter, Print, add_clutter, add_print, add_wrinkles
from flawsmith.data.pouch_defects import DefectPatch
from flawsmith.data.pouch_noise import Curve, Grid, Lattice, bank, cut, turned

Indices = NDArray[np.uint8]

BODY, OUTSIDE = 0, 1
CORNER = 90.0
"""Radius of the cell's corners in pixels; rim and cup wall lie within it."""

_MARGIN = 3  # pixels around a window that the camera's blur reaches

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
    holder: tuple[float, float, float, float]  # reflectance, weave, period, shadow length
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
        Lattice.random(rng, (height, width), (21.0, 26.0), rng.uniform(0.004, 0.016)),
    )
    rim = rng.uniform(34, 50)
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
        emboss=rng.uniform(0.022, 0.06),
        lattice_emboss=(
            rng.uniform(0.015, 0.045) if periodic else 0.0,
            rng.uniform(6.0, 9.0),
            rng.uniform(0.6, 0.95),
        ),
        grain=rng.uniform(0.006, 0.022),
        mottle=rng.uniform(0.004, 0.016),
        waves=waves,
        seal=(rng.uniform(7, 11), rim - rng.uniform(7, 12), rng.uniform(0.05, 0.16)),
        holder=(
            rng.uniform(0.16, 0.62),
            rng.uniform(0.03, 0.09),
            rng.uniform(4, 7),
            rng.uniform(5, 12),
        ),
        entry=rng.integers(0, 1 << 20, size=(4, 2)),
        clutter=Clutter.random(rng, height, width),
        prints=tuple(Print.random(rng, x, box) for x in np.arange(260.0, width - 500, 880.0)),
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
        noise=float(rng.uniform(1.1, 2.4)),
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


class _Canvas:
    """Slopes, reflectance, gloss and film of a window, to which each layer adds its share."""

    def __init__(self, ys: Grid, xs: Grid) -> None:
        shape = (len(ys), len(xs))
        self.ys, self.xs = ys, xs
        self.top, self.left = int(ys[0]), int(xs[0])
        self.slope_x, self.slope_y = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.albedo, self.gloss = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.film = np.zeros(shape, np.float32)


@dataclass(frozen=True)
class Placed:
    """A defect on a piece: the patch, the place of its middle, and whether it leaves the cell."""

    patch: DefectPatch
    label: int
    x: int
    y: int
    spills: bool


def render(
    piece: Piece, camera: Camera, defects: Sequence[Placed], window: tuple[int, int, int, int]
) -> tuple[NDArray[np.uint8], Indices, Indices]:
    """Return image, defect indices and background indices of a window of the frame.

    Args:
        piece: the cell.
        camera: the view.
        defects: what is wrong with the cell.
        window: top, left, height, width in pixels of the frame.
    """
    top, left, height, width = window
    ys = np.arange(-_MARGIN, height + _MARGIN, dtype=np.float32) + (top - camera.shift[0])
    xs = np.arange(-_MARGIN, width + _MARGIN, dtype=np.float32) + (left - camera.shift[1])
    canvas = _Canvas(ys, xs)
    rim = locate_rim(piece, ys, xs)
    labels = np.zeros((len(ys), len(xs)), np.uint8)
    backgrounds = np.zeros_like(labels)
    if rim is not None:
        backgrounds[rim.depth <= 0] = OUTSIDE
    for placed in defects:
        _add_defect(canvas, labels, backgrounds, placed)
    spilled = canvas.albedo.copy() if rim is not None else None
    _add_foil(canvas, piece, rim)
    light = _shade(canvas, piece, camera)
    if rim is not None and spilled is not None:
        cover = np.clip(rim.depth + 0.5, 0.0, 1.0)
        holder = _holder(piece, camera, canvas, rim) * (1 + spilled)
        light = light * cover + holder * (1 - cover)
    image = _expose(light, piece, camera, window)
    inner = (slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN))
    return image, labels[inner].copy(), backgrounds[inner].copy()


def _add_defect(canvas: _Canvas, labels: Indices, backgrounds: Indices, placed: Placed) -> None:
    patch = placed.patch
    top, left = placed.y - patch.half - canvas.top, placed.x - patch.half - canvas.left
    side = 2 * patch.half + 1
    y0, y1 = max(top, 0), min(top + side, labels.shape[0])
    x0, x1 = max(left, 0), min(left + side, labels.shape[1])
    if y0 >= y1 or x0 >= x1:
        return
    there = (slice(y0, y1), slice(x0, x1))
    here = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    canvas.slope_x[there] += np.gradient(patch.height, axis=1)[here]
    canvas.slope_y[there] += np.gradient(patch.height, axis=0)[here]
    albedo = patch.albedo[here]
    canvas.gloss[there] += patch.gloss[here]
    canvas.film[there] = np.maximum(canvas.film[there], patch.film[here])
    mask = patch.mask[here]
    if not placed.spills:
        off_body = backgrounds[there] == OUTSIDE
        mask = mask & ~off_body
        albedo = np.where(off_body, 0.0, albedo)
    canvas.albedo[there] += albedo
    labels[there][mask] = placed.label


def _add_foil(canvas: _Canvas, piece: Piece, rim: Rim | None) -> None:
    ys, xs = canvas.ys, canvas.xs
    shape = canvas.albedo.shape
    textures = bank()

    def piece_of(texture: Grid, entry: int) -> Grid:
        dy, dx = piece.entry[entry]
        return cut(texture, canvas.top + int(dy), canvas.left + int(dx), *shape)

    rough = piece.emboss * (1 - canvas.film)
    canvas.slope_x += rough * piece_of(textures.emboss_x, 0)
    canvas.slope_y += rough * piece_of(textures.emboss_y, 0)
    slope, period, angle = piece.lattice_emboss
    if slope > 0:
        k = 2 * np.pi / period
        first = np.sin(k * turned(xs[None, :], ys[:, None], angle)[0])
        second = np.sin(k * turned(xs[None, :], ys[:, None], -angle)[0])
        firm = slope * (1 - canvas.film)
        canvas.slope_x += firm * (first + second)
        canvas.slope_y += firm * (first - second)
    loose: Grid = np.ones(1, np.float32)
    if rim is not None:
        loose = 1.0 + 1.3 * (1 - np.clip(rim.depth / CORNER, 0, 1))
    for lattice in piece.waves:
        along_x, along_y = lattice.slopes(ys, xs)
        canvas.slope_x += loose * along_x
        canvas.slope_y += loose * along_y
    canvas.albedo += piece.grain * piece_of(textures.grain, 1)
    canvas.albedo += piece.mottle * piece_of(textures.mottle, 2)
    add_wrinkles(piece.clutter, canvas)
    add_clutter(piece.clutter, canvas)
    for mark in piece.prints:
        add_print(mark, canvas)
    if rim is not None:
        _add_rim(canvas, piece, rim)


def _add_rim(canvas: _Canvas, piece: Piece, rim: Rim) -> None:
    """The cup's wall, the knurled sealing line and the cut edge."""
    depth = rim.depth
    along_wall = np.clip((depth - piece.rim) / piece.wall, 0.0, 1.0)
    steep = piece.wall_height * 30.0 / piece.wall * (along_wall * (1 - along_wall)) ** 2
    inner, outer, knurl = piece.seal
    pressed = np.clip(depth - inner, 0, 1.5) * np.clip(outer - depth, 0, 1.5) / 2.25
    k = 2 * np.pi / 5.5
    x, y = canvas.xs[None, :], canvas.ys[:, None]
    canvas.slope_x += rim.normal_x * steep + pressed * knurl * np.sin(k * (x + y))
    canvas.slope_y += rim.normal_y * steep + pressed * knurl * np.sin(k * (x - y))
    border = np.exp(-(((depth - inner) / 1.3) ** 2)) - np.exp(-(((depth - outer) / 1.3) ** 2))
    canvas.slope_x += 0.16 * border * rim.normal_x
    canvas.slope_y += 0.16 * border * rim.normal_y
    canvas.albedo -= 0.05 * pressed
    canvas.albedo += 0.16 * np.exp(-((depth / 1.6) ** 2))


def _reflect(
    slope_x: Grid,
    slope_y: Grid,
    gloss: Grid | float,
    piece: Piece,
    camera: Camera,
) -> Grid:
    """Diffuse plus a mirror-like lobe around the slope that sends the light to the camera."""
    to_x, to_y = camera.light
    diffuse = 1.0 - 0.9 * (slope_x * to_x + slope_y * to_y)
    away = (slope_x + to_x * 0.8) ** 2 + (slope_y + to_y * 0.8) ** 2
    return diffuse + gloss * np.exp(away * np.float32(-1.0 / (2 * piece.lobe**2)))


def _flat_light(piece: Piece, camera: Camera) -> float:
    flat = np.zeros(1, np.float32)
    return float(piece.albedo * _reflect(flat, flat, piece.gloss * 2.2, piece, camera)[0])


def _shade(canvas: _Canvas, piece: Piece, camera: Camera) -> Grid:
    height = piece.shape[0]
    place = canvas.ys[:, None] + camera.drift(canvas.xs)[None, :]
    bands = np.interp(place, np.arange(height), camera.bands).astype(np.float32)
    gloss = piece.gloss * 2.2 * np.clip(1 + canvas.gloss, 0.1, 3) * (1 + bands)
    light = _reflect(canvas.slope_x, canvas.slope_y, gloss, piece, camera)
    shaded: Grid = piece.albedo * np.clip(1 + canvas.albedo, 0.05, 3) * light
    return shaded


def _holder(piece: Piece, camera: Camera, canvas: _Canvas, rim: Rim) -> Grid:
    """Light from the conveyor: a dull weave with the cell's shadow on it."""
    level, weave, period, shadow = piece.holder
    shape = rim.depth.shape
    dy, dx = piece.entry[3]
    textures = bank()
    x, y = canvas.xs[None, :], canvas.ys[:, None]
    k = 2 * np.pi / period
    cloth = weave * np.sin(k * x) * np.sin(k * y)
    cloth = cloth + 0.1 * cut(
        textures.emboss_y, canvas.top + int(dy), canvas.left + int(dx), *shape
    )
    cloth = cloth + 0.05 * cut(textures.mottle, canvas.top + int(dx), canvas.left + int(dy), *shape)
    facing = rim.normal_x * camera.light[0] + rim.normal_y * camera.light[1]
    dark = (0.45 - 0.6 * facing) * np.exp(np.minimum(rim.depth, 0.0) / shadow)
    light: Grid = level * (1 + cloth) * (1 - np.clip(dark, 0.0, 0.9))
    return light


def _expose(
    light: Grid, piece: Piece, camera: Camera, window: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    top, left, height, width = window
    blurred = cv2.GaussianBlur(light, (7, 7), 0.65)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    values = blurred * np.float32(camera.target / _flat_light(piece, camera))
    values *= camera.pixel_gain[top : top + height, None]
    values *= camera.line_gain[None, left : left + width]
    noise = cut(bank().noise, top + camera.entry[0], left + camera.entry[1], height, width)
    values += camera.noise * np.sqrt(0.3 + np.clip(values, 0, 255) / 180) * noise
    image: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return image
