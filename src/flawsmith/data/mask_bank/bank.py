"""The mask bank: real defect masks of the training images, varied and placed where they occur.

What "where they occur" means is measured, not configured: over which backgrounds an instance lies,
and, for a class with enough parts, whether it keeps near the boundary of two backgrounds, to a
height or width in the image, or to a direction. Without such a habit it may lie anywhere on its
background.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Self, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord, LabelMap
from flawsmith.data.images import LabelArray
from flawsmith.data.mask_bank.appearance import DRAWN_MARGIN, Exemplar, Surface, surface_around
from flawsmith.data.mask_bank.instances import (
    MaskInstance,
    find_instances,
    has_grain,
    measure_habit,
)
from flawsmith.data.mask_bank.layouts import Layout
from flawsmith.data.mask_bank.placement import place, place_cut
from flawsmith.data.mask_bank.shapes import LARGEST_ELASTIC, Piece, Variant, Variation, vary
from flawsmith.data.mask_bank.sizes import SizeRange
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError

MAX_BYTES = 256 << 20
"""Default limit of the memory for masks, and of that for layouts."""

LARGE_PICTURE = 40
"""Longer side in pixels of the box of a defect in whose picture the texture can be seen."""

CUT_WEIGHT = 0.2
"""How often the picture of a defect that its image cut off is drawn: the straight cut is seen."""

PICTURE_ELASTIC = 0.5
"""Limit of the bend of such a picture, in pixels: more turns straight lines into waves."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class DrawnLabelMap:
    """A label map made of real masks.

    Attributes:
        parents: file names of the images that masks and layout come from.
        exemplar: the real defects of these masks in their places, if the bank keeps pictures.
    """

    label_map: LabelMap
    parents: tuple[str, ...]
    exemplar: Exemplar | None = None


@dataclass(frozen=True)
class Seat:
    """A defect whose place is settled: at the edge of an image as it was in its own.

    Attributes:
        instance: the defect.
        anchor: (y, x) of its heart in the label map to draw.
    """

    instance: MaskInstance
    anchor: tuple[int, int]


@dataclass
class _Reservoir(Generic[Item]):
    """A uniform random sample of a stream that stays below a number of bytes."""

    limit: int
    rng: np.random.Generator
    _heap: list[tuple[float, int, int, Item]] = field(default_factory=list)
    _bytes: int = 0
    _count: int = 0

    def add(self, item: Item, size: int) -> None:
        """Keep the item if its random key is among the highest that fit; the last one stays."""
        self._count += 1
        heapq.heappush(self._heap, (float(self.rng.random()), self._count, size, item))
        self._bytes += size
        while self._bytes > self.limit and len(self._heap) > 1:
            self._bytes -= heapq.heappop(self._heap)[2]

    def items(self) -> list[Item]:
        """Return what was kept, in the order of arrival."""
        return [entry[3] for entry in sorted(self._heap, key=lambda entry: entry[1])]


