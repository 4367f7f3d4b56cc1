"""The mask bank: real defect masks of the training images, varied and placed where they occur.

What "where they occur" means is measured, not configured: over which backgrounds an instance lies,
and, for a class with enough parts, whether it keeps near the boundary of two backgrounds, to a
height or width in the image, or to a direction. Without such a habit it may lie anywhere on its
background.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord, LabelMap
from flawsmith.data.images import LabelArray
from flawsmith.data.mask_bank.appearance import DRAWN_MARGIN, Exemplar, Surface, surface_around
from flawsmith.data.mask_bank.canvas import Canvas, view_corner
from flawsmith.data.mask_bank.instances import (
    MaskInstance,
    equivalent_diameter,
    find_instances,
    has_grain,
    measure_habit,
)
from flawsmith.data.mask_bank.layouts import Layout
from flawsmith.data.mask_bank.new_shapes import NewShape, ShapeMaker, seat_shift
from flawsmith.data.mask_bank.placement import place, place_cut
from flawsmith.data.mask_bank.reservoir import Reservoir
from flawsmith.data.mask_bank.shapes import ELASTIC_SHARE, LARGEST_ELASTIC, Variant, Variation, vary
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
        self._makers: dict[int, ShapeMaker] = {}
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
        masks: dict[int, Reservoir[MaskInstance]] = {
            d.id: Reservoir(share, rng) for d in dataset.schema.defects
        }
        layouts: Reservoir[Layout] = Reservoir(max_bytes, rng)
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
        new_shapes: float = 0.0,
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
            surface: what it shall lie on; masks with pictures of the like are drawn more often.
            seat: the defect to draw and its place, where they are settled.
            new_shapes: share of the defects whose shape no image shows; pictures keep theirs.

        Raises:
            FlawsmithError: if the bank has no mask of the class, or the background map does not
                show what the class occurs on, or no mask can be scaled to the sizes.
        """
        instance = (
            seat.instance if seat else self.choose(rng, class_id, background_map, sizes, surface)
        )
        shape = self._new_shape(instance, rng, new_shapes, sizes, seated=seat is not None)
        variant = self._vary(instance, rng, height, width, sizes, shape, seated=seat is not None)
        if background_map is None:
            layout = self._layout(instance, rng, height, width).at_least(height, width, rng)
        else:
            layout = Layout.of(background_map, rng)
        habit = self.habits[class_id]
        piece = None if seat else place(instance, habit, variant.mask, layout, rng)
        anchor = _anchor(seat, shape, (height, width)) if seat else None
        piece = piece or place_cut(instance, habit, variant.mask, layout, rng, anchor=anchor)
        top, left = view_corner(piece, (height, width), layout, rng)
        view = np.ascontiguousarray(layout.backgrounds[top : top + height, left : left + width])
        canvas = Canvas.empty(height, width, self.schema if self.shows_pictures else None)
        piece = replace(piece, top=piece.top - top, left=piece.left - left)
        canvas.paint(instance, variant, piece)
        further = int(rng.integers(max_defects)) if max_defects > 1 else 0
        parents = [instance.file_name, *(shape.parents if shape else ())]
        parents += self._add_further(canvas, view, further, rng, sizes, new_shapes)
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
        shape: NewShape | None = None,
        *,
        seated: bool = False,
    ) -> Variant:
        pictured = instance.appearance is not None
        large = pictured and max(instance.mask.shape) > LARGE_PICTURE
        mask = shape.mask if shape else instance.mask
        diameter = equivalent_diameter(mask)
        share, limit = shape.elastic if shape else (ELASTIC_SHARE, LARGEST_ELASTIC)
        variation = Variation(
            upright=self.habits[instance.class_id].keeps_direction,
            seated=seated,
            keeps_grain=large and self.has_grain,
            scale=None if sizes is None else sizes.draw_scale(diameter, rng),
            largest_elastic=PICTURE_ELASTIC if large else limit,
            elastic_share=share,
            margin=DRAWN_MARGIN if pictured else None,
        )
        return vary(mask, rng, variation, height=height, width=width)

    def _new_shape(
        self,
        instance: MaskInstance,
        rng: np.random.Generator,
        share: float,
        sizes: SizeRange | None,
        *,
        seated: bool = False,
    ) -> NewShape | None:
        """Return a new shape for the instance, or None where it keeps its own."""
        # Nothing is drawn where none is wanted: the label maps stay what they always were.
        if share <= 0.0 or instance.appearance is not None or rng.random() >= share:
            return None
        class_id = instance.class_id
        if class_id not in self._makers:
            self._makers[class_id] = ShapeMaker(self.instances[class_id], self._weights[class_id])
        shape = self._makers[class_id].make(instance, rng, seated=seated)
        if shape is None or sizes is None:
            return shape
        return shape if sizes.reachable(np.array([equivalent_diameter(shape.mask)]))[0] else None

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
        canvas: Canvas,
        backgrounds: LabelArray,
        count: int,
        rng: np.random.Generator,
        sizes: SizeRange | None,
        new_shapes: float,
    ) -> list[str]:
        """Paint up to ``count`` further defects into free places; return their files."""
        parents = []
        height, width = canvas.defects.shape
        layout = Layout.of(backgrounds, rng) if count else None
        for _ in range(count):
            class_id = self.classes[int(rng.integers(len(self.classes)))]
            instance = self.choose(rng, class_id, None, sizes)
            shape = self._new_shape(instance, rng, new_shapes, sizes)
            variant = self._vary(instance, rng, height, width, sizes, shape)
            marked = (canvas.defects > 0).astype(np.uint8)
            occupied = cv2.dilate(marked, np.ones((5, 5), np.uint8)) > 0
            habit = self.habits[instance.class_id]
            piece = layout and place(instance, habit, variant.mask, layout, rng, occupied)
            if piece:
                canvas.paint(instance, variant, piece)
                parents += [instance.file_name, *(shape.parents if shape else ())]
        return parents


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


def _anchor(seat: Seat, shape: NewShape | None, size: tuple[int, int]) -> tuple[int, int]:
    """Return where the heart goes, so that a new shape touches the edges that the old one did."""
    if shape is None:
        return seat.anchor
    moved = np.add(seat.anchor, seat_shift(seat.instance, shape.mask))
    y, x = np.clip(moved, 0, np.array(size) - 1).tolist()
    return y, x
