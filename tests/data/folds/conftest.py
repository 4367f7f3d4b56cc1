"""What the tests of folds share: data sets of records without files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flawsmith.data.dataset import DefectDataset, ImageRecord
from flawsmith.data.schema import DEFECT_COLOURS, Background, Defect, Schema

NAMES = ("scratch", "dent", "pore")


def _schema(names=NAMES):
    return Schema(
        name="tiny",
        backgrounds=[Background(id=0, name="body", colour="#202020")],
        defects=[
            Defect(id=i, name=n, colour=DEFECT_COLOURS[i - 1]) for i, n in enumerate(names, start=1)
        ],
    )


def _record(part, view=0, labels=(), **fields):
    name = f"images/{part}_{view}.png"
    values = {"file_name": name, "part": part, "labels": list(labels), "sha256": name}
    return ImageRecord(**{**values, "height": 8, "width": 8, **fields})


def _dataset(records, names=NAMES):
    return DefectDataset(Path("somewhere"), _schema(names), records)


def _from_counts(views=2, **counts):
    return _dataset(
        [
            _record(f"{name}{part}", view, () if name == "good" else (name,))
            for name, count in counts.items()
            for part in range(count)
            for view in range(views)
        ]
    )


def _from_parts(parts):
    # The first view alone shows the defects: the class of a part is that of any view.
    return _dataset(
        [
            _record(f"p{i}", view, sorted(labels) if view == 0 else ())
            for i, (labels, views) in enumerate(parts)
            for view in range(views)
        ]
    )


def _fold_of_part(records):
    return {r.part: r.fold for r in records}


@pytest.fixture(scope="session")
def schema() -> Callable[..., Schema]:
    return _schema


@pytest.fixture(scope="session")
def record() -> Callable[..., ImageRecord]:
    """The record of one view of a part."""
    return _record


@pytest.fixture(scope="session")
def dataset() -> Callable[..., DefectDataset]:
    """A data set of records; it has no files."""
    return _dataset


@pytest.fixture(scope="session")
def from_counts() -> Callable[..., DefectDataset]:
    """A data set with this many single-class parts; ``good`` parts have no label."""
    return _from_counts


@pytest.fixture(scope="session")
def from_parts() -> Callable[..., DefectDataset]:
    """A data set of parts p0, p1, ... given by their set of defects and number of views."""
    return _from_parts


@pytest.fixture(scope="session")
def fold_of_part() -> Callable[..., dict[str, int | None]]:
    return _fold_of_part
