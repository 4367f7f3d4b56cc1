import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from flawsmith.errors import FlawsmithError
from flawsmith.metrics.intervals import (
    bootstrap_auroc,
    bootstrap_parts,
    clopper_pearson,
    parts_without_miss,
    rate,
)
from flawsmith.metrics.segmentation import macro_iou


@given(st.integers(1, 400), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_clopper_pearson_is_the_beta_quantile(total, share, level):
    count = round(share * total)
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, count, total - count + 1) if count else 0.0
    high = stats.beta.ppf(1 - tail, count + 1, total - count) if count < total else 1.0
    assert clopper_pearson(count, total, level) == pytest.approx((low, high), abs=1e-9)


def test_clopper_pearson_gives_the_documented_figures():
    assert clopper_pearson(0, 25)[1] == pytest.approx(0.137, abs=5e-4)
    assert clopper_pearson(0, 25, 0.90)[1] == pytest.approx(0.113, abs=5e-4)
    assert clopper_pearson(0, 299, 0.90)[1] <= 0.01 < clopper_pearson(0, 298, 0.90)[1]
    assert clopper_pearson(0, 368)[1] <= 0.01 < clopper_pearson(0, 367)[1]


def test_parts_without_miss_follows_the_stated_convention():
    assert parts_without_miss(0.01) == 299
    assert parts_without_miss(0.01, one_sided=False) == 368


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1])
def test_parts_without_miss_rejects_an_impossible_limit(limit):
    with pytest.raises(FlawsmithError, match="between 0 and 1"):
        parts_without_miss(limit)


@pytest.mark.parametrize(("count", "total"), [(1, 0), (3, 2), (-1, 5), (0, 0)])
def test_clopper_pearson_rejects_what_is_no_rate(count, total):
    with pytest.raises(FlawsmithError, match="no rate"):
        clopper_pearson(count, total)


def test_rate_of_nothing_is_none_and_an_impossible_one_an_error():
    assert rate(0, 0) is None
    found = rate(2, 10)
    assert found is not None
    assert (found.count, found.total) == (2, 10)
    assert (found.low, found.high) == pytest.approx(clopper_pearson(2, 10))
    with pytest.raises(FlawsmithError):
        rate(1, 0)


def test_bootstrap_of_a_share_has_binomial_quantiles():
    values = np.array([1.0] * 12 + [0.0] * 28)
    interval = bootstrap_parts(values, lambda sums: sums / 40, resamples=20_000, seed=3)
    expected = stats.binom.ppf([0.025, 0.975], 40, 0.3) / 40
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-9)


def test_bootstrap_of_macro_iou_agrees_with_plain_resampling():
    generator = np.random.default_rng(0)
    counts = generator.integers(0, 50, size=(15, 3, 3))
    counts[3:, 2] = 0  # the third class is in three parts only, so some resamples lack it
    found = bootstrap_parts(counts, macro_iou, resamples=6000, seed=1)
    values = []
    for _ in range(6000):
        total = counts[generator.integers(0, 15, size=15)].sum(axis=0)
        ious = [tp / (tp + fp + fn) for tp, fp, fn in total.tolist() if tp + fn]
        values.append(sum(ious) / len(ious))
    low, high = np.quantile(values, [0.025, 0.975])
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_bootstrap_is_seeded_and_has_no_interval_for_one_part_or_an_undefined_figure():
    values = np.arange(8.0)
    first, again, other = (
        bootstrap_parts(values, lambda sums: sums, resamples=300, seed=s) for s in (5, 5, 6)
    )
    assert first == again != other
    assert bootstrap_parts(values[:1], lambda sums: sums) is None
    assert bootstrap_parts(np.zeros((4, 2, 3)), macro_iou, resamples=10) is None


def test_bootstrapped_area_is_that_of_the_drawn_parts():
    rng = np.random.default_rng(3)
    parts = np.repeat(np.arange(30), 2)
    truth = np.repeat(rng.random(30) < 0.4, 2)
    scores = np.round(rng.random(60) + 0.3 * truth, 1)  # with ties
    weights = np.random.default_rng(0).multinomial(30, np.full(30, 1 / 30), size=200)
    drawn = [roc_auc_score(truth, scores, sample_weight=row[parts]) for row in weights]
    found = bootstrap_auroc(truth, scores, parts, resamples=200)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)
    assert found.low < roc_auc_score(truth, scores) < found.high


def test_no_area_without_both_kinds_or_with_one_part():
    scores, parts = np.array([0.1, 0.9, 0.4]), np.arange(3)
    assert bootstrap_auroc(np.ones(3, bool), scores, parts) is None
    assert bootstrap_auroc(np.array([True, False, True]), scores, parts * 0) is None
