import itertools
import math

import numpy as np
import pytest
from scipy import stats

from flawsmith.errors import FlawsmithError
from flawsmith.metrics.paired import (
    compare,
    holm,
    mcnemar,
    mean_difference,
    swap_test,
)


def macro(counts):
    """The definition, in plain Python."""
    values = []
    for hits, false, misses in counts.sum(axis=0):
        if hits + misses > 0:
            values.append(hits / (hits + false + misses))
    return sum(values) / len(values)


def tables(seed, parts=12, classes=3, gain=0.0):
    rng = np.random.default_rng(seed)
    area = rng.integers(50, 500, parts).astype(float)
    out = []
    for arm in range(2):
        counts = np.zeros((parts, classes, 3))
        for i in range(parts):
            share = min(1.0, rng.uniform(0.2, 0.7) + gain * arm)
            counts[i, i % classes] = [area[i] * share, rng.integers(1, 80), area[i] * (1 - share)]
        out.append(counts)
    return out[0], out[1], np.arange(parts) // classes % 4


def test_values_are_the_pooled_differences():
    real, arm, folds = tables(0)
    found = compare(real, arm, folds, resamples=200)
    assert found.macro.value == pytest.approx(macro(arm) - macro(real))
    for i in range(3):
        expected = macro(arm[:, i : i + 1]) - macro(real[:, i : i + 1])
        assert found.classes[i].value == pytest.approx(expected)


def test_a_class_that_no_part_shows_has_no_figure():
    real, arm, folds = tables(0)
    real[:, 2, :] = arm[:, 2, :] = 0
    real[0, 2, 1] = 7  # false positives alone do not make a class present
    found = compare(real, arm, folds, resamples=50)
    assert found.classes[2] is None
    assert found.macro.value == pytest.approx(macro(arm[:, :2]) - macro(real[:, :2]))


def test_bootstrap_agrees_with_a_plain_one():
    real, arm, folds = tables(1)
    found = compare(real, arm, np.zeros_like(folds), resamples=4000)
    rng = np.random.default_rng(5)
    drawn = []
    for _ in range(3000):
        rows = rng.integers(0, len(real), len(real))
        drawn.append(macro(arm[rows]) - macro(real[rows]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert found.macro.low == pytest.approx(low, abs=0.02)
    assert found.macro.high == pytest.approx(high, abs=0.02)
    assert found.macro.standard_error == pytest.approx(np.std(drawn), rel=0.1)
    assert found.luck_p is None


def test_swap_test_is_exact_for_few_parts():
    real, arm, _ = tables(2, parts=7)
    observed = abs(macro(arm) - macro(real))
    extreme = 0
    for swaps in itertools.product([False, True], repeat=7):
        mask = np.array(swaps)[:, None, None]
        difference = macro(np.where(mask, real, arm)) - macro(np.where(mask, arm, real))
        extreme += abs(difference) >= observed - 1e-12
    assert swap_test(real, arm) == pytest.approx(extreme / 2**7)


def test_random_swaps_approach_the_exact_value():
    real, arm, _ = tables(3, parts=13, gain=0.05)
    doubled = [np.concatenate([t, np.zeros((3, 3, 3))]) for t in (real, arm)]
    exact = swap_test(*doubled)  # parts that do not differ are no reason to draw
    assert exact == swap_test(real, arm)
    doubled[1][13, 0, 1] = 1e-6  # one more part that differs: random now
    assert swap_test(*doubled) == pytest.approx(exact, abs=0.02)


def test_equal_arms_are_never_different():
    real, _, folds = tables(4)
    found = compare(real, real.copy(), folds, resamples=100)
    assert found.macro.value == 0
    assert (found.swap_p, found.luck_p) == (1.0, 1.0)


def test_interval_covers_the_jackknife_over_folds():
    real, arm, folds = tables(5)
    arm[folds == 0, :, 0] += arm[folds == 0, :, 2]  # one fold where all is found
    arm[folds == 0, :, 2] = 0
    found = compare(real, arm, folds, resamples=500).macro
    left_out = [macro(arm[folds != k]) - macro(real[folds != k]) for k in range(4)]
    error = math.sqrt(3 / 4 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    reach = stats.t.ppf(0.975, 3) * error
    assert found.luck_error == pytest.approx(error)
    assert found.low <= found.value - reach + 1e-12
    assert found.high >= found.value + reach - 1e-12


def test_jackknife_over_folds_of_one_part_each_is_that_of_a_mean():
    # With equal unions pooled IoU is a mean over parts; its jackknife error is s / sqrt(n).
    hits = np.array([10.0, 30, 20, 60, 50])
    arm = np.stack([hits, 0 * hits, 100 - hits], axis=1)[:, None]
    real = np.stack([0 * hits, 0 * hits, 100 + 0 * hits], axis=1)[:, None]
    found = compare(real, arm, np.arange(5), resamples=100)
    assert found.macro.luck_error == pytest.approx(np.std(hits / 100, ddof=1) / math.sqrt(5))


def test_seeds_widen_the_interval_where_folds_are_too_few():
    real, arm, folds = tables(6)
    one_fold = np.zeros_like(folds)
    lucky = [(tables(s)[0], tables(s)[1]) for s in (7, 8, 9)]
    alone = compare(real, arm, one_fold, resamples=500)
    found = compare(real, arm, one_fold, seeds=lucky, resamples=500)
    error = np.std([macro(b) - macro(a) for a, b in lucky], ddof=1) / math.sqrt(3)
    assert found.macro.luck_error == pytest.approx(error)
    assert found.macro.standard_error == pytest.approx(math.hypot(alone.macro.parts_error, error))
    assert found.macro.low < alone.macro.low < alone.macro.high < found.macro.high
    assert found.p == max(found.swap_p, found.luck_p)


def test_one_part_gives_a_figure_and_no_interval():
    real, arm, _ = tables(0, parts=1, classes=1)
    found = compare(real, arm, np.zeros(1, np.int64))
    assert found.macro.low is None
    assert found.p is None


def test_unpaired_tables_are_refused():
    real, arm, folds = tables(0)
    with pytest.raises(FlawsmithError, match="not paired"):
        compare(real, arm[1:], folds)
    arm[0, 0, 2] += 5
    with pytest.raises(FlawsmithError, match="different masks"):
        compare(real, arm, folds)


def test_holm_is_the_textbook_example():
    # Holm (1979): smallest times m, next times m - 1, never falling, at most 1.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_mcnemar_is_a_sign_test():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(0, 5) == pytest.approx(2 * 0.5**5)
    assert mcnemar(1, 7) == pytest.approx(2 * (1 + 8) / 2**8)


def test_mean_of_differences_has_the_interval_of_the_t_test():
    values = [0.03, -0.01, 0.04, 0.02]
    found = mean_difference(values, level=0.9)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert found.value == pytest.approx(np.mean(values))
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert mean_difference(values[:2]).low is None
    with pytest.raises(ValueError, match="no values"):
        mean_difference([])
