"""Where drawn defects are painted, and the view of a layout that shows them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from flawsmith.data.images import LabelArray
from flawsmith.data.mask_bank.appearance import Exemplar
from flawsmith.data.mask_bank.instances import MaskInstance
from flawsmith.data.mask_bank.layouts import Layout
from flawsmith.data.mask_bank.shapes import Piece, Variant
from flawsmith.data.schema import Schema


@dataclass(frozen=True)
class Canvas:
    """Where the drawn defects are painted; with pictures if the schema is given."""

    defects: LabelArray
    exemplar: Exemplar | None
    schema: Schema | None

    @classmethod
    def empty(cls, height: int, width: int, schema: Schema | None) -> Self:
        """Return one that shows no defect yet."""
        exemplar = Exemplar.empty(height, width, schema.channels) if schema else None
        return cls(np.zeros((height, width), np.uint8), exemplar, schema)

    def paint(self, instance: MaskInstance, variant: Variant, piece: Piece) -> None:
        """Add a varied defect in its place, and its picture."""
        rows, columns = piece.mask.shape
        box = (slice(piece.top, piece.top + rows), slice(piece.left, piece.left + columns))
        if self.schema and self.exemplar and instance.appearance:
            others = self.defects > 0
            self.exemplar.paste(instance.appearance, variant, piece, self.schema, others)
        self.defects[box][piece.mask] = instance.class_id


def view_corner(
    piece: Piece, size: tuple[int, int], layout: Layout, rng: np.random.Generator
) -> tuple[int, int]:
    """Return where in the layout a view begins that holds all of a piece."""
    ends = zip((piece.top, piece.left), piece.mask.shape, size, layout.shape, strict=True)
    top, left = (_window(rng, *values) for values in ends)
    return top, left


def _window(rng: np.random.Generator, start: int, size: int, limit: int, whole: int) -> int:
    """Return where a window of ``limit`` pixels begins that holds all of the mask."""
    return int(rng.integers(max(0, start + size - limit), min(start, whole - limit) + 1))
