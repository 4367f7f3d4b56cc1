"""The six defects of a pouch cell: each painter returns relief, reflectance and support of one.

A painter knows nothing of light or place: the surface shades what it returns, so the bright and
the dark flank of a groove or a fold change sides with the light, as they do on the line.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.pouch.noise import Grid, patch_noise, turned

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class DefectPatch:
    """One defect on a square patch; the reference point is the middle pixel.

    Attributes:
        height: relief in pixels, positive towards the camera.
        albedo: relative change of the reflectance.
        gloss: relative change of the mirror-like part of the reflection.
        film: 0 to 1, how far a film levels the texture below it.
        mask: where the defect visibly changes the image.
    """

    height: Grid
    albedo: Grid
    gloss: Grid
    film: Grid
    mask: Mask

    @property
    def half(self) -> int:
        """Distance from the middle to the patch's border, in pixels."""
        return int(self.mask.shape[0]) // 2


@dataclass(frozen=True)
class Site:
    """Where a defect goes, as far as it shapes the defect.

    Attributes:
        direction: angle of flow, or of the outward normal at the rim, in radians.
        at_rim: whether it sits at the cell's edge.
    """

    direction: float
    at_rim: bool


# A relative change of brightness that a person sees on the foil, and about what slope and gloss
# weigh in it under the simulated lights; measured as the change between renderings with and
# without the defect.
_VISIBLE = 0.045
_SLOPE_WEIGHT, _GLOSS_WEIGHT, _FILM_WEIGHT = 1.2, 0.25, 0.08
_SMALLEST = 4  # pixels of a separate piece of a mask


def _finish(
    height: Grid, albedo: Grid, gloss: Grid | None, film: Grid | None, core: Mask
) -> DefectPatch:
    """Return the patch whose mask is the core and every pixel that changes visibly.

    The mask depends on the defect alone, not on the light, so that all views share it.
    """
    flat = np.zeros_like(height)
    gloss, film = (flat if gloss is None else gloss), (flat if film is None else film)
    slope = np.hypot(np.gradient(height, axis=0), np.gradient(height, axis=1))
    change = np.abs(albedo) + _SLOPE_WEIGHT * slope + _FILM_WEIGHT * film
    change = change + _GLOSS_WEIGHT * np.abs(gloss)
    visible = cv2.GaussianBlur(change.astype(np.float32), (5, 5), 0.65) > _VISIBLE
    mask = (visible | core).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    keep = np.array([i > 0 and stats[i, cv2.CC_STAT_AREA] >= _SMALLEST for i in range(count)])
    return DefectPatch(
        height.astype(np.float32),
        albedo.astype(np.float32),
        gloss.astype(np.float32),
        film.astype(np.float32),
        keep[labels],
    )


def _grid(half: int) -> tuple[Grid, Grid]:
    axis = np.arange(-half, half + 1, dtype=np.float32)
    return axis[:, None], axis[None, :]


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    return float(rng.uniform(low, high))


def _sign(rng: np.random.Generator, positive: float = 0.5) -> float:
    return 1.0 if rng.random() < positive else -1.0


def _strength(rng: np.random.Generator, middle: float, low: float, high: float) -> float:
    """Log-normal: most are moderate, some faint, few strong."""
    return float(np.clip(middle * np.exp(0.42 * rng.standard_normal()), low, high))


def _smoothstep(values: Grid) -> Grid:
    t = np.clip(values, 0.0, 1.0)
    step: Grid = t * t * (3.0 - 2.0 * t)
    return step


def _line_noise(rng: np.random.Generator, place: Grid, length: float, knots: int) -> Grid:
    """Smooth random function of the place along a line, RMS about 1."""
    values = rng.standard_normal(knots)
    angle = place * (np.pi / length)
    total = np.zeros_like(place)
    for order, value in enumerate(values, start=1):
        total += float(value) * np.sin(order * angle + 2.0 * float(value))
    return total / math.sqrt(knots / 2)


