"""What is in a defect data set and what is wrong with it; small defects count like all others."""

from collections.abc import Callable, Iterable

import numpy as np

from flawsmith.data.check_report import CheckReport
from flawsmith.data.checks import alignment, quality
from flawsmith.data.checks.crumbs import tiny_regions
from flawsmith.data.checks.figures import summary
from flawsmith.data.checks.files import (
    check_duplicates,
    check_image,
    check_masks,
    check_orphans,
)
from flawsmith.data.checks.names import judge_names
from flawsmith.data.checks.pieces import judge_pieces
from flawsmith.data.checks.tally import Regions, Tally
from flawsmith.data.checks.view_labels import PartViews
from flawsmith.data.checks.whole import check_whole
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, LabelArray
from flawsmith.data.parts import stored_views
from flawsmith.data.schema import Schema
from flawsmith.data.views import Views
from flawsmith.errors import FlawsmithError

__all__ = ["check"]


def check(dataset: DefectDataset, progress: Callable[[], object] | None = None) -> CheckReport:
    """Read every file of a data set once; return its figures and what is wrong with it.

    Figures are over images in use; excluded images are counted, listed and their files checked.
    What an earlier comparison of the images found (`dataset_views`) is used if it is still valid.
    Regions come from masks that are readable and of the right size. A part is a physical piece, so
    synthetic images add images and regions, but no parts.

    Args:
        dataset: is not changed.
        progress: called after each image.
    """
    tally = Tally({defect.id: Regions() for defect in dataset.schema.defects})
    image_level = _is_image_level(dataset.records)
    # Part by part: views of one part are compared, and only one part is held in memory.
    for records in dataset.parts().values():
        part = PartViews.of(records)
        for record in records:
            pixels = check_image(dataset, record, tally)
            mask = check_masks(dataset, record, tally, image_level=image_level)
            if pixels is not None and record.excluded is None and record.source == "real":
                _measure(record, pixels, mask, dataset.schema, tally)
                if part is not None and mask is not None:
                    part.add(record, pixels, mask, dataset.schema.num_defects)
            if progress is not None:
                progress()
        differing = part.compare(dataset.schema) if part is not None else None
        if differing is not None:
            tally.findings.append(differing)
    check_orphans(dataset, tally)
    check_duplicates(dataset, tally)
    check_whole(dataset, tally)
    _judge(dataset, tally)
    return summary(dataset, tally, image_level=image_level)


def _measure(
    record: ImageRecord, pixels: ImageArray, mask: LabelArray | None, schema: Schema, tally: Tally
) -> None:
    tally.qualities.append(quality.measure(record.file_name, record.view, pixels, schema))
    if mask is not None:
        tally.supports += alignment.measure(record, pixels, mask, schema)


def _judge(dataset: DefectDataset, tally: Tally) -> None:
    """Report what shows only against the rest of the set."""
    areas = {
        defect.name: np.concatenate(tally.regions[defect.id].areas)
        for defect in dataset.schema.defects
        if tally.regions[defect.id].areas
    }
    tally.findings += alignment.misaligned(tally.supports)
    tally.findings += quality.outliers(tally.qualities)
    tally.findings += tiny_regions(tally.crumbs, areas)
    tally.findings += judge_names(dataset.schema.defect_names)
    views = _stored_views(dataset)
    tally.compared = views is not None or sum(r.source == "real" for r in dataset) < 2
    if views is not None:
        tally.findings += judge_pieces(dataset, views)


def _stored_views(dataset: DefectDataset) -> Views | None:
    try:
        return stored_views(dataset)
    except FlawsmithError:
        return None  # of another version; comparing again replaces it


def _is_image_level(records: Iterable[ImageRecord]) -> bool:
    labelled = [record for record in records if record.labels]
    return bool(labelled) and not any(record.mask_file_name for record in labelled)
