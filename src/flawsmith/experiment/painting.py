"""Custom defects (Figure 11): the user's shape and type, on the user's background."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from flawsmith.data.dataset import DatasetWriter, LabelMap
from flawsmith.data.images import ImageArray, read_image, to_unit
from flawsmith.data.latent import read_painting
from flawsmith.data.schema import Schema
from flawsmith.errors import FlawsmithError
from flawsmith.experiment.synthesis import to_pixels
from flawsmith.storage import new_folder
from flawsmith.systems.base import SampleRequest
from flawsmith.systems.load import Synthesizer, load_config, load_synthesizer

Floats = NDArray[np.float32]


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


def paint(
    run: Path,
    drawing: Path,
    background: int,
    seeds: Sequence[int],
    *,
    surface: Path | None = None,
) -> Painted:
    """Return an image for each seed that shows what was drawn.

    Args:
        run: folder of a trained synthesizer.
        drawing: a PNG as `flawsmith.data.latent.read_painting` takes it.
        background: id of the background where the drawing names none.
        seeds: of the noise.
        surface: a good image of the drawing's size, for systems that paint into a real surface.

    Raises:
        FlawsmithError: if the run has no checkpoint, its system needs other real pixels than
            those given, or the drawing is wrong.
    """
    if load_config(run).data.labels == "image":
        raise FlawsmithError(
            f"{run} learned from labels of whole images and cannot paint a drawing; train a system "
            "on masks, such as dbs_gan, or balance with: "
            f"flawsmith synthesize {run} --balance --data DATA"
        )
    synthesizer = load_synthesizer(run)
    needs = synthesizer.system.needs
    if "exemplars" in needs:
        raise FlawsmithError(
            f"{synthesizer.name} sets real defects and cannot paint a drawing; give the run of a "
            "system that paints, such as dbs_gan_real"
        )
    if (surface is None) == ("background_images" in needs):
        raise FlawsmithError(
            f"{synthesizer.name} paints into a real surface; give a good image with --on IMAGE"
            if surface is None
            else f"{synthesizer.name} paints all of the image; leave --on out"
        )
    label_map = read_painting(drawing, synthesizer.schema, background)
    pixels = None if surface is None else _read_surface(surface, label_map, synthesizer.schema)
    return paint_label_map(synthesizer, label_map, seeds, pixels)


def _read_surface(path: Path, label_map: LabelMap, schema: Schema) -> Floats:
    """Return a good image, H x W x C in [-1, 1], of the size of the drawing."""
    image = to_unit(read_image(path), schema)
    expected = (*label_map.defects.shape, schema.channels)
    if image.shape != expected:
        given, wanted = (f"{w} x {h} pixels, {c} channels" for h, w, c in (image.shape, expected))
        raise FlawsmithError(f"{path} has {given}; the drawing needs {wanted}")
    return image * np.float32(2) - np.float32(1)


def paint_label_map(
    synthesizer: Synthesizer,
    label_map: LabelMap,
    seeds: Sequence[int],
    surface: Floats | None = None,
) -> Painted:
    """Return an image of any size for each seed.

    The networks need multiples of some size: the edge is continued up to it and cropped off again.
    """
    height, width = label_map.defects.shape
    multiple = synthesizer.system.size_multiple
    edges = ((0, -height % multiple), (0, -width % multiple))
    defects, backgrounds = (
        torch.from_numpy(np.pad(indices, edges, mode="edge")).long()[None]
        for indices in (label_map.defects, label_map.backgrounds)
    )
    real = None
    if surface is not None:
        continued = np.pad(surface, (*edges, (0, 0)), mode="edge")
        real = torch.from_numpy(continued).permute(2, 0, 1)[None].contiguous()
    request = SampleRequest(defects, backgrounds, background_images=real)
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