def paint_groove(rng: np.random.Generator, site: Site) -> DefectPatch:
    """Groove: a long thin valley, nearly straight; one wall is bright, the other dark."""
    half_length = _between(rng, 24, 68)
    half_width = _between(rng, 2.2, 4.2)
    along_scan = rng.random() < 0.3
    angle = _between(rng, -0.2, 0.2) if along_scan else _between(rng, 0, np.pi)
    y, x = _grid(int(half_length) + 10)
    u, v = turned(x, y, angle)
    bend = _between(rng, -0.14, 0.14)
    centre = bend * (u * u / half_length - half_length / 3)
    centre += _between(rng, 0.2, 0.9) * _line_noise(rng, u, half_length, 4)
    taper = np.clip(1.0 - np.abs(u / half_length) ** _between(rng, 2, 6), 0.0, 1.0)
    depth = taper * np.clip(0.9 + 0.3 * _line_noise(rng, u, half_length, 5), 0.3, 1.3)
    if rng.random() < 0.16:  # the tool jumped
        gap = _between(rng, -0.5, 0.5) * half_length
        depth *= _smoothstep((np.abs(u - gap) - _between(rng, 2, 6)) / 4.0)
    width = half_width * np.sqrt(np.clip(depth, 0.05, 1.3))
    slope = _strength(rng, 0.42, 0.24, 0.8)
    core_tone = _between(rng, -0.16, 0.36)
    offsets = [0.0]
    if rng.random() < 0.15:
        offsets.append(_sign(rng) * half_width * _between(rng, 2.4, 4.0))
    height, albedo = np.zeros_like(u), np.zeros_like(u)
    core = np.zeros(u.shape, bool)
    burr = _between(rng, 0.1, 0.5) if rng.random() < 0.4 else 0.0
    for index, offset in enumerate(offsets):
        d = (v - centre - offset) / width
        valley = np.clip(1.0 - d * d, 0.0, None) ** 2
        lip = np.clip(1.0 - ((np.abs(d) - 1.15) / 0.55) ** 2, 0.0, None) ** 2
        size = slope * half_width / 1.54 * depth * (1.0 if index == 0 else 0.6)
        height -= size * (valley - burr * lip)
        albedo += core_tone * depth * np.clip(1.0 - (d / 0.9) ** 2, 0.0, None)
        core |= (np.abs(d) < 0.6) & (depth > 0.2)
    return _finish(height, albedo, None, None, core)


def paint_spore(rng: np.random.Generator, site: Site) -> DefectPatch:
    """Spore: an irregular colony of small bumps on a mottled ground, with some satellites."""
    radius = _between(rng, 13, 38)
    half = int(radius * 1.75) + 8
    y, x = _grid(half)
    stretch, angle = _between(rng, 0.72, 1.0), _between(rng, 0, np.pi)
    u, v = turned(x, y, angle)
    v = v / stretch
    shape = (2 * half + 1, 2 * half + 1)
    outline = radius * (1 + 0.17 * patch_noise(rng, shape, radius * 0.7))
    outline += 1.6 * patch_noise(rng, shape, 5.0)
    inside = outline - np.hypot(u, v)
    ground = _smoothstep(inside / _between(rng, 3.0, 8.0))
    grip = _strength(rng, 1.05, 0.65, 1.7)
    tone = _between(rng, -0.12, 0.22)
    blotches = patch_noise(rng, shape, _between(rng, 3.0, 5.5))
    albedo = grip * ground * (tone + _between(rng, 0.05, 0.12) * blotches)
    height = np.zeros(shape, np.float32)
    bump_tone = _between(rng, -0.14, 0.3)
    mean_radius = _between(rng, 1.7, 3.2)
    count = int(1.25 * radius * radius * stretch / (mean_radius + 0.6) ** 2)
    reach = radius * 1.5
    for _ in range(count):
        distance, turn = reach * math.sqrt(rng.random()) ** 1.15, _between(rng, 0, 2 * np.pi)
        cx = round(half + distance * math.cos(turn))
        cy = round(half + distance * math.sin(turn) * stretch)
        size = float(np.clip(mean_radius * np.exp(0.35 * rng.standard_normal()), 1.2, 5.0))
        steep, tall = _between(rng, 0.2, 0.55) * grip, rng.random()
        if inside[cy, cx] < 1.0 and tall > 0.12:
            continue
        k = int(size) + 2
        ly, lx = _grid(k)
        bump = np.clip(1.0 - (lx * lx + ly * ly) / (size * size), 0.0, None) ** 2
        window = (slice(cy - k, cy + k + 1), slice(cx - k, cx + k + 1))
        height[window] = np.maximum(height[window], steep * size / 1.54 * bump)
        albedo[window] += bump_tone * grip * (0.5 + tall) * bump
    return _finish(height, albedo, _between(rng, -0.3, 0.3) * ground, None, ground > 0.3)


