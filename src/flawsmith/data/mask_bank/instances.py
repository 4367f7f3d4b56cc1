"""Single real defects with where they were, and what the places of a class have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from flawsmith.data.dataset import ImageRecord, LabelMap
from flawsmith.data.images import ImageArray
from flawsmith.data.mask_bank.appearance import Appearance, grain
from flawsmith.data.mask_bank.layouts import Layout, boundary_distance, fill_ignored
from flawsmith.data.mask_bank.shapes import Mask, Piece, direction, heart, split_instances
from flawsmith.data.schema import IGNORE

COVERED_SHARE = 0.01
"""An instance covers a background that has at least this share of its pixels; less is jitter."""

FEWEST_PARTS = 5
FEWEST_INSTANCES = 8
"""With fewer parts or instances of a class, a habit cannot be told from chance."""

NARROW_SPREAD = 0.15
"""Standard deviation of the relative position below which it is a habit (0.29 if uniform)."""

EDGE_SHARE = 0.25
"""A class keeps to the edge of the image if half of its instances are in so much of the area."""

NEAR_SHARE = 0.5
"""A class keeps near a boundary if its median distance is below this share of the usual one."""

GRAIN = 0.2
"""Mean coherence of the textures, with one direction, above which the surface has a direction."""

CUT_SHARE = 0.3
"""A defect on the edge of its image for more than this share of its diameter is cut visibly."""

PREFERENCE = 0.5
"""Mean resultant length of the directions of the parts from which a class has its own direction."""

CERTAIN = 3.0
"""Least value of the square of that length times the parts: Rayleigh's test, p = exp(-3) = 0.05."""


@dataclass(frozen=True)
class MaskInstance:
    """One real defect.

    Attributes:
        mask: h x w, the box around it.
        file_name: the image that shows it.
        part: the piece that the image shows.
        position: relative (y, x) of its heart in the image, 0 to 1.
        covers: the backgrounds under it.
        background: the one under its heart, the pixel nearest to its centroid.
        boundary_distance: of the heart to the nearest boundary of backgrounds, in pixels.
        edges: pixels from its heart to the top, left, bottom and right edge of the image.
        appearance: its picture, if the bank keeps pictures.
        is_cut: whether the edge of the image cuts off a good part of it.
    """

    class_id: int
    mask: Mask
    file_name: str
    part: str
    position: tuple[float, float]
    covers: frozenset[int]
    background: int
    boundary_distance: float
    edges: tuple[int, int, int, int] = (0, 0, 0, 0)
    appearance: Appearance | None = None
    is_cut: bool = False

    @property
    def diameter(self) -> float:
        """Return the diameter of a disc of the same area, in pixels."""
        return equivalent_diameter(self.mask)

    @property
    def rim_share(self) -> float:
        """Return the share of the image that is nearer to its edge than the heart, 0 to 1.

        Were the heart anywhere alike, this would be uniform.
        """
        top, left, bottom, right = self.edges
        nearest = min(self.edges) + 0.5
        height, width = top + bottom + 1, left + right + 1
        return 1.0 - max(0.0, 1 - 2 * nearest / height) * max(0.0, 1 - 2 * nearest / width)

    @property
    def size_bytes(self) -> int:
        """Memory it takes, about."""
        return self.mask.nbytes + 512 + (self.appearance.size_bytes if self.appearance else 0)


def equivalent_diameter(mask: Mask) -> float:
    """Return the diameter of a disc with the area of a mask, in pixels."""
    return float(np.sqrt(4.0 / np.pi * np.count_nonzero(mask)))


@dataclass(frozen=True)
class Habit:
    """Where a class occurs: what of its instances' places is more than chance."""

    keeps_height: bool = False
    keeps_width: bool = False
    keeps_boundary: bool = False
    keeps_direction: bool = False
    keeps_edge: bool = False


