"""Whether images and masks are there, readable, and agree with their lines of the metadata."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from flawsmith.data.check_report import Kind
from flawsmith.data.checks.tally import Tally
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, LabelArray, read_image, read_index_mask
from flawsmith.data.schema import IGNORE, Schema
from flawsmith.errors import FlawsmithError
from flawsmith.storage import PARTIAL


def check_image(dataset: DefectDataset, record: ImageRecord, tally: Tally) -> ImageArray | None:
    """Compare an image with its line of the metadata; return its pixels if they have its size."""
    name = record.file_name
    try:
        path = dataset.path(name)
        pixels = read_image(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (FlawsmithError, OSError) as error:
        tally.report("unreadable_image", name, _relative(str(error), dataset.root))
        return None
    height, width = pixels.shape[:2]
    tally.sizes[f"{width} x {height}"] += 1
    tally.pixel_types[_pixel_type(pixels)] += 1
    if digest != record.sha256:
        tally.report("changed_file", name, "not the file that was imported (its sha256 differs)")
    fits = (height, width) == (record.height, record.width)
    if not fits:
        tally.report(
            "image_size",
            name,
            f"is {width} x {height} pixels, the metadata says {record.width} x {record.height}",
        )
    bits, expected = 8 * pixels.itemsize, dataset.schema.bit_depth
    if (bits == 8) != (expected == 8):
        tally.report("bit_depth", name, f"has {bits} bits a pixel, the schema says {expected}")
    return pixels if fits else None


def check_masks(
    dataset: DefectDataset, record: ImageRecord, tally: Tally, *, image_level: bool
) -> LabelArray | None:
    """Compare the masks of an image with its labels; return that of the defects if it counts."""
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
        return None
    mask = _read_mask(dataset, record, record.mask_file_name, schema.num_defects, tally)
    if mask is None or not used:
        return None
    present = [defect for defect in schema.defects if (mask == defect.id).any()]
    _compare_labels(record, [defect.name for defect in present], mask, tally, schema)
    for defect in present:
        inside = (mask == defect.id).astype(np.uint8)
        for area, box in tally.regions[defect.id].add(record.file_name, inside):
            crumbs = tally.crumbs.setdefault(record.file_name, [])
            crumbs.append((defect.name, area, box))
    return mask


def _read_mask(
    dataset: DefectDataset, record: ImageRecord, name: str, highest: int, tally: Tally
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
    record: ImageRecord, present: Sequence[str], mask: LabelArray, tally: Tally, schema: Schema
) -> None:
    known = [n for n in record.labels if n in schema.defect_names]
    absent = [n for n in known if n not in present and n not in record.weak_labels]
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


def check_orphans(dataset: DefectDataset, tally: Tally) -> None:
    """Report files that no line of the metadata refers to."""
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


def check_duplicates(dataset: DefectDataset, tally: Tally) -> None:
    """Report one file in two parts."""
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
                others=[other.file_name],
            )


def _pixel_type(pixels: ImageArray) -> str:
    return f"{8 * pixels.itemsize}-bit {'grey' if pixels.ndim == 2 else 'RGB'}"


def _relative(message: str, root: Path) -> str:
    return message.replace(f"{root}/", "")
