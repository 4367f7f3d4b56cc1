"""What is remembered of an image."""

import cv2
import numpy as np
import pytest

from flawsmith.data.views.features import (
    MIN_POINTS,
    POINT_BYTES,
    WORKING_PIXELS,
    extract,
    mirror_descriptors,
    mirror_points,
    normalise,
    points_per_image,
)


def test_mirrored_descriptors_are_those_of_the_flipped_image(surfaces):
    sift = cv2.SIFT.create(nfeatures=300, contrastThreshold=0.01)
    image = surfaces[0]
    keypoints, found = sift.detectAndCompute(image, None)
    rows = [(*k.pt, k.size, np.radians(k.angle)) for k in keypoints]
    flipped_points = mirror_points(np.array(rows, np.float32), image.shape[1])
    there = [
        cv2.KeyPoint(
            float(x), float(y), float(size), float(np.degrees(angle)) % 360, k.response, k.octave
        )
        for (x, y, size, angle), k in zip(flipped_points, keypoints, strict=True)
    ]
    kept, reference = sift.compute(np.ascontiguousarray(image[:, ::-1]), there)
    assert len(kept) == len(keypoints)
    assert len(kept) > 100
    distance = np.linalg.norm(mirror_descriptors(found.astype(np.uint8)) - reference, axis=1)
    unmirrored = np.linalg.norm(found - reference, axis=1)
    assert np.median(distance) < 0.3 * np.median(unmirrored)


def test_mirroring_twice_changes_nothing(surfaces):
    features = extract(surfaces[1])
    twice = mirror_descriptors(mirror_descriptors(features.descriptors))
    np.testing.assert_array_equal(twice, features.descriptors)
    points = mirror_points(mirror_points(features.points, 256), 256)
    np.testing.assert_allclose(points, features.points, atol=1e-3)


@pytest.mark.parametrize("factor", [257, 16, 3])
def test_16_bit_equals_8_bit(surfaces, factor):
    wide = extract(surfaces[2].astype(np.uint16) * factor)
    narrow = extract(surfaces[2])
    np.testing.assert_array_equal(wide.descriptors, narrow.descriptors)
    np.testing.assert_array_equal(wide.points, narrow.points)


def test_grey_in_three_channels_equals_grey(surfaces):
    colour = extract(np.repeat(surfaces[3][..., None], 3, axis=2))
    np.testing.assert_array_equal(colour.points, extract(surfaces[3]).points)


def test_normalise_stretches_percentiles():
    ramp = np.linspace(100, 110, 101).round().astype(np.uint8)[None].repeat(5, 0)
    stretched = normalise(ramp)
    assert (stretched.min(), stretched.max()) == (0, 255)
    assert normalise(np.full((4, 4), 9, np.uint8)).max() == 0
    speck = np.zeros((50, 50), np.uint8)
    speck[0, 0] = 7  # rarer than a percentile
    assert normalise(speck).max() == 255


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (32, 32), (2000, 5400)])
def test_sizes_from_one_pixel_to_a_line_scan_frame(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    features = extract(pixels, 100)
    assert features.shape[0] * features.shape[1] <= WORKING_PIXELS * 1.01
    assert len(features.points) <= 100
    assert features.zoom * shape[1] == pytest.approx(features.shape[1], abs=1)


def test_constant_image_has_neither_points_nor_digest():
    features = extract(np.full((64, 80), 77, np.uint8))
    assert (len(features.points), features.digest) == (0, b"")
    assert not features.thumbnail.any()


def test_points_of_a_corner_do_not_use_up_the_limit(surfaces):
    image = (surfaces[4] // 2 + 60).astype(np.uint8)
    image[:128, :128] = np.random.default_rng(1).integers(0, 256, (128, 128))
    points = extract(image, 200).points
    elsewhere = (points[:, 0] > 128) | (points[:, 1] > 128)
    assert elsewhere.mean() > 0.5


def test_memory_for_points_is_bounded():
    assert points_per_image(1) == points_per_image(1000) == 512
    for count in (10_000, 30_000):
        assert points_per_image(count) * POINT_BYTES * count <= 560e6
    assert points_per_image(10**6) == MIN_POINTS
