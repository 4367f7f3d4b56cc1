"""What is in a defect data set and what is wrong with it; small defects count like all others."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.check_report import (
    SMALL_REGION_PX,
    CheckReport,
    ClassFigures,
    Finding,
    Kind,
    SmallestRegion,
    Spread,
)
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.folds import part_defects
from flawsmith.data.images import ImageArray, LabelArray, read_image, read_index_mask
from flawsmith.data.schema import IGNORE, PixelSize, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.storage import PARTIAL

Areas = NDArray[np.int64]


@dataclass
class _Regions:
    """Regions of one class, gathered over the images in use: one array an image."""

    areas: list[Areas] = field(default_factory=list)
    small: list[NDArray[np.bool_]] = field(default_factory=list)
    smallest: SmallestRegion | None = None

    def add(self, file: str, inside: LabelArray) -> None:
        """Add the 8-connected components of an H x W mask of 0 and 1."""
        _, _, stats, centres = cv2.connectedComponentsWithStats(inside, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
        sides = stats[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
        self.areas.append(areas)
        self.small.append(sides.max(axis=1) < SMALL_REGION_PX)
        least = int(areas.argmin())
        if self.smallest is None or areas[least] < self.smallest.area_px:
            x, y = (round(float(value), 1) for value in centres[1 + least])
            self.smallest = SmallestRegion(file=file, area_px=int(areas[least]), x=x, y=y)


@dataclass
class _Tally:
    """What one pass over the images gathers; its size does not depend on the pixels."""

    regions: dict[int, _Regions]
    findings: list[Finding] = field(default_factory=list)
    sizes: Counter[str] = field(default_factory=Counter)
    pixel_types: Counter[str] = field(default_factory=Counter)

    def report(self, kind: Kind, file: str, message: str) -> None:
        self.findings.append(Finding(kind=kind, file=file, message=message))


def check(dataset: DefectDataset, progress: Callable[[], object] | None = None) -> CheckReport:
    """Read every file of a data set once; return its figures and what is wrong with it.

    Figures are over images in use; excluded images are counted, listed and their files checked.
    Regions come from masks that are readable and of the right size. A part is a physical piece, so
    synthetic images add images and regions, but no parts.

    Args:
        dataset: is not changed.
        progress: called after each image.
    """
    tally = _Tally({defect.id: _Regions() for defect in dataset.schema.defects})
    image_level = _is_image_level(dataset.records)
    for record in dataset.records:
        _check_image(dataset, record, tally)
        _check_masks(dataset, record, tally, image_level=image_level)
        if progress is not None:
            progress()
    _check_orphans(dataset, tally)
    _check_duplicates(dataset, tally)
    _check_whole(dataset, tally)
    return _summary(dataset, tally, image_level=image_level)


def _is_image_level(records: Iterable[ImageRecord]) -> bool:
    labelled = [record for record in records if record.labels]
    return bool(labelled) and not any(record.mask_file_name for record in labelled)


def _check_image(dataset: DefectDataset, record: ImageRecord, tally: _Tally) -> None:
    name = record.file_name
    try:
        path = dataset.path(name)
        pixels = read_image(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (FlawsmithError, OSError) as error:
        tally.report("unreadable_image", name, _relative(str(error), dataset.root))
        return
    height, width = pixels.shape[:2]
    tally.sizes[f"{width} x {height}"] += 1
    tally.pixel_types[_pixel_type(pixels)] += 1
    if digest != record.sha256:
        tally.report("changed_file", name, "not the file that was imported (its sha256 differs)")
    if (height, width) != (record.height, record.width):
        tally.report(
            "image_size",
            name,
            f"is {width} x {height} pixels, the metadata says {record.width} x {record.height}",
        )
    bits, expected = 8 * pixels.itemsize, dataset.schema.bit_depth
    if (bits == 8) != (expected == 8):
        tally.report("bit_depth", name, f"has {bits} bits a pixel, the schema says {expected}")


def _check_masks(
    dataset: DefectDataset, record: ImageRecord, tally: _Tally, *, image_level: bool
) -> None:
    schema = dataset.schema
    if record.background_file_name:
        _read_mask(dataset, record, record.background_file_name, schema.num_backgrounds - 1, tally)
    used = record.excluded is None
    strangers = [name for name in record.labels if name not in schema.defect_names]
    if strangers:
        message = f"labelled {', '.join(strangers)}, which the schema does not have"
        tally.report("unknown_label", record.file_name, message)
    if record.mask_file_name is None:
        if record.labels and used and not image_level:
            message = f"labelled {', '.join(record.labels)}, but it has no mask"
            tally.report("empty_mask", record.file_name, message)
        return
    mask = _read_mask(dataset, record, record.mask_file_name, schema.num_defects, tally)
    if mask is None or not used:
        return
    present = [defect for defect in schema.defects if (mask == defect.id).any()]
    _compare_labels(record, [defect.name for defect in present], mask, tally, schema)
    for defect in present:
        inside = (mask == defect.id).astype(np.uint8)
        tally.regions[defect.id].add(record.file_name, inside)


def _read_mask(
    dataset: DefectDataset, record: ImageRecord, name: str, highest: int, tally: _Tally
) -> LabelArray | None:
    """Return the indices, or None after reporting why there are none to count."""
    try:
        path = dataset.path(name)
        if not path.exists():
            tally.report("missing_mask", name, f"is gone; {record.file_name} refers to it")
            return None
        mask = read_index_mask(path)
    except FlawsmithError as error:
        tally.report("unreadable_mask", name, _relative(str(error), dataset.root))
        return None
    wrong = (mask > highest) & (mask != IGNORE)
    if wrong.any():
        y, x = np.argwhere(wrong)[0]
        tally.report(
            "mask_value",
            name,
            f"value {mask[y, x]} at x={x}, y={y} ({np.count_nonzero(wrong)} pixels); expected 0 to "
            f"{highest} or {IGNORE} (ignore)",
        )
    height, width = mask.shape
    if (height, width) != (record.height, record.width):
        size = f"{record.width} x {record.height}"
        tally.report("mask_size", name, f"is {width} x {height} pixels, its image is {size}")
        return None
    return mask


def _compare_labels(
    record: ImageRecord, present: Sequence[str], mask: LabelArray, tally: _Tally, schema: Schema
) -> None:
    absent = [n for n in record.labels if n in schema.defect_names and n not in present]
    silent = [name for name in present if name not in record.labels]
    if absent and not mask.any():
        message = f"labelled {', '.join(absent)}, but no pixel of {record.mask_file_name} is"
        tally.report("empty_mask", record.file_name, message)
    elif absent:
        message = f"labelled {', '.join(absent)}, which {record.mask_file_name} does not show"
        tally.report("label_not_in_mask", record.file_name, message)
    if silent:
        message = f"{record.mask_file_name} shows {', '.join(silent)}, which its labels leave out"
        tally.report("mask_not_in_labels", record.file_name, message)


def _check_orphans(dataset: DefectDataset, tally: _Tally) -> None:
    known = {r.file_name for r in dataset.records}
    known |= {r.mask_file_name for r in dataset.records if r.mask_file_name}
    known |= {r.background_file_name for r in dataset.records if r.background_file_name}
    kinds: dict[str, Kind] = {
        "images": "orphaned_image",
        "masks": "orphaned_mask",
        "backgrounds": "orphaned_mask",
    }
    for folder, kind in kinds.items():
        for name in _files(dataset.root, folder):
            if name not in known:
                tally.report(kind, name, "no line of metadata.jsonl refers to it")


def _files(root: Path, folder: str) -> Iterator[str]:
    for path in sorted((root / folder).rglob("*")):
        # Hidden files belong to the operating system or to a writer at work.
        if path.is_file() and not path.name.startswith(".") and not path.name.endswith(PARTIAL):
            yield path.relative_to(root).as_posix()


def _check_duplicates(dataset: DefectDataset, tally: _Tally) -> None:
    first: dict[str, ImageRecord] = {}
    for record in dataset.records:
        if record.excluded is not None or record.source != "real":
            continue
        other = first.setdefault(record.sha256, record)
        if other.part != record.part:
            tally.report(
                "duplicate_image",
                record.file_name,
                f"the same file as {other.file_name}, yet parts {record.part} and {other.part}; "
                "give both one part, or one of them trains and the other tests",
            )


def _check_whole(dataset: DefectDataset, tally: _Tally) -> None:
    """Report what concerns parts, classes and the whole set; all of it is information."""
    for record in dataset.records:
        if record.excluded is not None:
            tally.report("excluded", record.file_name, record.excluded)
    used = dataset.usable()
    for part, records in used.parts().items():
        real = [record for record in records if record.source == "real"]
        good = [record for record in real if record.is_good]
        if good and len(good) < len(real):
            shown = next(record for record in real if record.labels)
            tally.report(
                "views_disagree",
                good[0].file_name,
                f"part {part}: {len(good)} of {len(real)} views show no defect, but "
                f"{shown.file_name} shows {', '.join(shown.labels)}",
            )
    labelled = {name for record in used for name in record.labels}
    for name in dataset.schema.defect_names:
        if name not in labelled:
            tally.report("empty_class", "", f"no image in use shows {name}")
    if len(tally.sizes) > 1:
        tally.report("several_sizes", "", f"the images have {len(tally.sizes)} sizes")
    if len(tally.pixel_types) > 1:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.pixel_types.items()))
        tally.report("several_pixel_types", "", f"the images differ: {kinds}")


def _summary(dataset: DefectDataset, tally: _Tally, *, image_level: bool) -> CheckReport:
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
        classes=classes,
        findings=sorted(tally.findings, key=lambda finding: (finding.kind, finding.file)),
    )


def _class_figures(
    counts: ClassFigures, found: _Regions | None, pixel: PixelSize | None
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


def _pixel_type(pixels: ImageArray) -> str:
    return f"{8 * pixels.itemsize}-bit {'grey' if pixels.ndim == 2 else 'RGB'}"


def _relative(message: str, root: Path) -> str:
    return message.replace(f"{root}/", "")
