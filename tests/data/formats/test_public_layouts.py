"""Folder layouts of public data sets, made anew in miniature."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def leather(source, put, picture, box, blank):
    """MVTec's layout with an empty, a missing and an orphaned mask."""
    put(source / "leather/train/good/000.png", picture(0))
    put(source / "leather/test/good/000.png", picture(1))
    put(source / "leather/test/cut/000.png", picture(2))
    put(source / "leather/test/cut/001.png", picture(3))
    put(source / "leather/test/poke/000.png", picture(4))
    put(source / "leather/ground_truth/cut/000_mask.png", box(1, 4, 1, 4))
    put(source / "leather/ground_truth/poke/000_mask.png", blank())
    put(source / "leather/ground_truth/glue/000_mask.png", box(1, 4, 1, 4))
    return source


def test_mvtec_reports_orphans_empty_masks_and_unmasked_images(leather, box, imported):
    done = imported(leather)
    assert done.report.format == "mvtec"
    assert done.data.schema.defect_names == ["cut", "poke"]
    expected = box(1, 4, 1, 4, value=1)
    np.testing.assert_array_equal(done.defects("leather/test/cut/000.png"), expected)
    unmasked = done.records["leather/test/cut/001.png"]
    assert unmasked.labels == ["cut"]
    assert "no mask" in unmasked.excluded
    assert done.files("orphaned mask") == ["leather/ground_truth/glue/000_mask.png"]
    assert done.files("empty mask") == ["leather/test/poke/000.png"]
    assert (done.defects("leather/test/poke/000.png") == 255).all()
    assert done.report.good == 2
    names = sorted(Path(record.file_name).stem for record in done.data)
    assert names == ["001", "cut_000", "good_000", "good_000_2", "poke_000"]


def test_mvtec_with_two_products_keeps_their_types_apart(leather, put, picture, box, imported):
    put(leather / "cable/test/cut/000.png", picture(20))
    put(leather / "cable/ground_truth/cut/000_mask.png", box(1, 4, 1, 4))
    done = imported(leather)
    assert done.data.schema.defect_names == ["cable_cut", "leather_cut", "leather_poke"]


@pytest.fixture
def tiles(source, put, picture, box):
    """The magnetic tiles' layout: photographs and masks side by side."""
    for i, (name, number, exposure) in enumerate(
        [("Blowhole", 100, 1), ("Blowhole", 120, 2), ("Free", 140, 3), ("Uneven", 900, 1)]
    ):
        stem = f"MT_{name}/Imgs/exp{exposure}_num_{number}"
        put(source / f"{stem}.jpg", picture(i))
        mask = box(1, 4, 1, 4, value=128) if name == "Blowhole" else box(0, 9, 0, 9, value=127)
        put(source / f"{stem}.png", mask)
    return source


def test_magnetic_tile_without_table_leaves_parts_to_the_comparison(tiles, box, imported):
    done = imported(tiles)
    assert done.report.format == "magnetic_tile"
    record = done.records["MT_Blowhole/Imgs/exp1_num_100.jpg"]
    assert record.view == "exp1"
    expected = box(1, 4, 1, 4, value=1)  # 128 is a defect, 127 is not
    np.testing.assert_array_equal(done.defects(record.original), expected)
    assert {record.part_source for record in done.data} == {"file"}
    assert done.files("empty mask") == ["MT_Uneven/Imgs/exp1_num_900.jpg"]
    assert any("'data split' compares" in note for note in done.report.notes)


def test_magnetic_tile_table_gives_part_view_fold_and_exclusion(tiles, imported):
    (tiles / "tiles.csv").write_text(
        "image,class,view,part,fold,note\n"
        "MT_Blowhole/Imgs/exp1_num_100.jpg,blowhole,exp1,t7,3,\n"
        "MT_Free/Imgs/exp3_num_140.jpg,free,exp3,t7,3,shown defective elsewhere\n"
        "MT_Free/Imgs/gone.jpg,free,exp3,t8,0,\n"
    )
    done = imported(tiles)
    record = done.records["MT_Blowhole/Imgs/exp1_num_100.jpg"]
    assert (record.part, record.view, record.fold, record.excluded) == ("t7", "exp1", 3, None)
    assert done.records["MT_Free/Imgs/exp3_num_140.jpg"].excluded == "shown defective elsewhere"
    assert len(done.files("no part")) == 2
    assert done.files("missing image") == ["tiles.csv"]


@pytest.mark.parametrize("home", ["", "SD-saliency-900/"])
def test_sd_saliency_takes_the_class_from_the_name(source, home, put, picture, box, imported):
    for i, name in enumerate(["In_1", "Pa_2", "Sc_3"]):
        put(source / f"{home}Source Images/{name}.bmp", picture(i))
        put(source / f"{home}Ground truth/{name}.png", box(i, i + 3, 1, 4))
    done = imported(source)
    assert done.report.format == "sd_saliency_900"
    assert done.data.schema.defect_names == ["inclusion", "patch", "scratch"]
    expected = box(2, 5, 1, 4, value=3)
    np.testing.assert_array_equal(done.defects(f"{home}Source Images/Sc_3.bmp"), expected)


@pytest.mark.parametrize(
    ("image", "mask", "format"),
    [
        ("images/{}.bmp", "masks/{}.png", "index_png"),
        ("test/pit/{}.bmp", "ground_truth/pit/{}_mask.png", "mvtec"),
    ],
)
def test_sd_saliency_in_another_layout_is_not_taken_for_the_original(
    source, put, picture, box, imported, image, mask, format
):
    for i, name in enumerate(["In_1", "Pa_2"]):
        put(source / image.format(name), picture(i))
        put(source / mask.format(name), box(i, i + 3, 1, 4, value=1))
    done = imported(source)
    assert done.report.format == format
    expected = box(1, 4, 1, 4, value=1)
    np.testing.assert_array_equal(done.defects(image.format("Pa_2")), expected)


def test_class_folders_label_whole_images(source, put, picture, imported):
    put(source / "train/OK/a.png", picture(0))
    put(source / "train/scratch/a.png", picture(1))
    put(source / "test/scratch/a.png", picture(2))
    done = imported(source)
    assert done.report.format == "class_folders"
    assert done.report.classes == {"scratch": 2}
    record = done.records["train/scratch/a.png"]
    assert (record.labels, record.mask_file_name, record.instances) == (["scratch"], None, [])
    assert (done.defects("train/scratch/a.png") == 255).all()
    assert (done.defects("train/OK/a.png") == 0).all()


def test_mvtec_loco_joins_the_masks_of_an_image(source, put, picture, box, imported):
    put(source / "bottle/train/good/000.png", picture(0))
    put(source / "bottle/test/logical_anomalies/000.png", picture(1))
    put(source / "bottle/test/logical_anomalies/001.png", picture(2))
    masks = source / "bottle/ground_truth/logical_anomalies"
    put(masks / "000/000.png", box(1, 4, 1, 4, value=200))
    put(masks / "000/001.png", box(6, 9, 6, 9, value=40))
    put(masks / "007/000.png", box(6, 9, 6, 9))
    done = imported(source)
    assert done.report.format == "mvtec"
    expected = box(1, 4, 1, 4, value=1) + box(6, 9, 6, 9, value=1)
    name = "bottle/test/logical_anomalies/000.png"
    np.testing.assert_array_equal(done.defects(name), expected)
    assert "no mask" in done.records[name.replace("000", "001")].excluded
    assert done.files("orphaned mask") == ["bottle/ground_truth/logical_anomalies/007/000.png"]
