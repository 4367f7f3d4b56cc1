"""What the tests of importers share: tiny pictures and label files, and an import to look into."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.formats import import_folder

HEIGHT, WIDTH = 12, 16


def _put(path: Path, pixels) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path)
    return path


def _picture(seed: int, *, shape=(HEIGHT, WIDTH)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _blank() -> np.ndarray:
    return np.zeros((HEIGHT, WIDTH), np.uint8)


def _box(y0, y1, x0, x1, value=255) -> np.ndarray:
    mask = _blank()
    mask[y0:y1, x0:x1] = value
    return mask


def _write_json(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def _class_folders(
    source: Path, names=("OK/p1_top.png", "OK/p1_side.png", "dent/p2_top.png")
) -> None:
    for i, name in enumerate(names):
        _put(source / name, _picture(i))


def _labelme(name: str, shapes, **more):
    return {"version": "5.0", "shapes": shapes, "imagePath": name, "imageData": None, **more}


def _coco(files, annotations, categories=((1, "pore"), (2, "crack"), (3, "unused"))):
    return {
        "images": [
            {"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH}
            for i, name in enumerate(files)
        ],
        "categories": [{"id": i, "name": name} for i, name in categories],
        "annotations": [{"id": i, **a} for i, a in enumerate(annotations)],
    }


class Imported:
    """An import and what came out of it, by the file name in the source."""

    def __init__(self, source: Path, **options) -> None:
        self.out = source.with_name(f"{source.name}-out")
        self.report = import_folder(source, self.out, **options)
        self.data = DefectDataset.open(self.out)
        self.records = {record.original: record for record in self.data}

    def defects(self, original: str) -> np.ndarray:
        return self.data.label_map(self.records[original]).defects

    def kinds(self) -> list[str]:
        return sorted({finding.kind for finding in self.report.findings})

    def files(self, kind: str) -> list[str]:
        return [finding.file for finding in self.report.findings if finding.kind == kind]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An empty folder to be filled and imported."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def put() -> Callable[..., Path]:
    """Write pixels (grey or RGB) as the file type of the suffix."""
    return _put


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """A picture of noise, 12 x 16 pixels unless told; another one for every seed."""
    return _picture


@pytest.fixture(scope="session")
def blank() -> Callable[[], np.ndarray]:
    """A mask of 12 x 16 pixels without any label."""
    return _blank


@pytest.fixture(scope="session")
def box() -> Callable[..., np.ndarray]:
    """A mask with one value in rows y0 to y1 and columns x0 to x1."""
    return _box


@pytest.fixture(scope="session")
def write_json() -> Callable[..., Path]:
    return _write_json


@pytest.fixture(scope="session")
def class_folders() -> Callable[..., None]:
    """Fill a source with pictures in folders named by class: two views of a part and another."""
    return _class_folders


@pytest.fixture(scope="session")
def labelme() -> Callable[..., dict]:
    """The content of a Labelme file."""
    return _labelme


@pytest.fixture(scope="session")
def coco() -> Callable[..., dict]:
    """The content of a COCO file for pictures of 12 x 16 pixels."""
    return _coco


@pytest.fixture(scope="session")
def imported() -> type[Imported]:
    """Import a folder into its neighbour."""
    return Imported