class MaskBank:
    """Draws label maps from the masks and background layouts of real images."""

    def __init__(
        self, schema: Schema, instances: Sequence[MaskInstance], layouts: Sequence[Layout]
    ) -> None:
        self.schema = schema
        self.layouts = list(layouts)
        self.instances: dict[int, list[MaskInstance]] = defaultdict(list)
        for instance in instances:
            self.instances[instance.class_id].append(instance)
        self.classes = sorted(self.instances)
        self._weights = {c: _weights(self.instances[c]) for c in self.classes}
        self._fitting: dict[frozenset[int], list[int]] = {}
        self._around: dict[int, list[Surface]] = {}
        self.has_grain = has_grain(instances)
        self.shows_pictures = any(i.appearance is not None for i in instances)
        self.habits = {c: measure_habit(self.instances[c], self.layouts) for c in self.classes}

    @classmethod
    def from_dataset(
        cls,
        dataset: DefectDataset,
        records: Iterable[ImageRecord],
        *,
        max_bytes: int = MAX_BYTES,
        seed: int = 0,
        appearance: bool = False,
    ) -> Self:
        """Collect the masks and layouts of real images, one image in memory at a time.

        Args:
            dataset: where the masks are.
            records: of the training images only; excluded and synthetic ones are passed over.
            max_bytes: limit for the masks, shared evenly by the classes, and for the layouts; of
                what is beyond it a random sample is kept.
            seed: draws the sample and the places of the layouts.
            appearance: whether to keep the picture of each defect, within the same limit.
        """
        rng = np.random.default_rng(seed)
        share = max_bytes // max(1, dataset.schema.num_defects)
        masks: dict[int, _Reservoir[MaskInstance]] = {
            d.id: _Reservoir(share, rng) for d in dataset.schema.defects
        }
        layouts: _Reservoir[Layout] = _Reservoir(max_bytes, rng)
        for record in records:
            if record.excluded is not None or record.source != "real":
                continue
            label_map = dataset.label_map(record)
            layout = Layout.of(label_map.backgrounds, rng, record.file_name)
            layouts.add(layout, layout.size_bytes)
            shown = appearance and record.mask_file_name is not None
            image = dataset.image(record) if shown else None
            for instance in find_instances(label_map, record, image):
                masks[instance.class_id].add(instance, instance.size_bytes)
        kept = [instance for reservoir in masks.values() for instance in reservoir.items()]
        return cls(dataset.schema, kept, layouts.items())

    def draw(
        self,
        rng: np.random.Generator,
        class_id: int,
        height: int,
        width: int,
        *,
        background_map: LabelArray | None = None,
        max_defects: int = 1,
        sizes: SizeRange | None = None,
        surface: Surface | None = None,
        seat: Seat | None = None,
    ) -> DrawnLabelMap:
        """Return a label map that shows a defect of the class.

        Args:
            rng: everything random is drawn from it.
            class_id: of the defect that is certainly there.
            height: of the label map.
            width: of the label map.
            background_map: height x width; by default a piece of a real image's.
            max_defects: one up to this many defects, the further ones of any class; those that
                find no free place are left out.
            sizes: of the defects; by default as the real ones vary.
            surface: what the defect shall lie on; a mask whose picture shows a like surface is
                then drawn more often.
            seat: the defect to draw and its place, where they are settled.

        Raises:
            FlawsmithError: if the bank has no mask of the class, or the background map does not
                show what the class occurs on, or no mask can be scaled to the sizes.
        """
        instance = (
            seat.instance if seat else self.choose(rng, class_id, background_map, sizes, surface)
        )
        variant = self._vary(instance, rng, height, width, sizes, seated=seat is not None)
        if background_map is None:
            layout = self._layout(instance, rng, height, width).at_least(height, width, rng)
        else:
            layout = Layout.of(background_map, rng)
        habit = self.habits[class_id]
        piece = None if seat else place(instance, habit, variant.mask, layout, rng)
        piece = piece or place_cut(
            instance, habit, variant.mask, layout, rng, anchor=seat.anchor if seat else None
        )
        top, left = _view_corner(piece, (height, width), layout, rng)
        view = np.ascontiguousarray(layout.backgrounds[top : top + height, left : left + width])
        canvas = _Canvas.empty(height, width, self.schema if self.shows_pictures else None)
        piece = replace(piece, top=piece.top - top, left=piece.left - left)
        canvas.paint(instance, variant, piece)
        further = int(rng.integers(max_defects)) if max_defects > 1 else 0
        parents = [
            instance.file_name, *self._add_further(canvas, view, further, rng, sizes)
        ]  # fmt: skip
        if layout.file_name is not None:
            parents.append(layout.file_name)
        return DrawnLabelMap(
            LabelMap(canvas.defects, view), tuple(dict.fromkeys(parents)), canvas.exemplar
        )

    def draw_needed(self, rng: np.random.Generator, class_id: int) -> frozenset[int]:
        """Return the backgrounds that a region must show for a defect of the class to lie on it.

        They are those under a random mask of the class, and one more where the class keeps near
        the boundary of two.
        """
        instance = self.choose(rng, class_id)
        needed = instance.covers
        if self.habits[class_id].keeps_boundary and len(needed) == 1:
            mixed = [x.present for x in self.layouts if needed < x.present]
            if mixed:
                others = sorted(mixed[int(rng.integers(len(mixed)))] - needed)
                needed = needed | {others[int(rng.integers(len(others)))]}
        return needed

    def choose(
        self,
        rng: np.random.Generator,
        class_id: int,
        background_map: LabelArray | None = None,
        sizes: SizeRange | None = None,
        surface: Surface | None = None,
    ) -> MaskInstance:
        """Return a random mask of the class that suits what is given; see `draw`."""
        known = self.instances.get(class_id, [])
        if not known:
            have = ", ".join(self._name(c) for c in self.classes) or "none"
            raise FlawsmithError(
                f"no training image has a mask of '{self._name(class_id)}' (there are masks of: "
                f"{have}); label some, or leave the class out"
            )
        weights = self._weights[class_id]
        if background_map is not None:
            weights = weights * np.isin([i.background for i in known], np.unique(background_map))
            if not weights.any():
                places = {self.schema.backgrounds[i.background].name for i in known}
                raise FlawsmithError(
                    f"'{self._name(class_id)}' occurs on {', '.join(sorted(places))} only, which "
                    "the given background does not show"
                )
        if sizes is not None:
            diameters = np.array([i.diameter for i in known])
            weights = weights * sizes.reachable(diameters)
            if not weights.any():
                raise sizes.out_of_reach(self._name(class_id), diameters)
        if self.shows_pictures:
            weights = weights * np.where([i.is_cut for i in known], CUT_WEIGHT, 1.0)
        if surface is not None and self.shows_pictures:
            likeness = np.array([surface.likeness(s) for s in self._surfaces(class_id)])
            weights = weights * np.exp(likeness - likeness[weights > 0].max())
        return known[int(rng.choice(len(known), p=weights / weights.sum()))]

    def _surfaces(self, class_id: int) -> list[Surface]:
        """Return what is around each defect of a class whose pictures are kept."""
        if class_id not in self._around:
            self._around[class_id] = [
                surface_around(i.appearance, i.mask, self.schema)
                for i in self.instances[class_id]
                if i.appearance is not None
            ]
        return self._around[class_id]

    def _name(self, class_id: int) -> str:
        ids = range(1, self.schema.num_defects + 1)
        return self.schema.defects[class_id - 1].name if class_id in ids else f"class {class_id}"

    def _vary(
        self,
        instance: MaskInstance,
        rng: np.random.Generator,
        height: int,
        width: int,
        sizes: SizeRange | None,
        *,
        seated: bool = False,
    ) -> Variant:
        pictured = instance.appearance is not None
        large = pictured and max(instance.mask.shape) > LARGE_PICTURE
        variation = Variation(
            upright=self.habits[instance.class_id].keeps_direction,
            seated=seated,
            keeps_grain=large and self.has_grain,
            scale=None if sizes is None else sizes.draw_scale(instance.diameter, rng),
            largest_elastic=PICTURE_ELASTIC if large else LARGEST_ELASTIC,
            margin=DRAWN_MARGIN if pictured else None,
        )
        return vary(instance.mask, rng, variation, height=height, width=width)

    def _layout(
        self, instance: MaskInstance, rng: np.random.Generator, height: int, width: int
    ) -> Layout:
        """Return a random layout with the backgrounds that the instance needs."""
        for needed in (instance.covers, frozenset({instance.background})):
            fitting = self._layouts_with(needed)
            if len(fitting):
                return self.layouts[fitting[int(rng.integers(len(fitting)))]]
        return Layout.even(instance.background, (height, width))

    def _layouts_with(self, backgrounds: frozenset[int]) -> list[int]:
        if backgrounds not in self._fitting:
            self._fitting[backgrounds] = [
                i for i, layout in enumerate(self.layouts) if backgrounds <= layout.present
            ]
        return self._fitting[backgrounds]

    def _add_further(
        self,
        canvas: "_Canvas",
        backgrounds: LabelArray,
        count: int,
        rng: np.random.Generator,
        sizes: SizeRange | None,
    ) -> list[str]:
        """Paint up to ``count`` further defects into free places; return their files."""
        parents = []
        height, width = canvas.defects.shape
        layout = Layout.of(backgrounds, rng) if count else None
        for _ in range(count):
            class_id = self.classes[int(rng.integers(len(self.classes)))]
            instance = self.choose(rng, class_id, None, sizes)
            variant = self._vary(instance, rng, height, width, sizes)
            marked = (canvas.defects > 0).astype(np.uint8)
            occupied = cv2.dilate(marked, np.ones((5, 5), np.uint8)) > 0
            habit = self.habits[instance.class_id]
            piece = layout and place(instance, habit, variant.mask, layout, rng, occupied)
            if piece:
                canvas.paint(instance, variant, piece)
                parents.append(instance.file_name)
        return parents


