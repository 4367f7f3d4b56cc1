"""KolektorSDD and KolektorSDD2: pairs, parts, values, and files without a partner."""

import numpy as np
import pytest

from flawsmith.data.formats.folder import SourceFolder
from flawsmith.data.formats.kolektor import Kolektor


@pytest.mark.parametrize("home", ["", "KolektorSDD/"])
def test_first_data_set_has_a_part_for_each_folder(
    source, home, put, picture, box, blank, imported
):
    for i, part in enumerate(["kos01", "kos02"]):
        put(source / f"{home}{part}/Part0.jpg", picture(2 * i))
        put(source / f"{home}{part}/Part1.jpg", picture(2 * i + 1))
        put(source / f"{home}{part}/Part0_label.bmp", box(2, 5, 3, 9, value=1 + 254 * i))
        put(source / f"{home}{part}/Part1_label.bmp", blank())
    done = imported(source)
    assert done.report.format == "kolektor"
    assert done.data.schema.defect_names == ["defect"]
    assert {record.part for record in done.data} == {"kos01", "kos02"}
    expected = box(2, 5, 3, 9, value=1)
    np.testing.assert_array_equal(done.defects(f"{home}kos01/Part0.jpg"), expected)
    np.testing.assert_array_equal(done.defects(f"{home}kos02/Part0.jpg"), expected)
    assert (done.report.images, done.report.good) == (4, 2)


def test_second_data_set_takes_any_value_above_zero(source, put, picture, box, blank, imported):
    mask = box(2, 5, 3, 9, value=255)
    mask[8, 8] = 3
    put(source / "train/10000.png", picture(0))
    put(source / "train/10000_GT.png", np.stack([mask] * 3, axis=-1))
    put(source / "test/20000.png", picture(1))
    put(source / "test/20000_GT.png", blank())
    done = imported(source)
    assert done.report.format == "kolektor"
    np.testing.assert_array_equal(done.defects("train/10000.png"), (mask > 0).astype(np.uint8))
    assert len({record.part for record in done.data}) == 2
    assert done.report.good == 1


def test_files_without_partner_and_damaged_masks_are_reported(source, put, picture, box, imported):
    for i in range(4):
        put(source / f"train/1000{i}.png", picture(i))
        put(source / f"train/1000{i}_GT.png", box(2, 5, 3, 9))
    put(source / "train/10009.png", picture(9))
    put(source / "train/10008_GT.png", box(2, 5, 3, 9))
    put(source / "train/10001_GT (copy).png", box(1, 5, 3, 9))
    put(source / "train/10002_GT.png", box(2, 5, 3, 9)[:6])
    whole = (source / "train/10003_GT.png").read_bytes()
    (source / "train/10003_GT.png").write_bytes(whole[: len(whole) // 2])
    done = imported(source)
    assert sorted(done.files("orphaned mask")) == [
        "train/10001_GT (copy).png",
        "train/10008_GT.png",
    ]
    assert "no mask" in done.records["train/10009.png"].excluded
    assert "16 x 6" in done.records["train/10002.png"].excluded
    assert done.records["train/10003.png"].excluded
    assert done.records["train/10000.png"].excluded is None
    assert done.report.images == 5


def test_numbered_images_without_such_masks_are_not_claimed(source, put, picture):
    put(source / "train/1.png", picture(0))
    put(source / "test/2.png", picture(1))
    assert Kolektor().detect(SourceFolder.scan(source)) is None
    put(source / "test/2_GT.png", picture(1))
    assert Kolektor().detect(SourceFolder.scan(source)) is not None
