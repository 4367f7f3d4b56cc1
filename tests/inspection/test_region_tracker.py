import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from flawsmith.data.schema import PixelSize, Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.inspection import region_runs
from flawsmith.inspection.region_tracker import RegionTracker
from flawsmith.inspection.regions import find_regions

SCHEMA = Schema(
    name="test",
    pixel_size_mm=PixelSize(x=0.5, y=0.3),
    backgrounds=make_backgrounds(["surface"]),
    defects=make_defects(["spot", "line", "film"]),
)


def _map(seed, height, width, share):
    """Return a random index map with scores: (1 + D) x H x W, and those of the map's class."""
    generator = np.random.default_rng(seed)
    values = generator.choice([1, 2, 3, 255], size=(height, width), p=[0.5, 0.2, 0.2, 0.1])
    indices = np.where(generator.random((height, width)) < share, values, 0).astype(np.uint8)
    scores = generator.random((4, height, width)).astype(np.float32)
    planes = np.where(indices == 255, 0, indices).astype(np.intp)
    return indices, scores, np.take_along_axis(scores, planes[None], axis=0)[0]


def _cut(generator, height):
    """Return bands (slices) of random heights, some of none, that cover all rows."""
    y, bands = 0, []
    while y < height:
        size = int(generator.integers(0, 7))
        bands.append(slice(y, min(y + size, height)))
        y += size
    return bands


def _tracked(indices, confidences, bands, tracker=None):
    tracker = tracker or RegionTracker(SCHEMA, relative_uncertainty=0.01)
    closed = [tracker.add(indices[band], confidences[band]) for band in bands]
    return [region for regions in closed for region in regions] + tracker.finish()


def _in_order(regions):
    return sorted(regions, key=lambda r: (r.class_id, r.box, r.centroid, r.area_px, r.score))


@settings(max_examples=60)
@given(
    st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 30), st.sampled_from([0.1, 0.5, 0.9])
)
def test_regions_of_bands_are_those_of_the_whole_map(seed, height, width, share):
    indices, scores, confidences = _map(seed, height, width, share)
    whole = find_regions(indices, scores, SCHEMA, relative_uncertainty=0.01)
    bands = _cut(np.random.default_rng(seed), height)
    # Every figure, exactly: no tolerance.
    assert _in_order(_tracked(indices, confidences, bands)) == _in_order(whole)
    assert _tracked(indices, confidences, [slice(0, height)]) != [] or not whole


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([0.2, 0.5, 0.8]))
def test_sums_agree_with_scipy(seed, share):
    indices, _, confidences = _map(seed, 17, 23, share)
    expected = []
    for class_id in (1, 2, 3):
        labels, count = ndimage.label(indices == class_id, structure=np.ones((3, 3)))
        numbers = np.arange(1, count + 1)
        areas = ndimage.sum_labels(np.ones_like(labels), labels, numbers)
        best = ndimage.maximum(confidences, labels, numbers)
        middles = ndimage.center_of_mass(labels > 0, labels, numbers)
        for area, score, (y, x), box in zip(
            areas, best, middles, ndimage.find_objects(labels), strict=True
        ):
            rows, columns = box
            sides = (columns.stop - columns.start, rows.stop - rows.start)
            expected.append((class_id, (columns.start, rows.start, *sides), area, score, x, y))
    regions = _tracked(indices, confidences, [slice(y, y + 1) for y in range(17)])
    found = [(r.class_id, r.box, r.area_px, r.score, *r.centroid) for r in _in_order(regions)]
    assert len(found) == len(expected)
    for mine, theirs in zip(found, sorted(expected, key=lambda e: (*e[:2], e[4:])), strict=True):
        assert mine[:2] == theirs[:2]
        assert mine[2:] == pytest.approx(theirs[2:])


def test_a_region_is_reported_once_it_has_ended_and_not_before():
    indices = np.zeros((6, 8), np.uint8)
    indices[1:3, 2:4] = 1
    confidences = np.full((6, 8), 0.5, np.float16)
    tracker = RegionTracker(SCHEMA)
    assert tracker.add(indices[:2], confidences[:2]) == []
    assert tracker.add(indices[2:3], confidences[2:3]) == []  # a next row could go on with it
    (region,) = tracker.add(indices[3:4], confidences[3:4])
    assert (region.box, region.area_px, region.score) == ((2, 1, 2, 2), 4, 0.5)
    assert tracker.rows == 4
    assert tracker.finish() == []
    assert tracker.rows == 0
    # One band with empty rows at its end: nothing there is open.
    assert tracker.add(indices, confidences) == [region]


