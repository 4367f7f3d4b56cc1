"""Regions of an index map: type, score, position and size; the same code offline and inline."""

import math
from collections.abc import Iterable
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.config import StrictModel
from flawsmith.data.images import LabelArray
from flawsmith.data.schema import PixelSize, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.region_geometry import (
    Points,
    Rectangle,
    convex_hull,
    outline,
    pixel_corners,
    smallest_rectangle,
)
from flawsmith.inspection.region_runs import Piece, collect, connected, find_runs, touching

MAX_MASK_PX = 1 << 24
"""Pixels in a region's box up to which its outline is drawn; above it has its hull."""

MAX_CORNERS = 1_000
"""Corners of an outline; one with more is replaced by the hull, so that a result stays small."""


class RotatedBox(StrictModel):
    """The smallest rectangle, at any angle, around a region's pixels taken as squares.

    Attributes:
        x: of its centre, in pixels; (0, 0) is the middle of the first pixel.
        y: of its centre.
        length: the longer side in pixels.
        width: the shorter side in pixels.
        angle: of the longer side, in degrees from 0 to below 180, from the x axis towards the y
            axis, which points down.
    """

    x: float
    y: float
    length: float
    width: float
    angle: float


class Region(StrictModel):
    """One 8-connected region of one defect class.

    Length and width are the sides of the smallest rectangle, at any angle, around the region's
    pixels taken as squares: a single pixel is 1 x 1. A bent crack is longer than its length.

    Attributes:
        score: highest score of the class in the region, 0 to 1.
        box: x, y, width, height in whole pixels, as in COCO.
        centroid: x, y in pixels; (0, 0) is the middle of the first pixel.
        diameter_px: of the circle with the same area.
        area_mm2: this and every mm figure is None without a calibration.
        length_mm_u95: half the width of the 95 % interval of ``length_mm``, see `uncertainty_mm`;
            None where the calibration's own uncertainty is not known. The same for the others.
        rotated_box: None in files of older versions.
        polygon: x, y of the outer outline through the middles of its outer pixels, simplified to
            within half a pixel; drawn and filled it gives the region back, without its holes.
        polygon_is_hull: the region was too large to keep its outline; ``polygon`` is the convex
            hull of its pixels.
        part_position: x, y of the centroid in part coordinates; None where the part was not
            located.
        part_unit: of ``part_position``.
        zone: the first zone that holds the centroid.
        zone_shares: share of the region's pixels in each zone that it reaches, 0 to 1.
        masked_share: share of its pixels in do-not-inspect masks; 1 is the only one that hides it.
    """

    class_id: int
    class_name: str
    score: float
    box: tuple[int, int, int, int]
    centroid: tuple[float, float]
    area_px: int
    length_px: float
    width_px: float
    diameter_px: float
    area_mm2: float | None = None
    length_mm: float | None = None
    width_mm: float | None = None
    diameter_mm: float | None = None
    area_mm2_u95: float | None = None
    length_mm_u95: float | None = None
    width_mm_u95: float | None = None
    diameter_mm_u95: float | None = None
    rotated_box: RotatedBox | None = None
    polygon: list[tuple[int, int]] = []
    polygon_is_hull: bool = False
    part_position: tuple[float, float] | None = None
    part_unit: Literal["mm", "px"] | None = None
    zone: str | None = None
    zone_shares: dict[str, float] = {}
    masked_share: float = 0.0


