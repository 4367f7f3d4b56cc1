"""Layouts: where an image shows which background."""

import cv2
import numpy as np
import pytest

from flawsmith.data.mask_bank.layouts import Layout, boundary_distance

BODY, OUTSIDE = 0, 1


def test_boundary_distance_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    backgrounds = cv2.resize(
        rng.integers(0, 3, (4, 5), dtype=np.uint8), (30, 24), interpolation=cv2.INTER_NEAREST
    )
    found = boundary_distance(backgrounds)
    for y, x in rng.integers(0, 24, (40, 2)):
        other = np.argwhere(backgrounds != backgrounds[y, x])
        expected = np.hypot(other[:, 0] - y, other[:, 1] - x).min()
        assert found[y, x] == pytest.approx(expected, rel=0.06)  # OpenCV's 3 x 3 approximation
    assert np.isinf(boundary_distance(np.zeros((3, 3), np.uint8))).all()


def test_layout_fills_ignored_pixels_and_samples_near_the_boundary() -> None:
    backgrounds = np.zeros((200, 300), np.uint8)
    backgrounds[:, 150:] = OUTSIDE
    backgrounds[:10] = 255
    layout = Layout.of(backgrounds, np.random.default_rng(0), "a.png")
    assert layout.present == {BODY, OUTSIDE}
    even, near = layout.distances[: layout.num_even], layout.distances[layout.num_even :]
    assert np.median(near) < 0.4 * np.median(even)
    assert Layout.of(np.full((9, 9), 255, np.uint8), np.random.default_rng(0)).present == {0}
