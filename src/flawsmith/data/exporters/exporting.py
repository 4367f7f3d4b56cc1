"""Exporting a data set in any format: the work that all exporters share."""

from pathlib import Path

from flawsmith.config import StrictModel
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.exporters.base import EXPORTERS, Progress
from flawsmith.errors import FlawsmithError
from flawsmith.storage import new_folder


class ExportReport(StrictModel):
    """What an export did.

    Attributes:
        format: name of the exporter.
        images: how many were written.
        left_out: reason and number of the images that were not.
        losses: a sentence for everything that the format cannot hold.
    """

    format: str
    images: int
    left_out: dict[str, int]
    losses: list[str]


def export_dataset(
    dataset: DefectDataset, out: Path, format: str, progress: Progress | None = None
) -> ExportReport:
    """Write a data set in another format, whole or not at all; images are copied byte for byte.

    Excluded images are left out: most formats would call them good.

    Args:
        dataset: stays as it is.
        out: the folder to make.
        format: a name in `EXPORTERS`.
        progress: called for a progress bar.

    Raises:
        FlawsmithError: if there is no such format or no image to write, ``out`` is taken, or a
            file cannot be read or written.
    """
    exporter = EXPORTERS.get(format)()
    usable = dataset.usable()
    left_out = {"excluded": len(dataset) - len(usable)}
    chosen = usable
    if not exporter.holds_weak_labels:
        chosen = usable.with_records([r for r in usable if not r.weak_labels])
        left_out["not labelled pixel by pixel"] = len(usable) - len(chosen)
    left_out = {reason: count for reason, count in left_out.items() if count}
    if not len(chosen):
        why = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "it is empty"
        raise FlawsmithError(f"{dataset.root} has no image that {format} can hold ({why})")
    losses = exporter.cannot_hold(chosen)
    with new_folder(out, what="export") as root:
        exporter.write(chosen, root, progress)
    return ExportReport(format=format, images=len(chosen), left_out=left_out, losses=losses)
