"""Whether two views agree all over what they share, or only in a fixture that both show."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.views.features import Bytes, Floats
from flawsmith.data.views.verification import Agreement, Complexes, View

Flags = NDArray[np.bool_]

MIN_OVERLAP = 0.15

_CELLS = 4
_MIN_COVERAGE = 0.5
_DOUBT = 3.0
_LIKENESS = 0.25
_FINE = 3.0  # what is smoother than this many pixels of the small picture is light, not surface


@dataclass(frozen=True)
class Coverage:
    """How much of what two views have in common agrees.

    Attributes:
        cells: number of the 4 x 4 cells of the common area that have agreeing points, relative to
            what as many points, spread as the texture is, would reach; about 1 for one part.
        missing: how many agreeing points the other textured cells should have had.
        overlap: common area relative to the smaller image.
        share: common area relative to the larger image.
        empty: 4 x 4, the textured cells without an agreeing point, rows from the top.
        box: left, top, right and bottom of the cells in working pixels of the second view.
    """

    cells: float
    missing: float
    overlap: float
    share: float
    empty: Flags
    box: tuple[float, float, float, float]

    @property
    def is_enough(self) -> bool:
        """Whether the points do not all lie in one corner of what is common."""
        return self.cells >= _MIN_COVERAGE and self.overlap >= MIN_OVERLAP

    @property
    def is_doubtful(self) -> bool:
        """Whether large textured places stay without agreeing points, as round a holder."""
        return self.missing > _DOUBT


def coverage(
    first: View, second: View, found: Agreement, use_first: Flags, use_second: Flags
) -> Coverage:
    """Return how evenly the agreeing points fill the common area.

    Args:
        first: the first view.
        second: the second view.
        found: what agrees.
        use_first: which points of the first view count as texture.
        use_second: the same for the second view.
    """
    there = found.turn * first.places + found.shift
    back = (second.places - found.shift) / found.turn
    a = there[_inside(there, second.shape) & use_first]
    b = second.places[_inside(back, first.shape) & use_second]
    agreeing = second.places[found.second]
    common = np.concatenate([a, b, agreeing])
    box = (
        float(common.real.min()),
        float(common.imag.min()),
        float(common.real.max()) + 1,
        float(common.imag.max()) + 1,
    )
    reached = _count(agreeing, box)
    textured = np.maximum(np.minimum(_count(a, box), _count(b, box)), reached)
    share = len(found) / textured.sum()
    expected = float((1 - (1 - share) ** textured).sum())
    empty: Flags = (reached == 0) & (textured > 0)
    missing = float(share * textured[empty].sum())
    overlaps = _overlaps(first, second, found)
    return Coverage(float((reached > 0).sum()) / expected, missing, *overlaps, empty, box)


def _inside(z: Complexes, shape: tuple[int, int]) -> Flags:
    inside: Flags = (z.real >= 0) & (z.imag >= 0) & (z.real < shape[1]) & (z.imag < shape[0])
    return inside


def _overlaps(first: View, second: View, found: Agreement) -> tuple[float, float]:
    (h, w), (height, width) = first.shape, second.shape
    corners = found.turn * np.array([0, w, w + 1j * h, 1j * h]) + found.shift
    moved = np.stack([corners.real, corners.imag], 1).astype(np.float32)
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    area = float(cv2.intersectConvexConvex(moved, frame)[0])
    sizes = sorted((abs(found.turn) ** 2 * h * w, float(height * width)))
    return area / sizes[0], area / sizes[1]


def _count(z: Complexes, box: tuple[float, float, float, float]) -> NDArray[np.float64]:
    ranges = [[box[1], box[3]], [box[0], box[2]]]
    return np.histogram2d(z.imag, z.real, bins=_CELLS, range=ranges)[0]


def pixels_agree(
    pictures: tuple[Bytes, Bytes],
    shapes: tuple[tuple[int, int], tuple[int, int]],
    found: Agreement,
    covered: Coverage,
    cells: Flags,
) -> bool:
    """Tell whether cells of the common area show the same in the small pictures.

    Noise, blur and blending hide points from SIFT, yet the pixels correlate; two parts in one
    holder do not.

    Args:
        pictures: small pictures of both views.
        shapes: their sizes in working pixels.
        found: the transform between the views.
        covered: tells where the cells are.
        cells: 4 x 4, which of them to look at.
    """
    zooms = [p.shape[1] / shape[1] for p, shape in zip(pictures, shapes, strict=True)]
    turn, shift = found.turn * zooms[1] / zooms[0], found.shift * zooms[1]
    matrix = np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
    size = pictures[1].shape[1::-1]
    ones = np.ones(pictures[0].shape, np.float32)
    seen = cv2.warpAffine(ones, matrix, size) > 0.99
    moved = _fine(cv2.warpAffine(pictures[0], matrix, size, borderMode=cv2.BORDER_REPLICATE))
    there = _fine(pictures[1])
    left, top, right, bottom = (side * zooms[1] for side in covered.box)
    rows = (np.arange(size[1]) - top) / (bottom - top) * _CELLS
    columns = (np.arange(size[0]) - left) / (right - left) * _CELLS
    within = [(v >= 0) & (v < _CELLS) for v in (rows, columns)]
    looked_at = cells[
        np.clip(rows, 0, _CELLS - 1).astype(int)[:, None],
        np.clip(columns, 0, _CELLS - 1).astype(int),
    ]
    where = seen & looked_at & within[0][:, None] & within[1]
    if where.sum() < 16 or moved[where].std() == 0 or there[where].std() == 0:
        return False
    return float(np.corrcoef(moved[where], there[where])[0, 1]) >= _LIKENESS


def _fine(picture: Bytes) -> Floats:
    floats = picture.astype(np.float32)
    fine: Floats = cv2.GaussianBlur(floats, (0, 0), 0.7) - cv2.GaussianBlur(floats, (0, 0), _FINE)
    return fine