def paint_folding(rng: np.random.Generator, site: Site) -> DefectPatch:
    """Folding: a raised crease with a sharp crest, curved, often branching."""
    half_length = _between(rng, 28, 60)
    half = int(half_length) + 26
    y, x = _grid(half)
    if site.at_rim:
        angle = site.direction + _sign(rng) * _between(rng, 0.15, 1.1)
    else:
        angle = _between(rng, 0, np.pi)
    slope = _strength(rng, 0.32, 0.16, 0.6)
    near, far = _between(rng, 3.0, 6.0), _between(rng, 5.0, 11.0)
    if rng.random() < 0.5:
        near, far = far, near
    crest_tone = _between(rng, -0.14, 0.36)
    lines = [(0.0, 0.0, angle, half_length, _sign(rng) * _between(rng, 0.08, 0.5), 1.0, False)]
    for _ in range(int(rng.choice(3, p=[0.4, 0.4, 0.2]))):
        start = _between(rng, -0.5, 0.5) * half_length
        turn = angle + _sign(rng) * _between(rng, 0.45, 1.1)
        length = half_length * _between(rng, 0.35, 0.65)
        main_bend = lines[0][4]
        lift = main_bend * (start * start / half_length - half_length / 3)
        px = math.cos(angle) * start - math.sin(angle) * lift
        py = math.sin(angle) * start + math.cos(angle) * lift
        lines.append(
            (px, py, turn, length, _between(rng, -0.3, 0.3), _between(rng, 0.5, 0.9), True)
        )
    height = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    albedo, core = np.zeros_like(height), np.zeros(height.shape, bool)
    for px, py, turn, length, bend, share, is_branch in lines:
        u, v = turned(x - px, y - py, turn)
        bow = bend * (u * u / length - (0.0 if is_branch else length / 3))
        v = v - bow - 0.9 * _line_noise(rng, u, length, 4)
        place = np.where(u < 0, -u / 4.0, u / length) if is_branch else np.abs(u) / length
        fade = np.clip(1.0 - place**2, 0.0, 1.0) * (1 + 0.2 * _line_noise(rng, u, length, 4))
        fade = np.clip(fade, 0.0, 1.3) * share
        wide = np.where(v > 0, far, near) * np.sqrt(np.clip(fade, 0.04, None))
        d = np.abs(v) / wide
        roof = np.clip(1.0 - d, 0.0, None) ** 1.35
        height = np.maximum(height, slope * 0.5 * (near + far) * 0.8 * fade * roof)
        crest = np.clip(1.0 - (v / 1.6) ** 2, 0.0, None) * fade
        albedo += crest_tone * crest
        core |= (d < 0.8) & (fade > 0.15)
    return _finish(height, albedo, None, None, core)


def _tongue(x: Grid, y: Grid, end: tuple[float, float], r0: float, r1: float) -> Grid:
    """Signed depth inside a run of liquid from the origin to the drop at ``end``."""
    ex, ey = end
    t = np.clip((x * ex + y * ey) / max(ex * ex + ey * ey, 1e-6), 0.0, 1.0)
    neck = 1.0 - 0.5 * np.sin(np.pi * np.sqrt(t)) ** 2
    depth: Grid = (r0 + (r1 - r0) * t) * neck - np.hypot(x - t * ex, y - t * ey)
    return depth


def _flow(rng: np.random.Generator, x: Grid, y: Grid, source: float, reach: float) -> Grid:
    """Signed depth inside a puddle at the origin that runs towards x, with drips and drops."""
    depth: Grid = source - np.hypot(x * _between(rng, 0.7, 1.1), y * _between(rng, 0.7, 1.1))
    for order in range(int(rng.integers(2, 6))):
        turn, length = 0.4 * rng.standard_normal(), reach * _between(rng, 0.5, 1.2)
        side = 0.0 if order == 0 else _between(rng, -0.6, 0.6) * source
        end = (length * math.cos(turn), length * math.sin(turn))
        tongue = _tongue(
            x, y - side, end, source * _between(rng, 0.3, 0.6), _between(rng, 3.5, 9.0)
        )
        blend = np.clip(0.5 + (tongue - depth) / 8.0, 0.0, 1.0)
        depth = depth + blend * (tongue - depth) + 2.0 * blend * (1 - blend)
    depth = depth + 2.2 * patch_noise(rng, depth.shape, 15.0)
    depth = depth + 0.7 * patch_noise(rng, depth.shape, 5.0)
    for _ in range(int(rng.integers(2, 10))):
        turn, far = 0.8 * rng.standard_normal(), _between(rng, 0.5, 1.35) * reach
        drop = np.hypot(x - far * math.cos(turn), y - far * math.sin(turn))
        depth = np.maximum(depth, _between(rng, 1.4, 4.4) - drop)
    return depth


