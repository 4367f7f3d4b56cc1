"""Exports every real sample to every format, imports it again and compares the label maps.

The format is detected again, images are paired by their bytes, classes by name. A cell says how
many of the exported images have equal label maps, pixel by pixel and class by class, and how many
pixels of the others differ; why an export was refused, or not recognised again, stands below.
Prints the table of docs/data.md; some minutes.

    python benchmarks/export_round_trips.py ../shared/data
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from real_samples import samples

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.exporters import EXPORTERS, export_dataset
from flawsmith.data.formats import import_folder
from flawsmith.data.images import BoolArray
from flawsmith.data.schema import IGNORE
from flawsmith.errors import FlawsmithError


def pixels_by_class(dataset: DefectDataset, record: ImageRecord) -> dict[str, BoolArray]:
    """Return the pixels of each class, and of ignored regions, H x W, that an image has."""
    defects = dataset.label_map(record).defects
    names = {d.id: d.name for d in dataset.schema.defects} | {0: "", IGNORE: "ignored"}
    return {names[value]: defects == value for value in np.unique(defects).tolist()}


def pixels_that_differ(first: dict[str, BoolArray], second: dict[str, BoolArray]) -> int:
    """Return how many pixels have another class in two label maps of one size."""
    shape = next(iter(first.values())).shape
    nowhere = np.zeros(shape, bool)
    differ = nowhere.copy()
    for name in first.keys() | second.keys():
        differ |= first.get(name, nowhere) != second.get(name, nowhere)
    return int(differ.sum())


def by_bytes(dataset: DefectDataset) -> dict[str, list[ImageRecord]]:
    """Return the images of each SHA-256, in the order of their names."""
    found: dict[str, list[ImageRecord]] = defaultdict(list)
    for record in sorted(dataset, key=lambda record: Path(record.file_name).stem):
        found[record.sha256].append(record)
    return found


def round_trip(dataset: DefectDataset, folder: Path, format: str) -> str:
    """Export and import again; return the cell of the table."""
    try:
        exported = export_dataset(dataset, folder / format, format)
    except FlawsmithError as error:
        return f"refused: {str(error).replace(str(folder), '')}"
    try:
        imported = import_folder(folder / format, folder / f"{format}-back")
    except FlawsmithError as error:
        return f"not recognised: {str(error).replace(str(folder), '')}"
    if imported.format != format:
        return f"not recognised: taken for {imported.format}"
    back = DefectDataset.open(folder / f"{format}-back")
    given = by_bytes(dataset.usable())
    equal = compared = pixels = 0
    for content, records in by_bytes(back).items():
        for before, after in zip(given[content], records, strict=False):
            first, second = pixels_by_class(dataset, before), pixels_by_class(back, after)
            wrong = pixels_that_differ(first, second)
            compared += 1
            equal += not wrong
            pixels += wrong
    missing = exported.images - compared
    return (
        f"{equal:,} of {exported.images:,}"
        + (f" ({pixels:,} px differ)" if pixels else "")
        + (f" ({missing} images lost)" if missing else "")
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    formats = EXPORTERS.names()
    print("| sample | usable images | " + " | ".join(f"`{name}`" for name in formats) + " |")
    print("|" + "---|" * (len(formats) + 2))
    refusals = []
    for sample in samples(folder):
        with tempfile.TemporaryDirectory() as temporary:
            data = Path(temporary) / "data"
            import_folder(sample, data)
            dataset = DefectDataset.open(data)
            cells = [round_trip(dataset, Path(temporary), name) for name in formats]
            refusals += [f"{sample.name}, {cell}" for cell in cells if ": " in cell]
            row = [sample.name, f"{len(dataset.usable()):,}", *(c.split(":")[0] for c in cells)]
            print("| " + " | ".join(row) + " |", flush=True)
    print(*refusals, sep="\n")


if __name__ == "__main__":
    main()