def label_components(
    indices: LabelArray, num_defects: int
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Return the 8-connected components of every defect class.

    Returns:
        H x W component numbers, 0 where there is no defect (or ignore), and the class of each
        number, class 0 for number 0. Numbers rise with the class.
    """
    components = np.zeros(indices.shape, np.int32)
    classes = [0]
    histogram = cv2.calcHist([np.ascontiguousarray(indices)], [0], None, [256], [0, 256])
    for class_id in np.flatnonzero(histogram.ravel()[1 : num_defects + 1]) + 1:
        mask = (indices == class_id).astype(np.uint8)
        count, labels = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)
        np.copyto(components, labels + (len(classes) - 1), where=mask.astype(bool))
        classes.extend([int(class_id)] * (count - 1))
    return components, np.array(classes, np.uint8)


def find_regions(
    index_map: LabelArray,
    scores: NDArray[np.float32],
    schema: Schema,
    *,
    relative_uncertainty: float | None = None,
    most: int | None = None,
) -> list[Region]:
    """Return every region of an index map, highest score first; none is too small.

    Args:
        index_map: H x W: 0 = no defect, k = k-th defect; 255 is no defect.
        scores: (1 + defects) x H x W in [0, 1].
        schema: names of the defects and size of a pixel.
        relative_uncertainty: of the size of a pixel, k = 2, as in `uncertainty_mm`.
        most: measure so many, those of the highest scores; None for all.

    Raises:
        FlawsmithError: if the scores do not fit the index map and the schema.
    """
    expected = (1 + schema.num_defects, *index_map.shape)
    if scores.shape != expected:
        raise FlawsmithError(
            f"scores have the shape {scores.shape}; expected {expected} for {schema.num_defects} "
            "defect classes and this index map: use the model with the data set it was trained on"
        )
    confidences = np.zeros(index_map.shape, np.float32)
    for class_id in range(1, schema.num_defects + 1):
        np.copyto(confidences, scores[class_id], where=index_map == class_id)
    runs = find_runs(index_map, confidences, schema.num_defects)
    pieces = collect(runs, connected(len(runs), *touching(runs)))
    return measured(pieces.values(), schema, relative_uncertainty, most=most)


def measured(
    pieces: Iterable[Piece],
    schema: Schema,
    relative_uncertainty: float | None,
    *,
    most: int | None = None,
) -> list[Region]:
    """Return the regions of whole pieces: highest score first, then by class and reading order."""
    ordered = sorted(pieces, key=lambda piece: (-piece.score, piece.class_id, piece.first))
    return [_measure(piece, schema, relative_uncertainty) for piece in ordered[:most]]


def _measure(piece: Piece, schema: Schema, relative_uncertainty: float | None) -> Region:
    left, top, right, bottom = piece.box
    area = piece.area
    # Around the box's corner, so that a place far down a strip costs no digits.
    hull = convex_hull(np.concatenate(piece.points) - (left, top))
    corners = pixel_corners(hull)
    rectangle = smallest_rectangle(corners)
    polygon, is_hull = _polygon(piece, hull)
    figures: dict[str, float | None] = {}
    if schema.pixel_size_mm is not None:
        figures = _millimetres(area, corners, schema.pixel_size_mm, relative_uncertainty)
    return Region(
        class_id=piece.class_id,
        class_name=schema.defects[piece.class_id - 1].name,
        score=piece.score,
        box=(left, top, right - left, bottom - top),
        centroid=(piece.twice_x / (2 * area), piece.sum_y / area),
        area_px=area,
        length_px=rectangle.length,
        width_px=rectangle.width,
        diameter_px=_diameter(area),
        rotated_box=RotatedBox(
            x=rectangle.centre[0] + left,
            y=rectangle.centre[1] + top,
            length=rectangle.length,
            width=rectangle.width,
            angle=_angle(rectangle),
        ),
        polygon=[(x + left, y + top) for x, y in polygon.tolist()],
        polygon_is_hull=is_hull,
        **figures,
    )


def _polygon(piece: Piece, hull: Points) -> tuple[Points, bool]:
    """Return the outline, or the hull, around the box's corner, and whether it is the hull."""
    left, top, right, bottom = piece.box
    width, height = right - left, bottom - top
    if piece.runs is None or width * height > MAX_MASK_PX:
        return hull, True
    runs = np.concatenate(piece.runs).astype(np.int64) - (top, left, left)
    corners = outline(runs, width, height)
    return (hull, True) if len(corners) > MAX_CORNERS else (corners, False)


def _millimetres(
    area: int,
    corners: NDArray[np.float64],
    size: PixelSize,
    relative_uncertainty: float | None,
) -> dict[str, float | None]:
    """Return every mm figure by the name of its field."""
    # Scaled before it is measured: on a line scan a square pixel is a rectangle in mm.
    rectangle = smallest_rectangle(corners * (size.x, size.y))
    area_mm2 = area * size.x * size.y
    diameter = _diameter(area_mm2)
    figures: dict[str, float | None] = {
        "area_mm2": area_mm2,
        "length_mm": rectangle.length,
        "width_mm": rectangle.width,
        "diameter_mm": diameter,
    }
    if relative_uncertainty is None:
        return figures
    x, y = rectangle.direction
    along, across = math.hypot(size.x * x, size.y * y), math.hypot(size.x * y, size.y * x)
    mean = math.sqrt((size.x**2 + size.y**2) / 2)  # over all directions of a diameter
    of_diameter = uncertainty_mm(diameter, mean, relative_uncertainty)
    figures["length_mm_u95"] = uncertainty_mm(rectangle.length, along, relative_uncertainty)
    figures["width_mm_u95"] = uncertainty_mm(rectangle.width, across, relative_uncertainty)
    figures["diameter_mm_u95"] = of_diameter
    figures["area_mm2_u95"] = math.pi / 2 * diameter * of_diameter  # |dA / dd| with A = pi d^2 / 4
    return figures


def uncertainty_mm(length_mm: float, pixel_mm: float, relative_uncertainty: float) -> float:
    """Return the expanded uncertainty U (k = 2, about 95 %) of a length in mm.

    U = 2 sqrt((L r / 2)^2 + 2 p^2 / 12): calibration and quantisation are independent and add in
    quadrature (GUM, JCGM 100:2008, 5.1.2). Each of the two edges that bound the length may lie
    anywhere within one pixel: a rectangular distribution of the width p has the variance p^2 / 12
    (4.3.7). What the model itself gets wrong about an edge is not in it.

    Args:
        length_mm: L.
        pixel_mm: p, the size of a pixel along the length.
        relative_uncertainty: r, of the size of a pixel, as calibrations state it, with k = 2.
    """
    return 2.0 * math.sqrt((length_mm * relative_uncertainty / 2.0) ** 2 + pixel_mm**2 / 6.0)


def _angle(rectangle: Rectangle) -> float:
    x, y = rectangle.direction
    return math.degrees(math.atan2(y, x)) % 180.0


def _diameter(area: float) -> float:
    return 2.0 * math.sqrt(area / math.pi)
