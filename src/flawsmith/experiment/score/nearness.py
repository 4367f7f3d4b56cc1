"""PSNR and SSIM of rebuilt tiles by class, near the defect and over the tile."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.schema import Schema
from flawsmith.experiment.score.crops import Place
from flawsmith.experiment.score.facts import ClassReconstruction, Estimate, Nearness
from flawsmith.experiment.score.figures import RESAMPLES, averaged, percentiles
from flawsmith.metrics.generation import FloatArray, psnr, ssim_map
from flawsmith.metrics.generation.reconstruction import RADIUS

MARGIN = 8
"""Pixels round a mask that count as near it: labels are seldom exact, and seams lie beside them."""

HIGHEST_PSNR = 60.0
"""In dB. Rounding to 8 bits alone costs 58.9; equal tiles, of infinite PSNR, count as this."""

Floats = NDArray[np.float32]
Area = Literal["near", "whole"]
Figure = Literal["psnr", "ssim", "psnr_before", "ssim_before"]
AREAS: tuple[Area, ...] = ("near", "whole")
FIGURES: tuple[Figure, ...] = ("psnr", "ssim", "psnr_before", "ssim_before")


@dataclass(frozen=True)
class Compared:
    """The figures of one tile; NaN where one is not defined."""

    class_id: int
    part: str
    values: dict[tuple[Area, Figure], float]


def compare(
    place: Place,
    mask: NDArray[np.bool_],
    known: NDArray[np.bool_],
    real: Floats,
    rebuilt: Floats,
    before: Floats | None,
) -> Compared:
    """Return the figures of a tile.

    Args:
        place: its defect.
        mask: H x W, the defect's class.
        known: H x W, real and labelled pixels; others count for nothing.
        real: H x W x C in [0, 1].
        rebuilt: the same.
        before: what it was painted on, or None.
    """
    side = 2 * MARGIN + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    near = cv2.dilate(mask.astype(np.uint8), disc).astype(bool)
    values: dict[tuple[Area, Figure], float] = {}
    for image, names in ((rebuilt, FIGURES[:2]), (before, FIGURES[2:])):
        if image is None:
            continue
        similar = ssim_map(real, image)
        for area, where in zip(AREAS, (near & known, known), strict=True):
            inner = where[RADIUS:-RADIUS, RADIUS:-RADIUS]
            error = psnr(real[where], image[where]) if where.any() else np.nan
            values[area, names[0]] = min(error, HIGHEST_PSNR)
            values[area, names[1]] = float(similar[inner].mean()) if inner.any() else np.nan
    return Compared(place.class_id, place.part, values)


def summarise(
    schema: Schema, compared: Sequence[Compared], seed: int
) -> tuple[list[ClassReconstruction], ClassReconstruction]:
    """Return the means of each class, and over classes, with intervals over parts."""
    classes = []
    drawn: dict[tuple[Area, Figure], list[FloatArray]] = {}
    for defect in schema.defects:
        own = [c for c in compared if c.class_id == defect.id]
        estimates = {}
        for area in AREAS:
            for name in FIGURES:
                values = [c.values.get((area, name), np.nan) for c in own]
                estimate, replicates = mean_over_parts(values, [c.part for c in own], seed)
                estimates[area, name] = estimate
                drawn.setdefault((area, name), []).append(replicates)
        classes.append(
            ClassReconstruction(
                name=defect.name,
                colour=defect.colour,
                tiles=len(own),
                parts=len({c.part for c in own}),
                near=Nearness(**{n: estimates["near", n] for n in FIGURES}),
                whole=Nearness(**{n: estimates["whole", n] for n in FIGURES}),
            )
        )
    return classes, ClassReconstruction(
        name="all classes",
        tiles=len(compared),
        parts=len({c.part for c in compared}),
        near=_over_classes(classes, drawn, "near"),
        whole=_over_classes(classes, drawn, "whole"),
    )


def mean_over_parts(
    values: Sequence[float], parts: Sequence[str], seed: int
) -> tuple[Estimate | None, FloatArray]:
    """Return the mean over tiles with its interval over parts, and the bootstrap behind it.

    Args:
        values: of the tiles; NaN counts as absent.
        parts: of the tiles: those of a drawn part are drawn together.
        seed: of the resampling.
    """
    kept = [(part, value) for part, value in zip(parts, values, strict=True) if value == value]
    if not kept:
        return None, np.empty(0)
    names, rows = np.unique(np.array([part for part, _ in kept]), return_inverse=True)
    own = np.array([value for _, value in kept])
    sums, counts = np.bincount(rows, weights=own), np.bincount(rows)
    value = float(own.mean())
    if len(names) < 2:
        return Estimate(value=value), np.empty(0)
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    replicates = (weights @ sums) / (weights @ counts)
    return Estimate(value=value, interval=percentiles(replicates)), replicates


def _over_classes(
    classes: Sequence[ClassReconstruction],
    drawn: dict[tuple[Area, Figure], list[FloatArray]],
    area: Area,
) -> Nearness:
    """Return the means over the classes that have a figure: each counts the same."""
    return Nearness(
        **{n: averaged([getattr(getattr(c, area), n) for c in classes], drawn[area, n])
           for n in FIGURES}
    )  # fmt: skip
