"""Shapes of defects: instances out of a mask, and variants that stay like them."""

import cv2
import numpy as np
import pytest

from flawsmith.data.mask_bank.shapes import Variation, direction, heart, split_instances, vary


def vary_mask(mask, rng, *, upright=False, **size):
    return vary(mask, rng, Variation(upright=upright), **size).mask


def test_instances_join_close_satellites_only() -> None:
    mask = np.zeros((40, 40), np.bool_)
    mask[5:8, 5:8] = True
    mask[5:8, 12:15] = True  # four pixels between: joined
    mask[8, 15] = True  # touches the second by a corner
    mask[30:32, 5:7] = True  # far away
    mask[30:32, 12:14] = True  # five pixels between: apart
    pieces = list(split_instances(mask))
    assert sorted(int(p.mask.sum()) for p in pieces) == [4, 4, 19]
    rebuilt = np.zeros_like(mask)
    for piece in pieces:
        rows, columns = piece.mask.shape
        rebuilt[piece.top : piece.top + rows, piece.left : piece.left + columns] |= piece.mask
    np.testing.assert_array_equal(rebuilt, mask)


def test_heart_is_a_pixel_of_a_ring() -> None:
    ring = np.zeros((21, 21), np.uint8)
    cv2.circle(ring, (10, 10), 8, 1, 1)
    assert ring[heart(ring > 0)] == 1


def test_direction_of_lines_and_discs() -> None:
    across = np.ones((1, 20), np.bool_)
    assert direction(across) == pytest.approx(1 + 0j)
    assert direction(across.T) == pytest.approx(-1 + 0j)
    assert direction(np.eye(20, dtype=np.bool_)) == pytest.approx(1j)
    assert abs(direction(np.ones((9, 9), np.bool_))) < 1e-9
    assert direction(np.ones((1, 1), np.bool_)) == 0


def test_variants_keep_the_area_within_the_stated_limits() -> None:
    line = np.zeros((60, 60), np.uint8)
    cv2.line(line, (5, 8), (52, 47), 1, 1)
    disc = np.zeros((41, 41), np.uint8)
    cv2.circle(disc, (20, 20), 18, 1, -1)
    for shape in (line > 0, disc > 0):
        # Scale 0.7 to 1.4 in both directions, then 0.85 to 1.2; bending adds a little.
        low, high = 0.7**2 * 0.85, 1.4**2 * 1.2
        ratios = [
            vary_mask(shape, np.random.default_rng(s), height=256, width=256).sum() / shape.sum()
            for s in range(80)
        ]
        assert 0.8 * low < min(ratios) < 0.8
        assert 1.3 < max(ratios) < 1.15 * high


def test_variants_differ_and_depend_on_the_generator_alone() -> None:
    shape = np.tri(15, dtype=np.bool_)
    first = vary_mask(shape, np.random.default_rng(3), height=64, width=64)
    again = vary_mask(shape, np.random.default_rng(3), height=64, width=64)
    np.testing.assert_array_equal(first, again)
    others = {
        vary_mask(shape, np.random.default_rng(s), height=64, width=64).tobytes() for s in range(20)
    }
    assert len(others) == 20


def test_a_single_pixel_never_vanishes() -> None:
    dot = np.ones((1, 1), np.bool_)
    for seed in range(200):
        varied = vary_mask(dot, np.random.default_rng(seed), height=16, width=16)
        assert 1 <= varied.sum() <= 6


def test_upright_variants_keep_their_direction() -> None:
    line = np.ones((40, 3), np.bool_)
    turned = [
        direction(vary_mask(line, np.random.default_rng(s), height=64, width=64, upright=True))
        for s in range(50)
    ]
    free = [
        direction(vary_mask(line, np.random.default_rng(s), height=64, width=64)) for s in range(50)
    ]
    assert abs(np.mean(turned)) > 0.8
    assert np.mean(turned).real < -0.8, "still vertical"
    assert abs(np.mean(free)) < 0.4


def test_mask_larger_than_the_tile_fills_it_where_it_was_cut() -> None:
    disc = np.zeros((500, 500), np.uint8)
    cv2.circle(disc, (250, 250), 240, 1, -1)
    seen = set()
    for seed in range(40):
        varied = vary_mask(disc > 0, np.random.default_rng(seed), height=48, width=32)
        assert varied.shape == (48, 32)
        seen.add(varied.tobytes())
    assert len(seen) > 5, "cropped around different points, some at its rim"
