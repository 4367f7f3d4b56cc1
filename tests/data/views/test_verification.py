"""Agreement of points under a similarity transform, and what is turned away."""

import numpy as np
import pytest

from flawsmith.data.views.coverage import coverage, pixels_agree
from flawsmith.data.views.verification import View, agree

SHAPE = (400, 500)


def views(turn: complex, shift: complex, *, wrong: float = 0.0, count: int = 120):
    """Two views of the same random points; a share of the second one's places is wrong."""
    rng = np.random.default_rng(3)
    descriptors = rng.integers(0, 256, (count, 128)).astype(np.uint8)
    x, y = rng.uniform(0, SHAPE[1], count), rng.uniform(0, SHAPE[0], count)
    size, angle = rng.uniform(3, 9, count), rng.uniform(-np.pi, np.pi, count)
    first = np.stack([x, y, size, angle], 1).astype(np.float32)
    moved = turn * (x + 1j * y) + shift
    lost = rng.random(count) < wrong
    moved[lost] = rng.uniform(0, 500, lost.sum()) + 1j * rng.uniform(0, 400, lost.sum())
    second = [moved.real, moved.imag, size * abs(turn), angle + np.angle(turn)]
    jitter = rng.normal(0, 0.3, (count, 2))
    second = np.stack(second, 1).astype(np.float32)
    second[:, :2] += jitter
    shuffled = rng.permutation(count)
    return (
        View.of(first, descriptors, SHAPE),
        View.of(second[shuffled], descriptors[shuffled], SHAPE),
        (~lost).sum(),
    )


@pytest.mark.parametrize("degrees", [-170, -90, 0, 33, 180])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.2])
def test_known_transform_is_found_among_wrong_matches(degrees, scale):
    turn, shift = scale * np.exp(1j * np.radians(degrees)), 40 - 25j
    first, second, right = views(turn, shift, wrong=0.6)
    found = agree(first, second)
    assert found is not None
    assert abs(found.turn - turn) < 0.01
    assert abs(found.shift - shift) < 3
    assert right * 0.9 <= len(found) <= right + 3


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_implausible_scale_is_turned_away(scale):
    first, second, _ = views(scale, 0)
    assert agree(first, second) is None


def test_places_by_chance_do_not_agree():
    first, second, _ = views(1.0, 0, wrong=1.0)
    assert agree(first, second) is None


@pytest.mark.parametrize("count", [0, 1, 7])
def test_too_few_points_are_no_agreement(count):
    first, second, _ = views(1.0, 0, count=count)
    assert agree(first, second) is None


def test_points_at_one_place_count_once():
    first, second, _ = views(1.0, 0)
    flat = View(first.places * 0 + 5, first.sizes, first.angles, first.descriptors, SHAPE)
    assert agree(flat, second) is None
    assert agree(flat, flat) is None


def test_coverage_is_one_for_even_and_low_for_crowded_points():
    first, second, _ = views(1.0, 0)
    found = agree(first, second)
    everything = np.ones(120, bool)
    even = coverage(first, second, found, everything, everything)
    assert even.cells == pytest.approx(1, abs=0.1)
    assert even.overlap == pytest.approx(1, abs=0.01)
    assert even.is_enough
    assert not even.is_doubtful

    corner = (first.places[found.first].real < 125) & (first.places[found.first].imag < 200)
    part = type(found)(found.first[corner], found.second[corner], found.turn, found.shift)
    crowded = coverage(first, second, part, everything, everything)
    assert not crowded.is_enough
    assert crowded.is_doubtful


def test_overlap_of_shifted_views_is_the_common_area():
    first, second, _ = views(1.0, 250)
    found = agree(first, second)
    everything = np.ones(120, bool)
    covered = coverage(first, second, found, everything, everything)
    assert covered.overlap == pytest.approx(0.5, abs=0.01)
    assert covered.share == pytest.approx(0.5, abs=0.01)


def test_pixels_decide_where_no_points_agree(surfaces):
    first, second, _ = views(1.0, 0)
    found = agree(first, second)
    everything = np.ones(120, bool)
    covered = coverage(first, second, found, everything, everything)
    cells = np.zeros((4, 4), bool)
    cells[1:3, 1:3] = True
    other = surfaces[0].copy()
    other[64:192, 64:192] = surfaces[1][64:192, 64:192]
    square = ((400, 400), (400, 400))
    assert pixels_agree((surfaces[0], surfaces[0] // 2), square, found, covered, cells)
    assert not pixels_agree((surfaces[0], other), square, found, covered, cells)
    flat = np.full_like(other, 9)
    assert not pixels_agree((surfaces[0], flat), square, found, covered, cells)
