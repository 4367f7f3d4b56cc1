"""Memorisation, diversity and what wrong arrays are told."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from flawsmith.errors import FlawsmithError
from flawsmith.metrics import generation as g


def test_nearest_distance_finds_the_very_sample():
    rng = np.random.default_rng(0)
    training = rng.normal(size=(30, 1280)).astype(np.float32) * 7
    distances, indices = g.nearest_distance(training[[4, 9]], training)
    assert indices.tolist() == [4, 9]
    assert distances.tolist() == [0.0, 0.0]
    distances, _ = g.nearest_distance(training[[4]] + 1.0, training)
    assert distances[0] == pytest.approx(np.linalg.norm(np.ones(1280)), rel=1e-6)


@pytest.mark.parametrize(("count", "place"), [(19, 1), (39, 2), (100, 5), (3, 1)])
def test_threshold_is_an_order_statistic_and_closed(count, place):
    held_out = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
    threshold = g.copy_threshold(held_out)
    assert threshold.value == place
    assert threshold.expected_share == pytest.approx(place / (count + 1))
    flags = threshold.flags(np.array([place - 0.5, float(place), place + 0.5]))
    assert flags.tolist() == [True, True, False]


def test_fresh_samples_are_flagged_as_often_as_promised():
    rng = np.random.default_rng(1)
    shares = []
    for _ in range(200):
        training, held_out, fresh = rng.normal(size=(3, 40, 2))
        threshold = g.copy_threshold(g.nearest_distance(held_out, training)[0])
        shares.append(threshold.flags(g.nearest_distance(fresh, training)[0]).mean())
    assert np.mean(shares) == pytest.approx(threshold.expected_share, abs=0.015)


def test_flags_are_chance_or_not_by_the_number_of_parts():
    def chance(flagged, parts):
        return g.excess_probability(flagged, 60, 0.05, parts)

    assert chance(0, 10) == pytest.approx(1.0)
    assert chance(60, 2) < 0.01
    assert chance(12, 3) > 0.05  # three parts do not tell a threshold well
    assert chance(12, 200) < 0.01
    found = [chance(count, 10) for count in range(61)]
    assert found == sorted(found, reverse=True)


def test_correlation_sees_through_every_symmetry_and_light():
    rng = np.random.default_rng(0)
    crops = rng.uniform(0, 1, (6, 64, 64)).astype(np.float32)
    known = g.signatures(crops)
    for turn in range(8):
        image = crops[3][:, ::-1] if turn >= 4 else crops[3]
        changed = np.ascontiguousarray(np.rot90(image, turn % 4)) * 0.4 + 0.2
        values, which = g.best_correlation(g.signatures(changed[None]), known)
        assert which[0] == 3
        assert values[0] == pytest.approx(1.0, abs=1e-4)
    values, _ = g.best_correlation(g.signatures(crops[[2]]), known[[0, 1, 3]])
    assert values[0] < 0.3


def test_flat_crops_correlate_with_nothing():
    flat = g.signatures(np.full((1, 40, 40), 0.5, np.float32))
    assert not flat.any()
    assert g.best_correlation(flat, flat)[0][0] == 0.0


def test_diversity_is_the_mean_over_pairs():
    x = np.random.default_rng(0).normal(size=(20, 4))
    assert g.mean_pairwise_distance(x) == pytest.approx(pdist(x).mean())
    assert g.mean_pairwise_distance(np.ones((5, 4))) == 0.0
    assert g.mean_pairwise_distance(x[:1]) is None


def test_diversity_leaves_pairs_of_a_group_out():
    x = np.array([[0.0], [1.0], [10.0]])
    assert g.mean_pairwise_distance(x, ["a", "a", "b"]) == pytest.approx(9.5)
    assert g.mean_pairwise_distance(x, ["a", "a", "a"]) is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: g.kernel_distance(np.ones((3, 4)), np.ones((3, 5))), "4 and 5 dimensions"),
        (lambda: g.frechet_distance(np.ones((1, 4)), np.ones((3, 4))), "at least 2"),
        (lambda: g.kernel_distance(np.full((3, 4), np.nan), np.ones((3, 4))), "not finite"),
        (lambda: g.inception_score(np.ones((3, 4))), "sum 1"),
        (lambda: g.inception_score(np.eye(3), splits=4), "4 splits of 3"),
        (lambda: g.copy_threshold([]), "no held-out"),
        (lambda: g.ssim(np.ones((12, 12)), np.ones((12, 13))), "shapes"),
        (lambda: g.ssim(np.ones((8, 12)), np.ones((8, 12))), "11 x 11"),
    ],
)
def test_wrong_arrays_are_told_apart(call, words):
    with pytest.raises(FlawsmithError, match=words):
        call()
