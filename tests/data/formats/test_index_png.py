"""Index masks: values, names, grey and palette files, masks that do not fit."""

import numpy as np
import pytest
from PIL import Image

from flawsmith.errors import FlawsmithError

HEIGHT, WIDTH = 12, 16


def test_index_masks_keep_values_classes_and_ignore(source, put, picture, blank, box, imported):
    mask = box(2, 5, 3, 9, value=2)
    mask[8:10, 1:4] = 1
    mask[0, :] = 255
    put(source / "train/images/a.jpg", picture(0))
    put(source / "train/masks/a_mask.png", mask)
    put(source / "test/images/a.png", picture(1))
    put(source / "test/masks/a_mask.png", blank())
    (source / "classes.txt").write_text("background\ncrack\nspot\n")
    done = imported(source)
    assert done.report.format == "index_png"
    assert done.data.schema.defect_names == ["crack", "spot"]
    np.testing.assert_array_equal(done.defects("train/images/a.jpg"), mask)
    assert done.records["train/images/a.jpg"].labels == ["crack", "spot"]
    assert done.records["test/images/a.png"].is_good
    assert done.records["test/images/a.png"].mask_file_name is None
    assert done.report.findings == []


def test_index_values_with_gaps_become_consecutive_ids(source, put, picture, box, imported):
    put(source / "images/a.png", picture(0))
    put(source / "masks/a.png", box(0, 2, 0, 2, value=3) + box(4, 6, 4, 6, value=7))
    done = imported(source)
    assert done.data.schema.defect_names == ["class_3", "class_7"]
    expected = box(0, 2, 0, 2, value=1) + box(4, 6, 4, 6, value=2)
    np.testing.assert_array_equal(done.defects("images/a.png"), expected)


@pytest.mark.parametrize("soft", [False, True])
def test_masks_with_two_values_are_one_class(source, soft, put, picture, box, imported):
    mask = box(3, 7, 3, 7)
    for i in range(2):
        put(source / f"images/{i}.png", picture(i, shape=(40, 50)))
        large = np.zeros((40, 50), np.uint8)
        large[:HEIGHT, :WIDTH] = mask
        if soft:  # grey edge values, as a scaled mask has them
            large[30, :40] = np.arange(40) * 3
        put(source / f"masks/{i}.png", large)
    done = imported(source)
    assert done.data.schema.defect_names == ["defect"]
    expected = np.zeros((40, 50), np.uint8)
    expected[3:7, 3:7] = 1
    if soft:
        expected[30, :40] = np.arange(40) * 3 > 127
    np.testing.assert_array_equal(done.defects("images/0.png"), expected)


def test_grey_pictures_as_masks_are_refused(source, put, picture, imported):
    put(source / "images/a.png", picture(0))
    put(source / "masks/a.png", picture(1))
    with pytest.raises(FlawsmithError, match="different values"):
        imported(source)
    assert not source.with_name("source-out").exists()


def test_palette_and_rgb_grey_masks_are_read_as_indices(source, put, picture, box, imported):
    mask = box(1, 3, 1, 3, value=1) + box(5, 7, 5, 7, value=2)
    put(source / "images/a.png", picture(0))
    put(source / "images/b.png", picture(1))
    palette = Image.fromarray(mask, mode="P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    (source / "masks").mkdir()
    palette.save(source / "masks/a.png")
    put(source / "masks/b.png", np.repeat(mask[..., None], 3, axis=2))
    done = imported(source)
    np.testing.assert_array_equal(done.defects("images/a.png"), mask)
    np.testing.assert_array_equal(done.defects("images/b.png"), mask)


def test_missing_mis_sized_orphaned_and_coloured_masks_are_told(
    source, put, picture, blank, box, imported
):
    for i, name in enumerate(["fine", "missing", "small", "coloured"]):
        put(source / f"images/{name}.png", picture(i))
    put(source / "images/good/free.png", picture(9))
    put(source / "masks/fine.png", box(0, 2, 0, 2, value=1))
    put(source / "masks/small.png", np.ones((4, 5), np.uint8))
    put(source / "masks/coloured.png", picture(7, shape=(HEIGHT, WIDTH, 3)))
    put(source / "masks/nobody.png", blank())
    done = imported(source)
    assert done.kinds() == ["mis-sized mask", "no labels", "orphaned mask", "unreadable labels"]
    assert done.files("orphaned mask") == ["masks/nobody.png"]
    excluded = {name for name, record in done.records.items() if record.excluded}
    assert excluded == {"images/missing.png", "images/small.png", "images/coloured.png"}
    assert "5 x 4" in done.records["images/small.png"].excluded
    assert done.records["images/good/free.png"].is_good
    assert (done.report.images, done.report.excluded, done.report.good) == (5, 3, 1)
