"""What the tests of the check share: small data sets, written from boxes of defects."""

from collections.abc import Callable

import numpy as np
import pytest

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import DEFECT_COLOURS, Background, Defect, Schema

HEIGHT, WIDTH = 40, 60


def _schema(**fields):
    values = {
        "name": "tiny",
        "backgrounds": [Background(id=0, name="body", colour="#202020")],
        "defects": [
            Defect(id=1, name="scratch", colour=DEFECT_COLOURS[0]),
            Defect(id=2, name="dent", colour=DEFECT_COLOURS[1]),
        ],
    }
    return Schema(**{**values, **fields})


def _mask(*boxes):
    defects = np.zeros((HEIGHT, WIDTH), np.uint8)
    for defect, y, x, height, width in boxes:
        defects[y : y + height, x : x + width] = defect
    return defects


def _build(folder, images, **schema_fields):
    with DatasetWriter(folder, _schema(**schema_fields)) as writer:
        for number, (name, part, defects, fields) in enumerate(images):
            pixels = fields.pop("pixels", np.full(defects.shape, number, np.uint8))
            writer.add(name, pixels, LabelMap(defects, np.zeros_like(defects)), part=part, **fields)
    return DefectDataset.open(folder)


def _sound(folder, **schema_fields):
    images = [
        ("a", "p1", _mask((1, 2, 2, 3, 4)), {}),
        ("b", "p2", _mask((2, 5, 5, 25, 30)), {}),
        ("c", "p3", _mask(), {}),
    ]
    return _build(folder, images, **schema_fields)


@pytest.fixture(scope="session")
def schema() -> Callable[..., Schema]:
    """A schema with a scratch and a dent."""
    return _schema


@pytest.fixture(scope="session")
def mask() -> Callable[..., np.ndarray]:
    """An index mask of 40 x 60 pixels with (defect, y, x, height, width) boxes."""
    return _mask


@pytest.fixture(scope="session")
def build() -> Callable[..., DefectDataset]:
    """Write (name, part, mask, further fields of the record) as a data set; pixels all differ."""
    return _build


@pytest.fixture(scope="session")
def sound() -> Callable[..., DefectDataset]:
    """Write a data set of two defective parts and a good one, nothing to find."""
    return _sound