def paint_leakage(rng: np.random.Generator, site: Site) -> DefectPatch:
    """Leakage: an irregular flow-like film with a soft rim, drips and satellites."""
    source, reach = _between(rng, 9, 22), _between(rng, 22, 62)
    half = int(source + reach) + 12
    shape = (2 * half + 1, 2 * half + 1)
    y, x = _grid(half)
    along, across = turned(x, y, site.direction)
    along = along + 0.5 * reach + 2.5 * patch_noise(rng, shape, 24.0)
    across = across + 3.5 * patch_noise(rng, shape, 20.0)
    depth = _flow(rng, along, across, source, reach)
    border = _smoothstep((half - 1 - np.maximum(np.abs(x), np.abs(y))) / 6.0)
    wet = _smoothstep(depth / _between(rng, 1.6, 6.0)) * border
    grip = _strength(rng, 1.05, 0.75, 1.6)
    tone = -_between(rng, 0.1, 0.3) if rng.random() < 0.62 else _between(rng, 0.06, 0.26)
    ring_place = _between(rng, 1.6, 4.0)
    ring = np.exp(-(((depth - ring_place) / (0.6 * ring_place)) ** 2)) * wet
    thick = np.clip(0.75 + 0.35 * (along - 0.5 * reach) / reach, 0.4, 1.2)
    uneven = 1.0 + 0.25 * patch_noise(rng, shape, 9.0)
    edge_tone = _sign(rng, 0.3) * _between(rng, 0.04, 0.2)
    albedo = grip * (tone * wet * thick * uneven + edge_tone * ring)
    gloss = grip * _between(rng, -0.5, 0.7) * wet
    height = _between(rng, 0.2, 0.9) * grip * _smoothstep(depth / 7.0) * border
    film = np.clip(_between(rng, 0.5, 0.95) * wet, 0.0, 1.0)
    return _finish(height, albedo, gloss, film, wet > 0.3)


def _paint_dots(rng: np.random.Generator, polarity: float) -> DefectPatch:
    half = 26
    shape = (2 * half + 1, 2 * half + 1)
    y, x = _grid(half)
    contrast = polarity * _strength(rng, 0.25, 0.14, 0.5)
    height, albedo = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    core = np.zeros(shape, bool)
    centres = [(0.0, 0.0, _between(rng, 1.7, 6.6))]
    for _ in range(int(rng.choice(3, p=[0.82, 0.12, 0.06]))):
        turn, far = _between(rng, 0, 2 * np.pi), _between(rng, 9, 15)
        centres.append((far * math.cos(turn), far * math.sin(turn), _between(rng, 1.5, 3.0)))
    has_halo, halo_tone = rng.random() < 0.35, _sign(rng, 0.6) * _between(rng, 0.2, 0.4)
    pit = _between(rng, 0.1, 0.35) * _sign(rng) if rng.random() < 0.45 else 0.0
    soft = _between(rng, 0.9, 2.2)
    for cx, cy, radius in centres:
        angle, stretch = _between(rng, 0, np.pi), _between(rng, 0.7, 1.0)
        u, v = turned(x - cx, y - cy, angle)
        v = v / stretch
        r = np.hypot(u, v) - 0.13 * radius * patch_noise(rng, shape, 3.5)
        spot = np.clip((radius - r) / soft + 0.5, 0.0, 1.0)
        albedo += contrast * spot * (1 + 0.12 * patch_noise(rng, shape, 2.5))
        core |= spot > 0.5
        if has_halo:
            wide = radius * 0.7 + 1.5
            halo = np.clip(1.0 - (r - radius) / wide, 0.0, 1.0) * (1 - spot)
            albedo += contrast * halo_tone * halo
        height += pit * radius / 1.54 * np.clip(1 - (r / (radius + 0.8)) ** 2, 0, None) ** 2
    return _finish(height, albedo, None, None, core)


def paint_white_dot(rng: np.random.Generator, site: Site) -> DefectPatch:
    """White dot: a small bright spot of 3 to 14 pixels, sometimes with a halo."""
    return _paint_dots(rng, 1.0)


def paint_black_dot(rng: np.random.Generator, site: Site) -> DefectPatch:
    """Black dot: a small dark spot of 3 to 14 pixels, sometimes with a halo."""
    return _paint_dots(rng, -1.0)


PAINTERS: dict[str, Callable[[np.random.Generator, Site], DefectPatch]] = {
    "groove": paint_groove,
    "spore": paint_spore,
    "folding": paint_folding,
    "leakage": paint_leakage,
    "white_dot": paint_white_dot,
    "black_dot": paint_black_dot,
}
"""Painters in the order of the schema's ids 1 to 6."""
