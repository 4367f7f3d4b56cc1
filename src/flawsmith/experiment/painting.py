"""Custom defects (Figure 11): the user's shape and type, on the user's background."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from flawsmith.data.dataset import DatasetWriter, LabelMap
from flawsmith.data.images import ImageArray
from flawsmith.data.latent import read_painting
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.synthesis import to_pixels
from flawsmith.storage import new_folder
from flawsmith.systems.base import SampleRequest
from flawsmith.systems.load import Synthesizer, load_synthesizer


@dataclass(frozen=True)
class Painted:
    """Synthetic images of one drawing.

    Attributes:
        label_map: what was drawn.
        images: one a seed, of the size of the drawing.
        mask_source: how the label of the images came about; conditioning for a drawing.
    """

    label_map: LabelMap
    images: list[ImageArray]
    seeds: list[int]
    mask_source: str
    synthesizer: Synthesizer


def paint(run: Path, drawing: Path, background: int, seeds: Sequence[int]) -> Painted:
    """Return an image for each seed that shows what was drawn.

    Args:
        run: folder of a trained synthesizer.
        drawing: a PNG as `flawsmith.data.latent.read_painting` takes it.
        background: id of the background where the drawing names none.
        seeds: of the noise.

    Raises:
        FlawsmithError: if the run has no checkpoint, its system needs real pixels, or the drawing
            is wrong.
    """
    synthesizer = load_synthesizer(run)
    if synthesizer.system.needs:
        raise FlawsmithError(
            f"{synthesizer.name} builds on real pixels and cannot paint a drawing; give the run "
            "of a system that paints all of the image, such as dbs_gan"
        )
    return paint_label_map(
        synthesizer, read_painting(drawing, synthesizer.schema, background), seeds
    )


def paint_label_map(synthesizer: Synthesizer, label_map: LabelMap, seeds: Sequence[int]) -> Painted:
    """Return an image of any size for each seed.

    The networks need multiples of some size: the edge is continued up to it and cropped off again.
    """
    height, width = label_map.defects.shape
    multiple = synthesizer.system.size_multiple
    edges = ((0, -height % multiple), (0, -width % multiple))
    request = SampleRequest(
        *(
            torch.from_numpy(np.pad(indices, edges, mode="edge")).long()[None]
            for indices in (label_map.defects, label_map.backgrounds)
        )
    )
    images, mask_source = [], "conditioning"
    for seed in seeds:  # one by one: a drawing may be as large as a line-scan frame
        samples = synthesizer.sample(request, torch.tensor([seed]))
        images.append(to_pixels(samples, 0, synthesizer.schema)[:height, :width])
        mask_source = samples.mask_source
    return Painted(label_map, images, list(seeds), mask_source, synthesizer)


def write_painted(painted: Painted, out: Path) -> None:
    """Write the images of a drawing as a defect data set, whole or not at all.

    Raises:
        FlawsmithError: if ``out`` holds something already.
    """
    synthesizer = painted.synthesizer
    with (
        new_folder(out, what="painted images") as folder,
        DatasetWriter(folder, synthesizer.schema) as writer,
    ):
        for index, (image, seed) in enumerate(zip(painted.images, painted.seeds, strict=True)):
            writer.add(
                f"painted-{index:03d}",
                image,
                painted.label_map,
                part=f"painted-{index}",
                source="synthetic",
                system=synthesizer.name,
                run=synthesizer.run,
                seed=seed,
                mask_source=painted.mask_source,
            )