@dataclass(frozen=True)
class _Canvas:
    """Where the drawn defects are painted; with pictures if the schema is given."""

    defects: LabelArray
    exemplar: Exemplar | None
    schema: Schema | None

    @classmethod
    def empty(cls, height: int, width: int, schema: Schema | None) -> Self:
        exemplar = Exemplar.empty(height, width, schema.channels) if schema else None
        return cls(np.zeros((height, width), np.uint8), exemplar, schema)

    def paint(self, instance: MaskInstance, variant: Variant, piece: Piece) -> None:
        rows, columns = piece.mask.shape
        box = (slice(piece.top, piece.top + rows), slice(piece.left, piece.left + columns))
        self.defects[box][piece.mask] = instance.class_id
        if self.schema and self.exemplar and instance.appearance:
            self.exemplar.paste(instance.appearance, variant, piece, self.schema)


def _weights(instances: Sequence[MaskInstance]) -> NDArray[np.float64]:
    """Return how likely each is drawn: images evenly, in one image in proportion to the area.

    The specks around a splash, which are many, are then rarely drawn alone.
    """
    areas = [int(i.mask.sum()) for i in instances]
    totals: dict[str, float] = defaultdict(float)
    for instance, area in zip(instances, areas, strict=True):
        totals[instance.file_name] += area
    weights: NDArray[np.float64] = areas / np.array([totals[i.file_name] for i in instances])
    return weights


def _view_corner(
    piece: Piece, size: tuple[int, int], layout: Layout, rng: np.random.Generator
) -> tuple[int, int]:
    """Return where in the layout a view begins that holds all of a piece."""
    ends = zip((piece.top, piece.left), piece.mask.shape, size, layout.shape, strict=True)
    top, left = (_window(rng, *values) for values in ends)
    return top, left


def _window(rng: np.random.Generator, start: int, size: int, limit: int, whole: int) -> int:
    """Return where a window of ``limit`` pixels begins that holds all of the mask."""
    return int(rng.integers(max(0, start + size - limit), min(start, whole - limit) + 1))
