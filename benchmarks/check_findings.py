"""How many spoilt masks and images `data check` finds, and how many sound ones it reports.

Every labelled image is measured as it is and with its mask moved by 6, 10 and 20 px in a random
direction (what leaves the image is cut off); a moved mask is judged as the only one among the
sound ones of its set. Classes whose own masks mostly run along no edge are never judged. Every
image in use is blurred (Gaussian, sigma 3 px), brightened 2.5 times and darkened by 100 of 255
levels; up to about 220 of each, evenly drawn, are judged as the only one in their set.

    python benchmarks/check_findings.py DATA...
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flawsmith.data.checks import alignment, quality, view_labels
from flawsmith.data.checks.alignment import Support
from flawsmith.data.checks.quality import Quality
from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.images import ImageArray, LabelArray, read_index_mask

SHIFTS = (6, 10, 20)
ALL_MOVED = (4, -8)


def moved(mask: LabelArray, x: int, y: int) -> LabelArray:
    """Return a mask moved right and down, cut off at the rim."""
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    size = (mask.shape[1], mask.shape[0])
    return cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST)


def blurred(pixels: ImageArray) -> ImageArray:
    """Return the image out of focus."""
    return cv2.GaussianBlur(pixels, (0, 0), 3)


def brightened(pixels: ImageArray) -> ImageArray:
    """Return the image over-exposed."""
    return np.clip(pixels * 2.5, 0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)


def darkened(pixels: ImageArray) -> ImageArray:
    """Return the image with its shadows cut off."""
    full = int(np.iinfo(pixels.dtype).max)
    return np.clip(pixels.astype(np.int64) - full * 100 // 255, 0, full).astype(pixels.dtype)


SPOILT: dict[str, Callable[[ImageArray], ImageArray]] = {
    "blurred": blurred, "brightened": brightened, "darkened": darkened,
}  # fmt: skip


class Measured:
    """Supports and qualities of a set, sound and spoilt, in the same order."""

    def __init__(self, dataset: DefectDataset) -> None:
        self.sound: list[Support] = []
        self.moved: dict[int, list[Support]] = {shift: [] for shift in SHIFTS}
        self.all_moved: list[Support] = []
        self.qualities: list[Quality] = []
        self.spoilt: dict[str, list[Quality]] = {name: [] for name in SPOILT}
        rng = np.random.default_rng(0)
        for record in dataset.usable():
            pixels = dataset.image(record)
            self._add_quality(record, pixels, dataset)
            if record.mask_file_name:
                mask = read_index_mask(dataset.path(record.mask_file_name))
                self._add_mask(record, pixels, mask, dataset, rng)

    def _add_quality(self, record: ImageRecord, pixels: ImageArray, dataset: DefectDataset) -> None:
        name, view, schema = record.file_name, record.view, dataset.schema
        self.qualities.append(quality.measure(name, view, pixels, schema))
        for title, spoil in SPOILT.items():
            self.spoilt[title].append(quality.measure(name, view, spoil(pixels), schema))

    def _add_mask(
        self,
        record: ImageRecord,
        pixels: ImageArray,
        mask: LabelArray,
        dataset: DefectDataset,
        rng: np.random.Generator,
    ) -> None:
        self.sound += alignment.measure(record, pixels, mask, dataset.schema)
        self.all_moved += alignment.measure(record, pixels, moved(mask, *ALL_MOVED), dataset.schema)
        for shift in SHIFTS:
            angle = rng.uniform(0, 2 * np.pi)
            x, y = round(shift * np.cos(angle)), round(shift * np.sin(angle))
            self.moved[shift] += alignment.measure(
                record, pixels, moved(mask, x, y), dataset.schema
            )


def found_alone(sound: Sequence[Support], spoilt: Support) -> bool:
    """Tell whether one moved mask is found among the sound ones."""
    name = spoilt.record.file_name
    others = [s for s in sound if s.record.file_name != name and s.defect == spoilt.defect]
    return any(f.file == name for f in alignment.misaligned([*others, spoilt]))


def report_masks(measured: Measured) -> None:
    """Print the shares of masks that are found, by class."""
    false = alignment.misaligned(measured.sound)
    files = {s.record.file_name for s in measured.sound}
    print(f"  sound masks: {len(false)} of {len(files)} images reported")
    for finding in false:
        print(f"    {finding.file}: {finding.message}")
    shares: dict[str, list[str]] = defaultdict(list)
    for shift in SHIFTS:
        by_class: dict[str, list[bool]] = defaultdict(list)
        for support in measured.moved[shift]:
            hit = found_alone(measured.sound, support)
            by_class[support.defect].append(hit)
            by_class["all"].append(hit)
        for name, hits in by_class.items():
            shares[name].append(f"{100 * np.mean(hits):3.0f} % of {len(hits)}")
    for name, cells in sorted(shares.items()):
        print(f"    {name:12} moved by {SHIFTS} px: {', '.join(cells)}")
    together = [f.message for f in alignment.misaligned(measured.all_moved) if not f.file]
    print(f"  all masks moved by {ALL_MOVED}: {together}")


def report_quality(measured: Measured) -> None:
    """Print the shares of images that are found, and the sound ones that are reported."""
    false = quality.outliers(measured.qualities)
    count = len(measured.qualities)
    for kind in ("out_of_focus", "badly_exposed"):
        names = [f"{f.file}: {f.message}" for f in false if f.kind == kind]
        print(f"  sound images {kind}: {len(names)} of {count}", *names[:8], sep="\n    ")
    step = max(1, count // 200)
    for title, spoilt in measured.spoilt.items():
        hits: list[bool] = []
        for index in range(0, count, step):
            one = list(measured.qualities)
            one[index] = spoilt[index]
            hits.append(any(f.file == one[index].file for f in quality.outliers(one)))
        values: NDArray[np.bool_] = np.array(hits)
        print(f"  {title}: {100 * values.mean():.0f} % of {len(values)} found")


def report_registration(dataset: DefectDataset) -> None:
    """Print how alike the labelled views of one part are, and those of two."""
    parts: dict[str, list[NDArray[np.float32]]] = {}
    for name, records in dataset.usable().parts().items():
        views = [record for record in records if view_labels.is_comparable(record)]
        for record in views[:3]:
            size = (record.width // 2, record.height // 2)
            texture = view_labels.texture_of(dataset.image(record), size)
            parts.setdefault(name, []).append(texture)
    rng = np.random.default_rng(0)
    one = [pair for views in parts.values() for pair in combinations(views, 2)]
    names = list(parts)
    drawn = [rng.choice(len(names), 2, replace=False) for _ in range(800 if one else 0)]
    two = [(parts[names[a]][0], parts[names[b]][0]) for a, b in drawn]
    for title, pairs in (("one part", one), ("two parts", two)):
        if pairs:
            values = [view_labels.register(*pair)[0] for pair in pairs]
            shown = np.quantile(values, [0.01, 0.5, 0.99]).round(2)
            print(f"  likeness of {len(pairs)} pairs of {title}, 1 %, median, 99 %: {shown}")


def main() -> None:
    """Measure the data sets given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path, help="defect data sets")
    for folder in parser.parse_args().data:
        dataset = DefectDataset.open(folder)
        print(f"{dataset.schema.name}: {len(dataset.usable())} images in use")
        measured = Measured(dataset)
        report_masks(measured)
        report_quality(measured)
        report_registration(dataset)


if __name__ == "__main__":
    main()
