"""CrackForest: values of the label files, damaged files, and the counts of the real data."""

import zlib

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from flawsmith.data.dataset import DefectDataset
from flawsmith.data.formats import import_folder


def save(path, values, **options):
    path.parent.mkdir(exist_ok=True)
    savemat(path, {"groundTruth": {"Segmentation": values, "Boundaries": values}}, **options)
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_two_is_crack_and_three_and_four_are_ignored(source, put, picture, imported, compressed):
    values = np.ones((12, 16), np.uint8)
    values[1:3], values[5], values[6], values[8] = 2, 3, 4, 9
    put(source / "image/001.jpg", picture(0))
    put(source / "image/002.jpg", picture(1))
    save(source / "groundTruth/001.mat", values, do_compression=compressed)
    save(source / "groundTruth/007.mat", values)
    done = imported(source)
    assert done.report.format == "crackforest"
    assert done.data.schema.defect_names == ["crack"]
    expected = np.zeros_like(values)
    expected[1:3], expected[[5, 6, 8]] = 1, 255
    np.testing.assert_array_equal(done.defects("image/001.jpg"), expected)
    assert "no .mat" in done.records["image/002.jpg"].excluded
    assert done.files("orphaned labels") == ["groundTruth/007.mat"]
    assert done.files("unknown value") == ["image/001.jpg"]


def test_a_label_file_without_crack_is_good(source, put, picture, imported):
    put(source / "image/001.jpg", picture(0))
    save(source / "groundTruth/001.mat", np.ones((12, 16), np.uint8))
    assert imported(source).report.good == 1


def _bomb(path):
    data = zlib.compress(bytes(300 << 20), 9)
    header = path.read_bytes()[:128]
    path.write_bytes(header + np.array([15, len(data)], "<u4").tobytes() + data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b""), "version 5"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "readable"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" * 100), "version 5"),
        (lambda path: savemat(path, {"other": 1}), "KeyError"),
        (lambda path: savemat(path, {"groundTruth": 1}), "readable"),
        (lambda path: save(path, "text"), "Segmentation"),
        (lambda path: save(path, np.ones((12, 17), np.uint8)), "17 x 12"),
        (_bomb, "256 MB"),
    ],
)
def test_damaged_label_files_exclude_their_image(source, put, picture, imported, damage, message):
    for i in (1, 2):
        put(source / f"image/00{i}.jpg", picture(i))
        save(source / f"groundTruth/00{i}.mat", np.full((12, 16), 2, np.uint8))
    damage(source / "groundTruth/002.mat")
    done = imported(source)
    assert message in done.records["image/002.jpg"].excluded
    assert done.records["image/001.jpg"].excluded is None


def test_any_flipped_byte_is_survived(source, put, picture, imported):
    values = np.random.default_rng(0).integers(1, 5, (12, 16), dtype=np.uint8)
    data = save(source / "groundTruth/000.mat", values, do_compression=False).read_bytes()
    rng = np.random.default_rng(1)
    for i in range(40):
        put(source / f"image/{i:03}.png", picture(i))
        broken = bytearray(data)
        for place in rng.integers(128, 400, 3):
            broken[place] ^= int(rng.integers(1, 256))
        (source / f"groundTruth/{i:03}.mat").write_bytes(broken)
    done = imported(source)
    assert done.report.images == 40
    assert any(record.excluded for record in done.data)


@pytest.mark.real_data
def test_crackforest_counts(real_data, tmp_path):
    report = import_folder(real_data / "crackforest", tmp_path / "out")
    assert report.format == "crackforest"
    assert (report.images, report.excluded, report.classes) == (155, 37, {"crack": 118})
    data = DefectDataset.open(tmp_path / "out")
    labelled = [record for record in data if not record.excluded]
    for record in labelled[::30]:
        path = real_data / "crackforest" / record.original
        path = path.parent.parent / "groundTruth" / f"{path.stem}.mat"
        values = loadmat(path)["groundTruth"]["Segmentation"][0, 0]
        np.testing.assert_array_equal(data.label_map(record).defects == 1, values == 2)
