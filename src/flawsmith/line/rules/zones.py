"""Named places in a view: whether a region touches one, or lies wholly inside."""

from collections.abc import Sequence
from functools import cached_property
from itertools import combinations, pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from flawsmith.config import StrictModel

Point = tuple[float, float]
Box = tuple[int, int, int, int]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]

SLACK = 1e-9  # of a pixel's area: rounding of the clipped corners, far below any real overlap


class Zone(StrictModel):
    """A box or a polygon in pixels; the first pixel covers 0 to 1. Zones may share a name.

    Attributes:
        view: the view it lies in; None for every view.
        located: it has no shape here: it is drawn on the part and found with it in each image
            (`Region.zone_shares`).
        box: x, y, width, height.
        polygon: x, y of three or more corners; its sides must not cross.
    """

    name: str = Field(min_length=1, max_length=80)
    view: str | None = None
    located: bool = False
    box: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    polygon: list[tuple[Coordinate, Coordinate]] | None = Field(
        default=None, min_length=3, max_length=200
    )

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if [self.located, self.box is not None, self.polygon is not None].count(True) != 1:
            raise ValueError(
                "a zone needs either a box (x, y, width, height), or a polygon, or located = true"
            )
        if self.box is not None and min(self.box[2:]) <= 0:
            raise ValueError(f"width and height of the box {list(self.box)} must be above 0")
        if self.polygon is not None:
            if _sides_cross(self.polygon):
                raise ValueError(
                    "two sides of the polygon cross each other; list it corner by corner"
                )
            if _area(self.polygon) <= SLACK:
                raise ValueError("the polygon has no area")
        return self

    @cached_property
    def corners(self) -> list[Point]:
        """x, y of the corners, in order around the zone."""
        if self.polygon is not None:
            return list(self.polygon)
        x, y, width, height = self.box or (0.0, 0.0, 0.0, 0.0)
        return [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]

    @cached_property
    def _bounds(self) -> tuple[float, float, float, float]:
        columns, rows = zip(*self.corners, strict=True)
        return min(columns), min(rows), max(columns), max(rows)

    def _is_apart(self, box: Box) -> bool:
        """Whether the box is outside the box around the zone, which is quickly told."""
        left, top, right, bottom = self._bounds
        x, y, width, height = box
        return x >= right or y >= bottom or x + width <= left or y + height <= top

    def touches(self, box: Box) -> bool:
        """Whether any part of a box of whole pixels lies in a zone that has a shape."""
        return not self._is_apart(box) and _area(_clip(self.corners, box)) > SLACK

    def covers(self, box: Box) -> bool:
        """Whether a box of whole pixels lies wholly in a zone that has a shape."""
        if self._is_apart(box):
            return False
        return _area(_clip(self.corners, box)) >= box[2] * box[3] * (1 - 1e-9)


def _area(corners: Sequence[Point]) -> float:
    """Return the area of a polygon whose sides do not cross (shoelace formula)."""
    around = pairwise([*corners, *corners[:1]])
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in around)) / 2


def _clip(corners: list[Point], box: Box) -> list[Point]:
    """Return what of a polygon lies in a box (Sutherland and Hodgman, 1974).

    Where the polygon is not convex the result may have sides of no width, which have no area.
    """
    x, y, width, height = box
    # Relative to the box, so that the area of a small box far from the origin keeps its digits.
    found = [(px - x, py - y) for px, py in corners]
    for axis, limit, sign in (
        (0, 0.0, 1),
        (0, float(width), -1),
        (1, 0.0, 1),
        (1, float(height), -1),
    ):
        around, found = pairwise([*found, *found[:1]]), []
        for start, end in around:
            depths = (start[axis] - limit) * sign, (end[axis] - limit) * sign
            if depths[0] >= 0:
                found.append(start)
            if (depths[0] >= 0) != (depths[1] >= 0):
                share = depths[0] / (depths[0] - depths[1])
                other = start[1 - axis] + share * (end[1 - axis] - start[1 - axis])
                found.append((limit, other) if axis == 0 else (other, limit))
    return found


def _sides_cross(corners: Sequence[Point]) -> bool:
    """Whether two sides of a polygon cross in a point that is no corner."""
    sides = pairwise([*corners, *corners[:1]])
    return any(
        _turn(*first, second[0]) * _turn(*first, second[1]) < 0
        and _turn(*second, first[0]) * _turn(*second, first[1]) < 0
        for first, second in combinations(list(sides), 2)
    )


def _turn(start: Point, end: Point, point: Point) -> float:
    """Return a positive number if ``point`` lies on one side of a line, negative on the other."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
