"""Drawing the shapes of annotation tools: where in an image of a given size they are set.

Polygons, rectangles, circles and lines are drawn as Labelme's own converter does
(labelme/utils/shape.py, ``shape_to_mask``), so that a shape has the same pixels in every format.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from flawsmith.data.images import BoolArray

Point = tuple[float, float]
"""x and y in pixels from the upper left corner."""

Size = tuple[int, int]
"""Height and width in pixels."""


def require_near(coordinates: ArrayLike, size: Size) -> None:
    """Raise a `ValueError` for coordinates that cannot be meant for an image of this size.

    One image size around it is allowed; drawing libraries take minutes and gigabytes beyond.
    """
    values = np.array(coordinates, float)
    if not np.isfinite(values).all() or (np.abs(values) > 2 * max(size)).any():
        raise ValueError("it has a corner far outside the image")


def polygon(points: Sequence[Point], size: Size) -> BoolArray:
    """Return the inside and the outline of a polygon with at least 3 corners.

    Raises:
        ValueError: if there are fewer corners, or one lies far outside the image.
    """
    _require(points, 3, size)
    return _drawn(size, lambda draw: draw.polygon(list(points), outline=1, fill=1))


def rectangle(points: Sequence[Point], size: Size) -> BoolArray:
    """Return the rectangle between two opposite corners, outline included."""
    _require(points, 2, size)
    (x0, x1), (y0, y1) = (sorted(values) for values in zip(*points[:2], strict=True))
    return _drawn(size, lambda draw: draw.rectangle((x0, y0, x1, y1), outline=1, fill=1))


def ellipse(centre: Point, radii: Point, size: Size) -> BoolArray:
    """Return an upright ellipse with its radii in x and y."""
    (x, y), (a, b) = centre, radii
    _require([(x - a, y - b), (x + a, y + b)], 2, size)
    box = (x - abs(a), y - abs(b), x + abs(a), y + abs(b))
    return _drawn(size, lambda draw: draw.ellipse(box, outline=1, fill=1))


def line(points: Sequence[Point], width: float, size: Size) -> BoolArray:
    """Return a line through at least 2 points, ``width`` pixels wide."""
    _require(points, 2, size)
    broad = min(max(1, round(width)), max(size))
    return _drawn(size, lambda draw: draw.line(list(points), fill=1, width=broad, joint="curve"))


def pixels(points: Sequence[Point], size: Size) -> BoolArray:
    """Return the single pixels at the points, moved into the image: nothing small is lost."""
    require_near(points, size)
    where = np.zeros(size, np.bool_)
    for x, y in points:
        row, column = min(max(int(y), 0), size[0] - 1), min(max(int(x), 0), size[1] - 1)
        where[row, column] = True
    return where


def _require(points: Sequence[Point], fewest: int, size: Size) -> None:
    if len(points) < fewest:
        raise ValueError(f"it has {len(points)} points; expected at least {fewest}")
    require_near(points, size)


def _drawn(size: Size, draw: Callable[[ImageDraw.ImageDraw], None]) -> BoolArray:
    picture = Image.new("1", (size[1], size[0]))
    draw(ImageDraw.Draw(picture))
    return np.asarray(picture)
