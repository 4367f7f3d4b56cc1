"""One mask per class, in the layouts that people keep them in."""

import numpy as np
import pytest


@pytest.mark.parametrize("layout", ["masks/{c}/a.png", "masks/a_{c}.png", "images/a_{c}.png"])
def test_class_masks_in_three_layouts(source, layout, put, picture, box, imported):
    put(source / "images/a.png", picture(0))
    put(source / "images/good/b.png", picture(1))
    put(source / layout.format(c="long_crack"), box(1, 4, 1, 4))
    put(source / layout.format(c="spot"), box(6, 9, 8, 12))
    done = imported(source)
    assert done.report.format == "class_masks"
    assert done.data.schema.defect_names == ["long_crack", "spot"]
    expected = box(1, 4, 1, 4, value=1) + box(6, 9, 8, 12, value=2)
    np.testing.assert_array_equal(done.defects("images/a.png"), expected)
    assert done.records["images/good/b.png"].is_good


def test_overlapping_class_masks_are_told_and_the_later_wins(source, put, picture, box, imported):
    put(source / "images/a.png", picture(0))
    put(source / "masks/a_crack.png", box(0, 4, 0, 4))
    put(source / "masks/a_spot.png", box(2, 6, 0, 4))
    done = imported(source)
    expected = box(0, 2, 0, 4, value=1) + box(2, 6, 0, 4, value=2)
    np.testing.assert_array_equal(done.defects("images/a.png"), expected)
    (finding,) = done.report.findings
    assert finding.kind == "overlapping labels"
    assert finding.message.startswith("8 pixels")