def test_arms_that_meet_below_are_one_region_and_arms_that_part_stay_one():
    letter = np.array(
        [[1, 0, 0, 0, 1], [1, 0, 2, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0], [0, 1, 0, 1, 0]],
        np.uint8,
    )
    confidences = np.ones(letter.shape, np.float32)
    rows = [slice(y, y + 1) for y in range(len(letter))]
    one, two = sorted(_tracked(letter, confidences, rows), key=lambda r: r.class_id)
    assert (one.area_px, one.box) == (9, (0, 0, 5, 5))
    assert (two.area_px, two.box) == (1, (2, 1, 1, 1))


def test_wrong_rows_are_refused_and_not_counted():
    tracker = RegionTracker(SCHEMA)
    rows = np.zeros((2, 4), np.uint8)
    tracker.add(rows, np.zeros((2, 4), np.float32))
    with pytest.raises(FlawsmithError, match="rows of 5 pixels after rows of 4"):
        tracker.add(np.zeros((2, 5), np.uint8), np.zeros((2, 5), np.float32))
    with pytest.raises(FlawsmithError, match="expected the same rows"):
        tracker.add(rows, np.zeros((3, 4), np.float32))
    with pytest.raises(FlawsmithError, match="class 4, the schema has 3 defects"):
        tracker.add(rows + np.uint8(4), np.ones((2, 4), np.float32))
    for wrong in (np.nan, -0.1, 1.5, np.inf):
        with pytest.raises(FlawsmithError, match="no number from 0 to 1"):
            tracker.add(rows + np.uint8(1), np.full((2, 4), wrong, np.float32))
    assert tracker.rows == 2
    assert tracker.finish() == []


def test_a_confidence_that_rounding_made_more_than_one_is_one():
    rows, above = np.ones((1, 3), np.uint8), np.nextafter(np.float32(1), np.float32(2))
    tracker = RegionTracker(SCHEMA)
    tracker.add(rows, np.full((1, 3), above))
    (region,) = tracker.finish()
    assert region.score == 1.0


def test_a_region_with_too_many_runs_keeps_its_hull_alone(monkeypatch):
    monkeypatch.setattr(region_runs, "MAX_RUNS", 9)
    indices = np.zeros((12, 7), np.uint8)
    indices[1:11, 2:4] = 1
    indices[1, 5] = indices[4, 5] = 2
    confidences = np.ones(indices.shape, np.float32)
    for bands in ([slice(0, 12)], [slice(y, y + 1) for y in range(12)]):
        large, *small = sorted(_tracked(indices, confidences, bands), key=lambda r: -r.area_px)
        assert large.polygon_is_hull
        assert set(large.polygon) == {(2, 1), (3, 1), (3, 10), (2, 10)}
        assert (large.length_px, large.width_px) == pytest.approx((10, 2))
        assert not any(region.polygon_is_hull for region in small)


def _strip(bands):
    """Yield bands of a strip with a line along all of it, a zigzag and dots that end."""
    rows = np.arange(64)
    for band in range(bands):
        indices = np.zeros((64, 300), np.uint8)
        indices[:, 10] = 1
        y = rows + 64 * band
        indices[rows, 60 + np.abs(y % 80 - 40)] = 2
        indices[8:12, 200:204] = 3
        yield indices, (indices > 0).astype(np.float16)


def test_memory_does_not_grow_with_the_length_of_the_strip(monkeypatch):
    monkeypatch.setattr(region_runs, "MAX_RUNS", 512)
    tracker, kept, dots = RegionTracker(SCHEMA), [], 0
    tracemalloc.start()
    for indices, confidences in _strip(600):
        dots += len(tracker.add(indices, confidences))
        kept.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert dots == 600
    assert max(kept) < 200_000  # the runs of both alone would be 900,000 bytes
    line, zigzag = sorted(tracker.finish(), key=lambda region: region.class_id)
    height = 600 * 64
    assert (line.box, line.area_px) == ((10, 0, 1, height), height)
    assert line.length_mm == pytest.approx(height * 0.3)
    assert set(line.polygon) == {(10, 0), (10, height - 1)}
    assert line.polygon_is_hull
    assert zigzag.box == (60, 0, 41, height)
    # The circle of the line's area, far down a strip, to the last digit.
    assert line.diameter_px == pytest.approx(2 * math.sqrt(height / math.pi), rel=1e-12)
