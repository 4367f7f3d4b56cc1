"""New shapes of a class out of its real ones: mixed where they are compact, grown where lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.mask_bank.instances import MaskInstance
from flawsmith.data.mask_bank.interpolation import Form, interpolate
from flawsmith.data.mask_bank.lines import LINE_WIDTH, SLENDER, Course, grow, slenderness, trace
from flawsmith.data.mask_bank.shapes import (
    ELASTIC_SHARE,
    LARGEST_ELASTIC,
    Mask,
    heart,
)

SHARES = (0.2, 0.8)
"""Of the other mask in a mixture."""

AREA_RATIO = 0.6
SLENDERNESS_RATIO = 0.4
"""Differences of the logarithms that two masks may easily have to be mixed."""

UNLIKE = 2.0
"""Masks farther apart than this many such differences are not mixed."""

COMPACT_ELASTIC = (0.04, 8.0)
"""The bend of a large compact shape: share of its size, and limit in pixels."""

LINE_ELASTIC = (ELASTIC_SHARE, 1.0)
"""The same of a grown line: it winds as it should already."""

LARGE_DIAMETER = 24.0
"""Diameter in pixels of a disc of the area from which a shape is large."""

LINES_OF_A_WALK = 3
"""Most real lines whose course one new line is made of."""

COURSE_RATIO = 0.35
"""Difference of the logarithms of slenderness, or of winding, of lines that easily go together."""

MOST_TRACED = 64
"""Lines of a class whose course is measured."""

MOST_FORMS = 256
"""Reduced masks that are kept in memory: about 10 MB."""


@dataclass(frozen=True)
class NewShape:
    """A shape that no image shows.

    Attributes:
        mask: h x w, trimmed.
        parents: file names of the images with the masks that it is made of.
        elastic: how it may be bent: share of its size, and limit in pixels.
    """

    mask: Mask
    parents: tuple[str, ...]
    elastic: tuple[float, float] = (ELASTIC_SHARE, LARGEST_ELASTIC)


class ShapeMaker:
    """Makes new shapes of one class; what it measures of the real ones is measured once."""

    def __init__(self, instances: Sequence[MaskInstance], weights: NDArray[np.float64]) -> None:
        self._instances = list(instances)
        self._weights = weights
        self._numbers = {id(instance): i for i, instance in enumerate(instances)}
        self._slenderness = np.array([slenderness(i.mask) for i in instances])
        self._areas = np.array([np.count_nonzero(i.mask) for i in instances])
        self._are_cut = np.array([i.is_cut for i in instances])
        self._parts = np.array([i.part for i in instances])
        self._forms: dict[int, Form] = {}
        widths = np.sqrt(self._areas / self._slenderness)
        self._are_lines = (self._slenderness >= SLENDER) & (widths <= LINE_WIDTH)
        self._mostly_lines = bool(weights[self._are_lines].sum() > 0.5 * weights.sum())
        self._courses: dict[int, Course | None] = {}
        self._donors: dict[int, Course] | None = None
        self._seats: list[frozenset[int]] | None = None

    def make(
        self, instance: MaskInstance, rng: np.random.Generator, *, seated: bool = False
    ) -> NewShape | None:
        """Return a new shape in the place and direction of a real one, or None if none came out.

        Args:
            instance: one of the class.
            rng: everything random is drawn from it.
            seated: keep to the edges of the image that the instance touches.
        """
        number = self._numbers[id(instance)]
        if self._are_lines[number]:
            return None if seated else self._grow(number, rng)
        # The short ones among cracks have corners that a mixture rounds off.
        return None if self._mostly_lines else self._mix(number, rng, seated)

    def _grow(self, number: int, rng: np.random.Generator) -> NewShape | None:
        mould = self._course(number)
        donors = mould and self._choose_donors(number, mould, rng)
        if not mould or not donors:
            return None
        courses = [course for _, course in donors]
        widths = courses[int(rng.integers(len(courses)))]
        mask = grow(mould, courses, widths, rng)
        if mask is None:
            return None
        used = (number, *(n for n, _ in donors))
        return NewShape(mask, tuple(self._instances[n].file_name for n in used), LINE_ELASTIC)

    def _choose_donors(
        self, number: int, mould: Course, rng: np.random.Generator
    ) -> list[tuple[int, Course]]:
        """Return a few lines of other parts that are about as slender and as winding."""
        known = self._traced()
        others = [n for n in known if self._parts[n] != self._parts[number]]
        if not others:
            return []
        slender = np.log(self._slenderness[others] / self._slenderness[number])
        winding = np.log([known[n].winding / mould.winding for n in others])
        far = np.hypot(slender, winding) / COURSE_RATIO
        weights = self._weights[others] * np.exp(-0.5 * (far**2 - far.min() ** 2))
        count = min(LINES_OF_A_WALK, int(np.count_nonzero(weights)))
        chosen = rng.choice(len(others), count, replace=False, p=weights / weights.sum())
        return [(others[int(i)], known[others[int(i)]]) for i in chosen]

    def _traced(self) -> dict[int, Course]:
        """Return the courses of the lines of the class, of many an even selection."""
        if self._donors is None:
            lines = np.flatnonzero(self._are_lines)
            few = lines[:: max(1, -(-len(lines) // MOST_TRACED))].tolist()
            courses = {n: self._course(n) for n in few}
            self._donors = {n: course for n, course in courses.items() if course is not None}
        return self._donors

    def _course(self, number: int) -> Course | None:
        if number not in self._courses:
            self._courses[number] = trace(self._instances[number].mask)
        return self._courses[number]

    def _form(self, number: int) -> Form:
        if number not in self._forms:
            if len(self._forms) >= MOST_FORMS:
                self._forms.clear()
            self._forms[number] = Form.of(self._instances[number].mask)
        return self._forms[number]

    def _mix(self, number: int, rng: np.random.Generator, seated: bool) -> NewShape | None:
        one = self._instances[number]
        # The straight cut of one at the edge of its image must not become a wave.
        is_large = one.diameter >= LARGE_DIAMETER and not one.is_cut
        elastic = COMPACT_ELASTIC if is_large else (ELASTIC_SHARE, LARGEST_ELASTIC)
        areas = np.log(self._areas / self._areas[number]) / AREA_RATIO
        slender = np.log(self._slenderness / self._slenderness[number]) / SLENDERNESS_RATIO
        far = np.hypot(areas, slender)
        # Another view of the same part shows the same shape.
        fits = (far < UNLIKE) & (self._are_cut == one.is_cut)
        fits &= self._parts != self._parts[number]
        if seated:
            seats = self._edges()
            fits &= np.array([edges == seats[number] for edges in seats])
        weights = self._weights * fits * np.exp(-0.5 * far**2)
        if weights.any():
            chosen = int(rng.choice(len(weights), p=weights / weights.sum()))
            share = float(rng.uniform(*SHARES))
            forms = self._form(number), self._form(chosen)
            mask = interpolate(*forms, share, rng, aligned=seated)
            if mask is not None:
                parents = one.file_name, self._instances[chosen].file_name
                return NewShape(mask, parents, elastic)
        return NewShape(one.mask, (one.file_name,), elastic) if is_large else None

    def _edges(self) -> list[frozenset[int]]:
        """Return which edges of its image each instance touches."""
        if self._seats is None:
            self._seats = [touched_edges(i) for i in self._instances]
        return self._seats


def touched_edges(instance: MaskInstance) -> frozenset[int]:
    """Return which of the top, left, bottom and right edge of its image an instance touches."""
    reaches = _reaches(instance.mask)
    pairs = zip(reaches, instance.edges, strict=True)
    return frozenset(i for i, (reach, edge) in enumerate(pairs) if reach >= edge)


def seat_shift(instance: MaskInstance, mask: Mask) -> tuple[int, int]:
    """Return by how much (y, x) the heart moves if a mask shall touch what an instance touches."""
    shift = [0, 0]
    touched = touched_edges(instance)
    for side, (then, now) in enumerate(zip(_reaches(instance.mask), _reaches(mask), strict=True)):
        if side in touched:
            shift[side % 2] += (now - then) * (1 if side < 2 else -1)
    return shift[0], shift[1]


def _reaches(mask: Mask) -> tuple[int, int, int, int]:
    """Return how far a mask goes from its heart to the top, left, bottom and right."""
    y, x = heart(mask)
    return y, x, mask.shape[0] - 1 - y, mask.shape[1] - 1 - x
