"""Figures of whole images against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from flawsmith.metrics import classification


def drawn(seed, images=60, classes=3):
    """Return truth, scores with ties and thresholds."""
    rng = np.random.default_rng(seed)
    truth = rng.random((images, classes)) < 0.3
    scores = np.round(np.clip(0.3 * truth + rng.normal(0.4, 0.2, truth.shape), 0, 1), 2)
    return truth, scores, rng.uniform(0.3, 0.7, classes)


@pytest.mark.parametrize("seed", range(5))
def test_figures_agree_with_scikit_learn(seed):
    truth, scores, thresholds = drawn(seed)
    found = scores >= thresholds
    counts = classification.image_counts(truth, found)
    assert counts.sum(axis=1).tolist() == [60] * 3
    ours = [f(counts) for f in (classification.recall, classification.precision, classification.f1,
                                classification.balanced_accuracy)]  # fmt: skip
    for k in range(3):
        pair = truth[:, k], found[:, k]
        expected = [metrics.recall_score(*pair), metrics.precision_score(*pair),
                    metrics.f1_score(*pair), metrics.balanced_accuracy_score(*pair)]  # fmt: skip
        assert [values[k] for values in ours] == pytest.approx(expected)
    expected = metrics.f1_score(truth, found, average="macro")
    assert classification.macro_f1(counts) == pytest.approx(expected)
    mean = classification.macro_balanced_accuracy(counts)
    assert mean == pytest.approx(np.mean(ours[3]))
    value = classification.average_precision(truth[:, 0], scores[:, 0])
    recall, precision = classification.curve(truth[:, 0], scores[:, 0])
    assert recall.tolist() == sorted(recall)
    assert recall[-1] == 1
    assert (np.diff(recall, prepend=0) * precision).sum() == pytest.approx(value)


def test_what_is_undefined_is_nan_or_none():
    counts = np.array([[0, 4, 0, 6], [3, 0, 2, 0], [0, 0, 5, 5]])  # absent; everywhere; not found
    recall, precision = classification.recall(counts), classification.precision(counts)
    np.testing.assert_allclose(recall, [np.nan, 0.6, 0.0])
    np.testing.assert_allclose(precision, [np.nan, 1.0, 0.0])
    np.testing.assert_allclose(classification.f1(counts), [np.nan, 0.75, 0.0])
    np.testing.assert_allclose(classification.balanced_accuracy(counts), [np.nan, np.nan, 0.5])
    assert classification.macro_f1(counts) == pytest.approx(0.375)
    assert np.isnan(classification.macro_f1(counts[:1]))
    none, scores = np.zeros(3, bool), np.array([0.1, 0.2, 0.3])
    assert classification.auroc(none, scores) is classification.auroc(~none, scores) is None
    assert classification.average_precision(none, scores) is None
    assert classification.curve(none, scores)[0].size == 0
    assert classification.best_threshold(none, scores) is None


@pytest.mark.parametrize("seed", range(5))
def test_best_threshold_has_the_best_f1(seed):
    truth, scores, _ = drawn(seed)
    chosen = classification.best_threshold(truth[:, 0], scores[:, 0])
    values = [
        metrics.f1_score(truth[:, 0], scores[:, 0] >= t, zero_division=0)
        for t in (chosen, *np.linspace(0, 1, 101))
    ]
    assert values[0] == max(values)


def test_best_threshold_is_halfway_and_of_equal_ones_the_lowest():
    truth = np.array([False, False, True, True])
    assert classification.best_threshold(truth, np.array([0.1, 0.2, 0.6, 0.9])) == pytest.approx(
        0.4
    )
    # Positives at 0.2 and 0.8 around a negative at 0.5 (and 0.1): all three above 0.15 give
    # 2 * 2 / (3 + 2) = 0.8, the one above 0.65 gives 2 / 3.
    scores = np.array([0.1, 0.5, 0.2, 0.8])
    assert classification.best_threshold(truth, scores) == pytest.approx(0.15)
    assert classification.best_threshold(np.ones(4, bool), scores) == pytest.approx(0.1)
    assert 0 < classification.best_threshold(np.array([True]), np.array([0.0])) < 1e-30


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=20),
    st.floats(1e-6, 1),
)
def test_verdict_scale_keeps_the_order_and_puts_the_threshold_at_one_half(scores, threshold):
    scores = np.sort(np.array(scores))
    scaled = classification.verdict_scale(scores, np.array(threshold))
    assert (np.diff(scaled) >= 0).all()
    assert ((scaled >= 0.5) == (scores >= threshold)).all()
    assert scaled.min() >= 0
    assert scaled.max() <= 1
