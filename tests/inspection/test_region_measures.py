import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from flawsmith.data.schema import PixelSize, Schema, make_backgrounds, make_defects
from flawsmith.inspection.region_geometry import (
    convex_hull,
    pixel_corners,
    simplified,
    smallest_rectangle,
)
from flawsmith.inspection.regions import MAX_CORNERS, Region, find_regions, uncertainty_mm


def _regions(indices, pixel_size=None, **settings):
    schema = Schema(
        name="test",
        pixel_size_mm=pixel_size,
        backgrounds=make_backgrounds(["surface"]),
        defects=make_defects(["spot"]),
    )
    scores = np.stack([indices == 0, indices == 1]).astype(np.float32)
    return find_regions(indices.astype(np.uint8), scores, schema, **settings)


def _bar(angle, length, width, size=300, centre=(150.0, 150.0)):
    """Return a bar as an index map; the angle in degrees from the x axis towards the y axis."""
    y, x = np.mgrid[:size, :size].astype(float)
    x, y = x - centre[0], y - centre[1]
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return (abs(x * c + y * s) <= length / 2) & (abs(y * c - x * s) <= width / 2)


@given(st.floats(0, 179.9), st.floats(40, 200), st.floats(6, 30))
def test_rotated_box_is_the_bar_that_was_drawn(angle, length, width):
    (region,) = _regions(_bar(angle, length, width))
    box = region.rotated_box
    # Half a pixel more at each end, as the pixels are squares.
    assert box.length == pytest.approx(length, abs=2.0)
    assert box.width == pytest.approx(width, abs=2.0)
    assert (box.x, box.y) == pytest.approx((150, 150), abs=1.0)
    off = (box.angle - angle + 90) % 180 - 90
    assert abs(off) <= math.degrees(math.atan2(3.0, length))
    assert 0 <= box.angle < 180
    assert (region.length_px, region.width_px) == (box.length, box.width)


def test_upright_and_level_bars_have_exact_boxes():
    indices = np.zeros((50, 60), bool)
    indices[10:14, 20:50] = True
    (region,) = _regions(indices)
    assert region.rotated_box.model_dump() == pytest.approx(
        {"x": 34.5, "y": 11.5, "length": 30, "width": 4, "angle": 0}
    )
    assert set(region.polygon) == {(20, 10), (49, 10), (49, 13), (20, 13)}
    (region,) = _regions(indices.T)
    assert region.rotated_box.angle == pytest.approx(90)


@given(st.integers(3, 60))
def test_diameter_of_a_circle(radius):
    y, x = np.mgrid[:140, :140] - 70
    (region,) = _regions(x * x + y * y <= radius * radius, PixelSize(x=0.2, y=0.2))
    # Gauss's circle problem: the count is off by far less than the circumference.
    assert region.diameter_px == pytest.approx(2 * radius, abs=0.35)
    assert region.diameter_mm == pytest.approx(0.4 * radius, abs=0.07)
    assert region.length_px == pytest.approx(2 * radius + 1, abs=1.0)


@pytest.mark.parametrize("angle", [0, 17, 45, 90, 120])
def test_a_bar_seen_with_different_scales_has_its_length_in_mm(angle):
    # 40 mm x 6 mm at an angle in mm; x pixels are 0.5 mm, y pixels 0.2 mm.
    y, x = np.mgrid[:400, :200].astype(float)
    x, y = 0.5 * (x - 100.3), 0.2 * (y - 200.3)
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    bar = (abs(x * c + y * s) <= 20) & (abs(y * c - x * s) <= 3)
    (region,) = _regions(bar, PixelSize(x=0.5, y=0.2), relative_uncertainty=0.0)
    assert region.length_mm == pytest.approx(40, abs=1.0)
    assert region.width_mm == pytest.approx(6, abs=1.0)
    assert region.area_mm2 == pytest.approx(240, rel=0.02)
    pitch = math.hypot(0.5 * c, 0.2 * s)  # of a pixel along the bar
    assert region.length_mm_u95 == pytest.approx(2 * pitch / math.sqrt(6), rel=0.03)


def test_uncertainty_is_that_of_the_formula():
    # Only quantisation: two edges, each with the variance p^2 / 12; only calibration: L r.
    assert uncertainty_mm(10.0, 0.3, 0.0) == pytest.approx(2 * math.sqrt(2 * 0.3**2 / 12))
    assert uncertainty_mm(200.0, 1e-12, 0.01) == pytest.approx(2.0)
    # 3-4-5: quadrature, no sum.
    assert uncertainty_mm(3.0, 2 * math.sqrt(6), 1.0) == pytest.approx(5.0)


def test_uncertainty_covers_what_quantisation_does():
    """Draw bars of one true length at random places: 95 % of the lengths lie within U."""
    generator = np.random.default_rng(0)
    off, width = [], 5.0
    for begin in generator.uniform(10, 11, 400):
        length = generator.uniform(20, 21)
        x = np.arange(60)
        row = (x >= begin) & (x < begin + length)
        (region,) = _regions(np.repeat(row[None], round(width), axis=0))
        off.append(region.length_px - length)
    expected = uncertainty_mm(20.5, 1.0, 0.0)
    assert np.mean(np.abs(off) <= expected) >= 0.95
    # The distribution is the triangle of two edges: its deviation is that of the formula.
    assert np.std(off) == pytest.approx(expected / 2, rel=0.1)