def find_instances(
    label_map: LabelMap, record: ImageRecord, image: ImageArray | None = None
) -> Iterator[MaskInstance]:
    """Yield the defects of one image, with their pictures if it is given.

    Ignored pixels are no defect.
    """
    present = np.unique(label_map.defects)
    present = present[(present > 0) & (present != IGNORE)]
    if not len(present):
        return
    backgrounds = fill_ignored(label_map.backgrounds)
    distance = boundary_distance(backgrounds)
    for class_id in present.tolist():
        for piece in split_instances(label_map.defects == class_id):
            y, x = heart(piece.mask)
            y, x = y + piece.top, x + piece.left
            box = backgrounds[piece.top :, piece.left :]
            under = box[: piece.mask.shape[0], : piece.mask.shape[1]][piece.mask]
            shares = np.bincount(under) / under.size
            yield MaskInstance(
                class_id=class_id,
                mask=piece.mask,
                file_name=record.file_name,
                part=record.part,
                position=((y + 0.5) / record.height, (x + 0.5) / record.width),
                covers=frozenset(np.flatnonzero(shares >= COVERED_SHARE).tolist())
                | {int(backgrounds[y, x])},
                background=int(backgrounds[y, x]),
                boundary_distance=float(distance[y, x]),
                edges=(y, x, record.height - 1 - y, record.width - 1 - x),
                appearance=None
                if image is None
                else Appearance.of(image, label_map.defects, piece),
                is_cut=_is_cut(piece, label_map.defects.shape),
            )


def _is_cut(piece: Piece, shape: tuple[int, ...]) -> bool:
    """Tell whether a piece runs along the edge of the image for a good part of its diameter."""
    rows, columns = piece.mask.shape
    along = [
        piece.mask[0].sum() * (piece.top == 0),
        piece.mask[-1].sum() * (piece.top + rows == shape[0]),
        piece.mask[:, 0].sum() * (piece.left == 0),
        piece.mask[:, -1].sum() * (piece.left + columns == shape[1]),
    ]
    return bool(sum(along) > CUT_SHARE * equivalent_diameter(piece.mask))


def measure_habit(instances: Sequence[MaskInstance], layouts: Sequence[Layout]) -> Habit:
    """Return what the instances of one class have in common beyond chance."""
    if len(instances) < FEWEST_INSTANCES or len({i.part for i in instances}) < FEWEST_PARTS:
        return Habit()
    spread = np.std([i.position for i in instances], axis=0)
    own = np.array([i.boundary_distance for i in instances])
    home = {i.background for i in instances}
    even = [layout.even_distances(home) for layout in layouts if not layout.is_even]
    usual = np.concatenate(even) if even else np.empty(0)
    return Habit(
        keeps_height=bool(spread[0] < NARROW_SPREAD),
        keeps_width=bool(spread[1] < NARROW_SPREAD),
        keeps_boundary=bool(usual.size and np.median(own) < NEAR_SHARE * np.median(usual)),
        keeps_direction=_keeps_direction(instances),
        keeps_edge=bool(np.median([i.rim_share for i in instances]) < EDGE_SHARE),
    )


def _keeps_direction(instances: Sequence[MaskInstance]) -> bool:
    """Tell whether most parts show the class in one direction; a part counts once."""
    parts: dict[str, list[complex]] = {}
    for instance in instances:
        parts.setdefault(instance.part, []).append(direction(instance.mask))
    lengths = np.abs([one for directions in parts.values() for one in directions])
    if lengths.mean() <= 0.5:  # round ones have none
        return False
    means = np.array([np.mean(directions) for directions in parts.values()])
    resultant = float(abs(means.sum()) / max(np.abs(means).sum(), 1e-12))
    return resultant > PREFERENCE and resultant**2 * len(parts) > CERTAIN


def has_grain(instances: Sequence[MaskInstance]) -> bool:
    """Tell whether the surface around these defects has a direction that their pictures share."""
    known = [i for i in instances if i.appearance is not None]
    grains = [grain(i.appearance, i.mask) for i in known if i.appearance is not None]
    return bool(grains) and abs(sum(grains)) > GRAIN * len(grains)
