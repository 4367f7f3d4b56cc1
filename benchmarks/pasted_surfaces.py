"""Do models learn the seam of a paste? Good surface pasted as copy-paste pastes defects.

Shapes of real training defects are pasted into good test images at random places: once filled with
the surface of another good part, once with the defect itself. A model that took the seam of a
paste for a defect would find the surface too. Counted are places where a tenth of the shape and
more is called a defect, before and after.

    python benchmarks/pasted_surfaces.py RUN [RUN ...]
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from threshold_rules import Opened, opened

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import BoolArray, from_unit, to_unit
from flawsmith.experiment.inspection_model import load_thresholds
from flawsmith.inspection.thresholds import Thresholds, classify
from flawsmith.systems.copy_paste import CopyPasteBlend, paste

Floats = NDArray[np.float32]
SIDE = 128
PLACES_A_PART = 3
MARGIN = 10
"""Pixels around a shape whose surroundings are pasted along, for the tone."""
LARGEST_SHAPE = 0.5
"""Of the tile: larger ones leave no ring to see the tone by."""
TRIES = 10_000
"""Tiles drawn before a run is said to have no shape that fits."""


@dataclass(frozen=True)
class Place:
    """Where something is pasted.

    Attributes:
        image: in [-1, 1], H x W x C.
        window: of the tile in it.
        shape: SIDE x SIDE.
        fillings: SIDE x SIDE x C tiles: a surface and a defect.
    """

    image: Floats
    window: tuple[slice, slice]
    shape: BoolArray
    fillings: tuple[Floats, Floats]


def pixels_of(dataset: DefectDataset, record: ImageRecord) -> Floats:
    """Return H x W x C in [-1, 1]."""
    return to_unit(dataset.image(record), dataset.schema) * 2.0 - 1.0


def random_window(shape: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, slice]:
    """Return a tile anywhere in an image."""
    top, left = (int(rng.integers(side - SIDE + 1)) for side in shape[:2])
    return slice(top, top + SIDE), slice(left, left + SIDE)


def random_shape(
    dataset: DefectDataset, defective: list[ImageRecord], rng: np.random.Generator
) -> tuple[BoolArray, Floats]:
    """Return a tile of a defect's pixels, and its picture.

    Raises:
        SystemExit: if none fits.
    """
    for _ in range(TRIES):
        record = defective[int(rng.integers(len(defective)))]
        mask, image = dataset.label_map(record).defects > 0, pixels_of(dataset, record)
        if min(mask.shape) < SIDE:
            continue
        window = random_window(mask.shape, rng)
        if 0 < mask[window].mean() <= LARGEST_SHAPE:
            return mask[window], image[window]
    raise SystemExit(f"no defect of the training parts fits into half a tile of {SIDE} px")


def places(run: Opened, seed: int) -> Iterator[Place]:
    """Yield places in good test images.

    Raises:
        SystemExit: if there are not two.
    """
    rng = np.random.default_rng(seed)
    defective = [record for record in run.training if not record.is_good]
    records = {r.part: r for r in run.test if r.is_good}.values()
    images = [pixels_of(run.dataset, record) for record in records]
    good = [image for image in images if min(image.shape[:2]) >= SIDE]
    if len(good) < 2:
        raise SystemExit(f"needs two good test parts with images of {SIDE} px and more")
    for index, image in enumerate(good):
        others = good[:index] + good[index + 1 :]
        for _ in range(PLACES_A_PART):
            shape, defect = random_shape(run.dataset, defective, rng)
            other = others[int(rng.integers(len(others)))]
            surface = other[random_window(other.shape, rng)]
            yield Place(image, random_window(image.shape, rng), shape, (surface, defect))


def filled(place: Place, filling: Floats) -> Floats:
    """Return the image with the shape filled."""
    around = np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8)
    known = cv2.dilate(place.shape.astype(np.uint8), around).astype(bool)
    image = place.image.copy()
    image[place.window] = paste(
        image[place.window], filling, place.shape, known, CopyPasteBlend(), np.random.default_rng(0)
    )
    return image


def found(run: Opened, thresholds: Thresholds, place: Place, image: Floats) -> bool:
    """Tell whether the model calls a tenth of the shape and more a defect."""
    pixels = from_unit((image + 1.0) / 2.0, run.dataset.schema)
    called = classify(run.model.predict(pixels), thresholds)
    return bool((called[place.window][place.shape] > 0).mean() >= 0.1)


def row(path: Path, seed: int) -> str:
    """Return a run's row of the table."""
    run, thresholds = opened(path), load_thresholds(path)
    counts, total = np.zeros(3, int), 0
    for place in places(run, seed):
        images = [place.image, *(filled(place, filling) for filling in place.fillings)]
        counts += [found(run, thresholds, place, image) for image in images]
        total += 1
    return f"| {run.head} | {total} | {' | '.join(map(str, counts))} |"


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| arm | fold | places | as they are | with surface | with a defect |")
    print("|---|---|---|---|---|---|")
    for run in arguments.runs:
        print(row(run, arguments.seed), flush=True)


if __name__ == "__main__":
    main()
