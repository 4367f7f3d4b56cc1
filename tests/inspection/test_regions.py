import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from flawsmith.data.schema import PixelSize, Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.regions import find_regions, label_components


def _schema(pixel_size=None, defects=("spot", "line")):
    return Schema(
        name="test",
        pixel_size_mm=pixel_size,
        backgrounds=make_backgrounds(["surface"]),
        defects=make_defects(list(defects)),
    )


def _scores(indices, defects=2, value=0.9):
    planes = [indices == k for k in range(defects + 1)]
    return np.stack(planes).astype(np.float32) * np.float32(value)


@given(st.integers(0, 10_000))
def test_components_agree_with_scipy(seed):
    generator = np.random.default_rng(seed)
    indices = generator.choice([0, 1, 2, 255], size=(13, 9)).astype(np.uint8)
    components, classes = label_components(indices, 2)
    expected = 0
    for class_id in (1, 2):
        labels, count = ndimage.label(indices == class_id, structure=np.ones((3, 3)))
        mine = np.where(classes[components] == class_id, components, 0)
        pairs = {(int(a), int(b)) for a, b in zip(labels.ravel(), mine.ravel(), strict=True)}
        assert len(pairs - {(0, 0)}) == count == (classes == class_id).sum()
        assert all((a == 0) == (b == 0) for a, b in pairs)
        expected += count
    assert len(classes) == expected + 1


def test_region_of_a_rectangle_has_its_sizes_in_pixels_and_mm():
    indices = np.zeros((40, 60), np.uint8)
    indices[10:14, 20:50] = 2
    (region,) = find_regions(indices, _scores(indices), _schema(PixelSize(x=0.5, y=0.1)))
    assert (region.class_id, region.class_name) == (2, "line")
    assert region.box == (20, 10, 30, 4)
    assert region.centroid == pytest.approx((34.5, 11.5))
    assert region.area_px == 120
    assert (region.length_px, region.width_px) == pytest.approx((30, 4))
    assert region.diameter_px == pytest.approx(2 * math.sqrt(120 / math.pi))
    assert region.area_mm2 == pytest.approx(6.0)
    assert (region.length_mm, region.width_mm) == pytest.approx((15.0, 0.4))
    assert region.diameter_mm == pytest.approx(2 * math.sqrt(6.0 / math.pi))


def test_length_in_mm_is_not_the_length_in_pixels_scaled():
    # 10 x 30 pixels upright; x pixels are ten times as wide as y pixels are high.
    indices = np.zeros((40, 40), np.uint8)
    indices[5:35, 5:15] = 1
    (region,) = find_regions(indices, _scores(indices), _schema(PixelSize(x=1.0, y=0.1)))
    assert (region.length_px, region.width_px) == pytest.approx((30, 10))
    assert (region.length_mm, region.width_mm) == pytest.approx((10.0, 3.0))


def test_sizes_of_a_turned_bar_are_those_of_the_bar():
    y, x = np.mgrid[:200, :200] - 100.0
    angle = math.radians(33)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = -x * math.sin(angle) + y * math.cos(angle)
    indices = ((abs(along) <= 70) & (abs(across) <= 8)).astype(np.uint8)
    (region,) = find_regions(indices, _scores(indices), _schema())
    assert region.length_px == pytest.approx(141, abs=2)
    assert region.width_px == pytest.approx(17, abs=2)
    assert region.area_mm2 is region.length_mm is region.width_mm is region.diameter_mm is None


def test_single_pixels_are_kept_and_diagonal_ones_are_one_region():
    indices = np.array([[1, 0, 0, 0, 2], [0, 1, 0, 0, 0], [0, 0, 0, 255, 0]], np.uint8)
    one, two = find_regions(indices, _scores(indices), _schema())
    assert {one.area_px, two.area_px} == {1, 2}
    single = one if one.area_px == 1 else two
    assert (single.length_px, single.width_px) == pytest.approx((1, 1))
    assert single.box == (4, 0, 1, 1)


def test_score_is_the_highest_of_the_class_in_the_region_and_orders_the_list():
    indices = np.array([[1, 1, 0, 2, 2]], np.uint8)
    scores = np.zeros((3, 1, 5), np.float32)
    scores[1] = [0.4, 0.6, 0.99, 0.95, 0.95]
    scores[2] = [0.9, 0.9, 0.9, 0.7, 0.5]
    regions = find_regions(indices, scores, _schema())
    assert [(r.class_id, r.score) for r in regions] == [
        (2, pytest.approx(0.7)),
        (1, pytest.approx(0.6)),
    ]


def test_nothing_found_is_an_empty_list_and_wrong_scores_are_an_error():
    empty = np.zeros((5, 5), np.uint8)
    assert find_regions(empty, _scores(empty), _schema()) == []
    with pytest.raises(FlawsmithError, match="2 defect classes"):
        find_regions(empty, _scores(empty, defects=3), _schema())
