"""Pictures of what a classification model looked at, for the images that tell most."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, to_unit, write_image
from flawsmith.data.schema import Schema
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.metrics.evaluation import Activation
from flawsmith.metrics.image_testing import ScoredImages

FOLDER = "activation"
EXAMPLES = 2
"""Pictures of each class and kind."""
SIDE = 320
"""Pixels of a panel's longer side."""
GAP = 8
COVER = 0.65
Kind = Literal["found", "missed", "false"]


def save_activations(
    out: Path,
    dataset: DefectDataset,
    scored: ScoredImages,
    thresholds: Thresholds,
    activation: Callable[[ImageArray], NDArray[np.float32]],
) -> list[Activation]:
    """Write the pictures of a test into ``activation/`` and return what they show.

    For each class up to `EXAMPLES` images of each kind, of different parts: found, the highest
    scores first; missed, the lowest first; false, the highest first. A picture is a PNG with the
    image on the left and the same under the class's map on the right.

    Args:
        out: folder of the test's figures.
        dataset: of the images.
        scored: the tested images.
        thresholds: one for each class, in ``pixel``.
        activation: an image to K x H x W maps in [0, 1].
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    made = []
    for index, defect in enumerate(dataset.schema.defects):
        threshold = thresholds.pixel[index]
        for kind, rank, record, score in _examples(scored, index, threshold):
            image = dataset.image(record)
            name = f"{FOLDER}/{defect.id:03d}-{kind}-{rank}.png"
            write_image(out / name, picture(image, activation(image)[index], dataset.schema))
            made.append(
                Activation(
                    image=record.file_name,
                    defect=defect.name,
                    kind=kind,
                    score=score,
                    threshold=threshold,
                    picture=name,
                )
            )
    return made


def _examples(
    scored: ScoredImages, index: int, threshold: float
) -> Iterator[tuple[Kind, int, ImageRecord, float]]:
    """Yield (kind, rank from 1, record, score) of one class."""
    scores, truth = scored.scores[:, index], scored.truth[:, index]
    found = scores >= threshold
    groups: list[tuple[Kind, NDArray[np.bool_], int]] = [
        ("found", truth & found, -1),
        ("missed", truth & ~found, 1),
        ("false", ~truth & found, -1),
    ]
    for kind, which, sign in groups:
        seen: set[str] = set()
        for row in np.flatnonzero(which)[np.argsort(sign * scores[which], kind="stable")]:
            record = scored.records[row]
            if record.part in seen or len(seen) == EXAMPLES:
                continue
            seen.add(record.part)
            yield kind, len(seen), record, float(scores[row])


def picture(image: ImageArray, heat: NDArray[np.float32], schema: Schema) -> NDArray[np.uint8]:
    """Return an RGB picture: the image, a white gap, and the image under its map.

    Args:
        image: as stored.
        heat: H x W in [0, 1]; 0 leaves the image as it is, 1 covers most of it with yellow.
        schema: says which values are black and white.
    """
    grey = to_unit(image, schema)
    colour = np.repeat(grey, 3, axis=2) if grey.shape[2] == 1 else grey
    height, width = colour.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    smooth = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left = cv2.resize(colour, size, interpolation=smooth)
    there = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR)
    painted = cv2.applyColorMap(np.round(there * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    share = COVER * there[..., None]
    right = left * (1 - share) + share * painted[..., ::-1].astype(np.float32) / 255
    gap = np.ones((size[1], GAP, 3), np.float32)
    return np.round(np.hstack([left, gap, right]) * 255).astype(np.uint8)
