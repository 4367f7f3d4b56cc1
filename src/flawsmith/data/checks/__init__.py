"""What is in a defect data set and what is wrong with it; small defects count like all others."""

from collections.abc import Callable, Iterable

from flawsmith.data.check_report import CheckReport
from flawsmith.data.checks.figures import summary
from flawsmith.data.checks.files import (
    check_duplicates,
    check_image,
    check_masks,
    check_orphans,
)
from flawsmith.data.checks.tally import Regions, Tally
from flawsmith.data.checks.whole import check_whole
from flawsmith.data.dataset import DefectDataset, ImageRecord

__all__ = ["check"]


def check(dataset: DefectDataset, progress: Callable[[], object] | None = None) -> CheckReport:
    """Read every file of a data set once; return its figures and what is wrong with it.

    Figures are over images in use; excluded images are counted, listed and their files checked.
    Regions come from masks that are readable and of the right size. A part is a physical piece, so
    synthetic images add images and regions, but no parts.

    Args:
        dataset: is not changed.
        progress: called after each image.
    """
    tally = Tally({defect.id: Regions() for defect in dataset.schema.defects})
    image_level = _is_image_level(dataset.records)
    for record in dataset.records:
        check_image(dataset, record, tally)
        check_masks(dataset, record, tally, image_level=image_level)
        if progress is not None:
            progress()
    check_orphans(dataset, tally)
    check_duplicates(dataset, tally)
    check_whole(dataset, tally)
    return summary(dataset, tally, image_level=image_level)


def _is_image_level(records: Iterable[ImageRecord]) -> bool:
    labelled = [record for record in records if record.labels]
    return bool(labelled) and not any(record.mask_file_name for record in labelled)
