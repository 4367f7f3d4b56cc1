"""The figures of a data set."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawsmith.data.check_report import CheckReport, ClassFigures, Spread
from flawsmith.data.checks.tally import Regions, Tally
from flawsmith.data.dataset import DefectDataset
from flawsmith.data.folds import part_defects
from flawsmith.data.schema import PixelSize


def summary(dataset: DefectDataset, tally: Tally, *, image_level: bool) -> CheckReport:
    """Return the report: figures over the images in use, and the findings in order."""
    used = dataset.usable()
    defects_of = part_defects(used)
    good = sum(record.is_good for record in used)
    good_parts = sum(not defects for defects in defects_of.values())
    views = Counter(record.part for record in used if record.source == "real")
    images = Counter(name for record in used for name in set(record.labels))
    parts = Counter(name for defects in defects_of.values() for name in defects)
    classes = [
        _class_figures(
            ClassFigures(name=d.name, images=images[d.name], parts=parts[d.name]),
            None if image_level else tally.regions[d.id],
            dataset.schema.pixel_size_mm,
        )
        for d in dataset.schema.defects
    ]
    return CheckReport(
        name=dataset.schema.name,
        simulated=dataset.schema.simulated,
        images=len(dataset),
        synthetic_images=sum(record.source == "synthetic" for record in dataset),
        excluded_images=len(dataset) - len(used),
        parts=len(defects_of),
        views=len({record.view for record in used if record.view}),
        views_per_part=_spread(np.array(list(views.values()))) if views else None,
        good_images=good,
        good_parts=good_parts,
        defective_images=len(used) - good,
        defective_parts=len(defects_of) - good_parts,
        image_level=image_level,
        imbalance_images=_imbalance(figures.images for figures in classes),
        imbalance_parts=_imbalance(figures.parts for figures in classes),
        sizes=dict(tally.sizes.most_common()),
        pixel_types=dict(tally.pixel_types.most_common()),
        compared=tally.compared,
        classes=classes,
        findings=sorted(tally.findings, key=lambda finding: (finding.kind, finding.file)),
    )


def _class_figures(
    counts: ClassFigures, found: Regions | None, pixel: PixelSize | None
) -> ClassFigures:
    if found is None:
        return counts
    if not found.areas:
        return counts.model_copy(update={"regions": 0})
    areas = np.concatenate(found.areas)
    diameters = np.sqrt(4.0 * areas / np.pi)
    square_mm = pixel.x * pixel.y if pixel else None
    figures = {
        "regions": len(areas),
        "area_px": _spread(areas),
        "diameter_px": _spread(diameters),
        "area_mm2": _spread(areas * square_mm) if square_mm else None,
        "diameter_mm": _spread(diameters * np.sqrt(square_mm)) if square_mm else None,
        "smallest": found.smallest,
        "small_share": float(np.concatenate(found.small).mean()),
        "small_image_share": float(np.mean([small.all() for small in found.small])),
    }
    return counts.model_copy(update=figures)


def _spread(values: NDArray[Any]) -> Spread:
    return Spread(
        minimum=float(values.min()), median=float(np.median(values)), maximum=float(values.max())
    )


def _imbalance(counts: Iterable[int]) -> float | None:
    present = [count for count in counts if count]
    return max(present) / min(present) if present else None
