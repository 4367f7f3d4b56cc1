"""Two data sets have one fingerprint only if everything that a model learns from is the same."""

import shutil

import pytest
from PIL import Image

from flawsmith.data.dataset import METADATA_FILE, DefectDataset, write_metadata


@pytest.fixture
def data(pouch_folder, tmp_path):
    return shutil.copytree(pouch_folder, tmp_path / "data")


def fingerprint(folder):
    return DefectDataset.open(folder).fingerprint()


def test_a_copy_elsewhere_and_a_mask_that_is_packed_otherwise_are_the_same(data, pouch_folder):
    assert fingerprint(data) == fingerprint(pouch_folder)
    record = next(r for r in DefectDataset.open(data) if r.mask_file_name)
    path = data / record.mask_file_name
    before = path.read_bytes()
    with Image.open(path) as mask:
        mask.save(path, compress_level=0)
    assert path.read_bytes() != before
    assert fingerprint(data) == fingerprint(pouch_folder)


def test_one_pixel_of_a_mask_makes_other_data(data):
    before = fingerprint(data)
    record = next(r for r in DefectDataset.open(data) if r.mask_file_name)
    path = data / record.mask_file_name
    with Image.open(path) as mask:
        mask.putpixel((0, 0), 1 - min(mask.getpixel((0, 0)), 1))
        mask.save(path)
    assert fingerprint(data) != before


@pytest.mark.parametrize(
    "change",
    [
        {"labels": []}, {"weak_labels": ["crease"]}, {"part": "another"}, {"fold": 2},
        {"excluded": "blurred"}, {"source": "synthetic"}, {"sha256": "0" * 64},
        {"mask_file_name": None},
    ],
)  # fmt: skip
def test_so_does_every_word_that_a_model_learns_from(data, change):
    dataset, before = DefectDataset.open(data), fingerprint(data)
    first = next(i for i, r in enumerate(dataset) if r.mask_file_name and r.fold != 2)
    records = list(dataset)
    records[first] = records[first].model_copy(update=change)
    write_metadata(data / METADATA_FILE, records)
    assert fingerprint(data) != before
