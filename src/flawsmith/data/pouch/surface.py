"""Rendering a simulated pouch cell: foil, light, line-scan camera.

Everything is a function of the place on the piece, so any window can be rendered by itself and
equals the same crop of the whole frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.pouch.clutter import add_clutter, add_print, add_wrinkles
from flawsmith.data.pouch.defects import DefectPatch
from flawsmith.data.pouch.noise import Grid, bank, cut, turned
from flawsmith.data.pouch.piece import CORNER, Camera, Piece, Rim, locate_rim

Indices = NDArray[np.uint8]

OUTSIDE = 1
"""Index of the background outside of the cell; the body is 0."""

_MARGIN = 3  # pixels around a window that the camera's blur reaches


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
        facing = rim.normal_x * camera.light[0] + rim.normal_y * camera.light[1]
        holder = piece.holder.light(ys, xs, facing, rim.depth) * (1 + 1.3 * spilled)
        holder = holder + 0.3 * canvas.film * (1 + 4 * canvas.slope_x)  # a wet belt shines
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
    gloss = piece.gloss * 2.2 * np.clip(1 + canvas.gloss, 0.1, 3) * np.clip(1 + bands, 0.4, 1.8)
    light = _reflect(canvas.slope_x, canvas.slope_y, gloss, piece, camera)
    shaded: Grid = piece.albedo * np.clip(1 + canvas.albedo, 0.05, 3) * light
    return shaded


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
