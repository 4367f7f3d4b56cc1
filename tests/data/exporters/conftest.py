"""What the tests of exporters share: a way there and back, and a small set with odd labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.exporters import export_dataset
from flawsmith.data.formats import import_folder
from flawsmith.data.schema import IGNORE, Schema, make_backgrounds, make_defects


def by_name(dataset: DefectDataset, record) -> dict[str, np.ndarray]:
    """Return the pixels of each class (and of ignored regions) that the image has."""
    defects = dataset.label_map(record).defects
    names = {d.id: d.name for d in dataset.schema.defects} | {0: "none", IGNORE: "ignore"}
    return {names[value]: defects == value for value in np.unique(defects).tolist()}


def return_trip(dataset: DefectDataset, folder: Path, name: str) -> dict[str, tuple]:
    """Export and import again with the format detected: (data set, record) by the images' bytes."""
    report = export_dataset(dataset, folder / name, name)
    back_report = import_folder(folder / name, folder / f"{name}-back")
    assert back_report.format == name
    assert back_report.excluded == 0
    back = DefectDataset.open(folder / f"{name}-back")
    assert len(back) == report.images
    return {record.sha256: (back, record) for record in back}


def equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    """Tell whether two images have the same classes in the same pixels."""
    return set(first) == set(second) and all(np.array_equal(first[k], second[k]) for k in first)


@pytest.fixture(scope="session")
def labels_by_name() -> Callable:
    return by_name


@pytest.fixture(scope="session")
def there_and_back() -> Callable:
    return return_trip


@pytest.fixture(scope="session")
def same_labels() -> Callable:
    return equal


@pytest.fixture
def odd(tmp_path: Path) -> DefectDataset:
    """A ring with a crack in it and ignored pixels, single pixels, a good, weak and excluded one.

    The class names are awkward: one begins with a number, one says "good", one has a slash.
    """
    schema = Schema(
        name="odd",
        backgrounds=make_backgrounds(["metal"]),
        defects=make_defects(["OK", "3 mm pore", "a/b crack"]),
        bit_depth=12,
        white_level=4095,
    )
    ring, dots, none = (np.zeros((20, 30), np.uint8) for _ in range(3))
    ring[2:12, 3:15], ring[4:9, 5:12], ring[6, 6:11] = 1, 0, 3
    ring[15:, 20:] = IGNORE
    dots[0, 0], dots[19, 29], dots[10, 10:12] = 2, 2, 2
    whole = {"labels": ["3 mm pore"], "weak_labels": ["3 mm pore"]}
    fields = [
        (ring, {}), (dots, {}), (none, {}), (none, whole), (none, {"excluded": "no labels"}),
    ]  # fmt: skip
    with DatasetWriter(tmp_path / "odd", schema) as writer:
        for number, (defects, more) in enumerate(fields):
            noise = np.random.default_rng(number).integers(0, 4096, (20, 30), np.uint16)
            label_map = LabelMap(defects, np.zeros_like(defects))
            writer.add(f"i{number}", noise, label_map, part=f"p{number // 2}", **more)
    return DefectDataset.open(tmp_path / "odd")