def test_figures_in_mm_need_a_calibration_and_uncertainty_needs_its_own():
    indices = _bar(30, 50, 10)
    (plain,) = _regions(indices, relative_uncertainty=0.01)
    assert {v for k, v in plain.model_dump().items() if "mm" in k} == {None}
    (sized,) = _regions(indices, PixelSize(x=0.5, y=0.5))
    assert sized.length_mm is not None
    assert sized.length_mm_u95 is sized.area_mm2_u95 is None
    (known,) = _regions(indices, PixelSize(x=0.5, y=0.5), relative_uncertainty=0.01)
    assert known.length_mm_u95 == pytest.approx(uncertainty_mm(known.length_mm, 0.5, 0.01))
    # A = pi d^2 / 4: twice the relative uncertainty.
    relative = known.diameter_mm_u95 / known.diameter_mm
    assert known.area_mm2_u95 / known.area_mm2 == pytest.approx(2 * relative)


def _distances(points, corners):
    """Return how far each point is from a closed polygon."""
    nearest = np.full(len(points), np.inf)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        side = end - start
        square = max(float(side @ side), 1e-30)
        along = np.clip((points - start) @ side / square, 0, 1)
        apart = points - start - along[:, None] * side
        nearest = np.minimum(nearest, np.hypot(apart[:, 0], apart[:, 1]))
    return nearest


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.floats(0.4, 5), st.floats(-0.5, 1))
def test_polygon_is_within_half_a_pixel_of_the_outline(seed, smoothness, level):
    noise = np.random.default_rng(seed).standard_normal((32, 48))
    noise = ndimage.gaussian_filter(noise, smoothness)
    indices = noise > level * noise.std()
    labels, _ = ndimage.label(indices, np.ones((3, 3)))
    for region in _regions(indices):
        x, y = region.polygon[0]
        mask = (labels == labels[y, x]).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        assert set(region.polygon) <= {(int(u), int(v)) for u, v in contours[0][:, 0]}
        assert not region.polygon_is_hull
        corners = np.array(region.polygon, float)
        assert _distances(contours[0][:, 0].astype(float), corners).max() <= 0.5


def test_polygon_drawn_and_filled_gives_the_region_back():
    y, x = np.mgrid[:90, :90] - 45
    far = np.hypot(x, y)
    ring = (far < 40) & (far > 20)
    (region,) = _regions(ring)
    filled = np.zeros(ring.shape, np.uint8)
    cv2.fillPoly(filled, [np.array(region.polygon, np.int32)], 1)
    assert np.count_nonzero(filled != (far < 40)) < 0.02 * (far < 40).sum()
    (dot,) = _regions(np.eye(1, dtype=bool))
    assert dot.polygon == [(0, 0)]
    (line,) = _regions(np.eye(9, dtype=bool))
    assert set(line.polygon) == {(0, 0), (8, 8)}


def test_an_outline_with_too_many_corners_gives_way_to_the_hull():
    comb = np.zeros((7, 4 * MAX_CORNERS), bool)
    comb[0] = comb[:, ::4] = True
    (region,) = _regions(comb)
    assert region.polygon_is_hull
    assert set(region.polygon) == {(0, 0), (3999, 0), (3996, 6), (0, 6)}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=30))
def test_hull_and_smallest_rectangle_are_those_of_all_points(points):
    hull = convex_hull(np.array(points))
    assert {tuple(corner) for corner in hull.tolist()} <= set(points)
    shuffled = convex_hull(np.array(sorted(points)))
    assert np.array_equal(hull, shuffled)
    corners = pixel_corners(hull)
    box = smallest_rectangle(corners)
    reference = cv2.minAreaRect(corners.astype(np.float32))[1]
    assert box.length * box.width == pytest.approx(reference[0] * reference[1], rel=1e-4)
    # Every pixel's corner lies in the rectangle.
    c, s = box.direction
    away = np.array(points)[:, None] + np.array([(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5)])
    away = (away - box.centre).reshape(-1, 2)
    assert np.abs(away @ (c, s)).max() <= box.length / 2 + 1e-9
    assert np.abs(away @ (-s, c)).max() <= box.width / 2 + 1e-9


def test_simplified_keeps_a_spike_that_comes_back_to_its_start():
    spike = np.array([(0, 0), (5, 0), (5, 9), (5, 0)])
    kept = {tuple(point) for point in simplified(spike, 0.5).tolist()}
    assert kept == {(0, 0), (5, 0), (5, 9)}


def test_regions_of_older_files_are_still_read():
    old = {
        "class_id": 1, "class_name": "spot", "score": 0.5, "box": [0, 0, 1, 1],
        "centroid": [0.0, 0.0], "area_px": 1, "length_px": 1.0, "width_px": 1.0,
        "diameter_px": 1.128, "area_mm2": None,
    }  # fmt: skip
    region = Region.model_validate(old)
    assert (region.polygon, region.rotated_box, region.zone_shares) == ([], None, {})
    (new,) = _regions(_bar(10, 40, 8), PixelSize(x=0.5, y=0.2), relative_uncertainty=0.01)
    assert Region.model_validate_json(new.model_dump_json()) == new


def test_only_the_highest_scores_are_measured_if_so_asked():
    indices = np.eye(5, dtype=np.uint8)[:, ::2]
    every = _regions(indices)
    assert len(every) == 3
    assert _regions(indices, most=2) == every[:2]
