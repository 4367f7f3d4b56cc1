"""Whether two images show the same surface: matched points that one similarity transform moves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.views.features import Bytes, Floats, mirror_descriptors, mirror_points

Complexes = NDArray[np.complex64]
Indices = NDArray[np.int64]

MIN_INLIERS = 8
MIN_SCALE, MAX_SCALE = 0.4, 2.5

_RATIO = 0.9  # of the squared distances to the best and the second-best descriptor
_HYPOTHESES = 48
_REFINED = 3
_TOLERANCE = 4.0  # working pixels
_SLACK = 0.1  # a single point's angle and size place others only roughly
_ANGLE = np.radians(30.0)
_LOG_SIZE = np.log(1.6)


@dataclass(frozen=True)
class View:
    """The points of one image, ready to be matched.

    Attributes:
        places: N complex numbers x + iy.
        sizes: N diameters.
        angles: N angles in radians.
        descriptors: N x 128 of norm 1.
        shape: height and width.
    """

    places: Complexes
    sizes: Floats
    angles: Floats
    descriptors: Floats
    shape: tuple[int, int]

    @classmethod
    def of(
        cls, points: Floats, descriptors: Bytes, shape: tuple[int, int], *, mirrored: bool = False
    ) -> "View":
        """Prepare the points of an image, or those of its mirror image."""
        if mirrored:
            points, descriptors = mirror_points(points, shape[1]), mirror_descriptors(descriptors)
        floats = descriptors.astype(np.float32)
        floats /= np.maximum(np.linalg.norm(floats, axis=1, keepdims=True), 1e-6)
        places = (points[:, 0] + 1j * points[:, 1]).astype(np.complex64)
        return cls(places, points[:, 2], points[:, 3], floats, shape)


@dataclass(frozen=True)
class Agreement:
    """Points of two views that lie on each other after ``z -> turn * z + shift``.

    Attributes:
        first: indices of the points in the first view.
        second: those in the second, in the same order.
        turn: scale and rotation as one complex number.
        shift: in working pixels of the second view.
    """

    first: Indices
    second: Indices
    turn: complex
    shift: complex

    def __len__(self) -> int:
        return len(self.first)


def match(first: View, second: View) -> tuple[Indices, Indices]:
    """Return pairs of points that are each other's nearest and clearly nearer than the next."""
    none = np.zeros(0, np.int64)
    if min(len(first.places), len(second.places)) < 2:
        return none, none
    likeness = first.descriptors @ second.descriptors.T
    nearest = likeness.argmax(1)
    rows = np.arange(len(nearest))
    best = likeness[rows, nearest]
    mutual = likeness.argmax(0)[nearest] == rows
    likeness[rows, nearest] = -1.0
    chosen = np.nonzero(mutual & (1 - best < _RATIO * (1 - likeness.max(1))))[0]
    order = chosen[np.argsort(-best[chosen], kind="stable")]
    return order, nearest[order]


def agree(first: View, second: View) -> Agreement | None:
    """Return the largest set of matches under one plausible similarity transform, or None.

    RANSAC with one match a sample: a SIFT point has an angle and a size, so each match proposes
    a transform. All likely ones are tried, hence nothing is random.
    """
    i, j = match(first, second)
    if len(i) < MIN_INLIERS:
        return None
    p, q = first.places[i], second.places[j]
    turned = (second.angles[j] - first.angles[i]).astype(np.float32)
    sized = np.log(second.sizes[j] / first.sizes[i]).astype(np.float32)
    h = slice(0, _HYPOTHESES)
    turns = np.exp(sized[h] + 1j * turned[h]).astype(np.complex64)
    moved = turns[:, None] * (p[None] - p[h, None])
    close = np.abs(moved - (q[None] - q[h, None])) < _TOLERANCE + _SLACK * np.abs(moved)
    close &= np.abs(_wrap(turned[None] - turned[h, None])) < _ANGLE
    close &= np.abs(sized[None] - sized[h, None]) < _LOG_SIZE
    best: tuple[NDArray[np.bool_], complex, complex] | None = None
    for k in np.argsort(-close.sum(1), kind="stable")[:_REFINED]:
        refined = _refine(p, q, turned, sized, close[k])
        if refined and (best is None or refined[0].sum() > best[0].sum()):
            best = refined
    if best is None or not MIN_SCALE <= abs(best[1]) <= MAX_SCALE:
        return None
    kept = _distinct(p, q, np.nonzero(best[0])[0])
    if len(kept) < MIN_INLIERS:
        return None
    return Agreement(i[kept], j[kept], best[1], best[2])


def _wrap(angle: Floats) -> Floats:
    wrapped: Floats = (angle + np.float32(np.pi)) % np.float32(2 * np.pi) - np.float32(np.pi)
    return wrapped


def _refine(
    p: Complexes, q: Complexes, turned: Floats, sized: Floats, inside: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], complex, complex] | None:
    """Fit by least squares and choose the matches anew, four times, ever more strictly."""
    turn, shift = 0j, 0j
    for tolerance in (3 * _TOLERANCE, 2 * _TOLERANCE, _TOLERANCE, _TOLERANCE):
        if inside.sum() < MIN_INLIERS:
            return None
        mp, mq = p[inside].mean(), q[inside].mean()
        dp, dq = p[inside] - mp, q[inside] - mq
        spread = float((np.abs(dp) ** 2).sum())
        if spread == 0:
            return None
        turn = complex((dp.conj() * dq).sum() / spread)
        if turn == 0:
            return None
        shift = complex(mq - turn * mp)
        inside = np.abs(turn * p + shift - q) < tolerance * max(1.0, abs(turn))
        inside &= np.abs(_wrap(turned - np.float32(np.angle(turn)))) < _ANGLE
        inside &= np.abs(sized - np.log(abs(turn))) < _LOG_SIZE
    return inside, turn, shift


def _distinct(p: Complexes, q: Complexes, chosen: Indices) -> Indices:
    """Keep one match of those at one place: a point with two angles is one piece of evidence."""
    for z in (p, q):
        cells = np.stack([z[chosen].real // 3, z[chosen].imag // 3], 1)
        chosen = chosen[np.sort(np.unique(cells, axis=0, return_index=True)[1])]
    return chosen
