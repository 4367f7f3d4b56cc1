"""The newest sample of each class as single files, for the report."""

from pathlib import Path

from flawsmith.data.images import write_image, write_index_mask
from flawsmith.data.schema import Schema
from flawsmith.systems.base import Samples
from flawsmith.training.sheets import to_picture


def write_gallery(folder: Path, samples: Samples, index: int, schema: Schema) -> None:
    """Write the newest sample of a class as files of its own, for the report.

    One that is labelled as a whole has no label map.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if samples.mask_source != "none":
        write_index_mask(
            folder / "label.png", samples.defects[index].byte().cpu().numpy(), schema.palette()
        )
    for name, images in {"synthetic": samples.images, **samples.layers}.items():
        write_image(folder / f"{name.lower()}.png", to_picture(images[index].float().cpu().numpy()))
