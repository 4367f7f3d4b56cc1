"""Paired changes against closed forms and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from flawsmith.experiment.robustness.changes import auroc_change, macro_change, verdict_change
from flawsmith.experiment.robustness.facts import PartFigures


def part(name, *, defective, fails=False, score=0.0, counts=((0, 0, 0),)):
    return PartFigures(
        part=name, defective=defective, fails=fails, score=score, counts=[list(c) for c in counts]
    )


def pair(before, after, *, defective=True):
    return (
        part("a", defective=defective, counts=before), part("a", defective=defective, counts=after)
    )  # fmt: skip


def test_macro_change_is_the_difference_of_pooled_figures():
    pairs = [
        pair([(8, 2, 0), (5, 0, 5)], [(4, 2, 4), (5, 0, 5)]),
        pair([(2, 8, 0), (0, 0, 0)], [(2, 8, 0), (0, 0, 0)]),
    ]
    change = macro_change(pairs)
    # First class 10 / 20 to 6 / 20, second 5 / 10 both times.
    assert change.value == pytest.approx((0.3 - 0.5) / 2)
    assert change.low <= change.value <= change.high


def test_a_class_that_is_gone_does_not_count():
    change = macro_change([pair([(8, 2, 0), (1, 0, 9)], [(4, 2, 4), (0, 3, 0)])] * 3)
    assert change.value == pytest.approx(0.4 - 0.8)
    assert macro_change([pair([(0, 1, 0)], [(0, 2, 0)])]) is None


def test_equal_parts_have_an_interval_without_width():
    change = macro_change([pair([(8, 2, 0)], [(5, 2, 3)])] * 6)
    assert (change.low, change.high) == (pytest.approx(-0.3), pytest.approx(-0.3))
    assert macro_change([pair([(8, 2, 0)], [(5, 2, 3)])]).low is None


def test_a_model_without_classes_has_no_iou():
    assert macro_change([pair([], [])]) is None


def verdicts(defective, before, after):
    return [
        (part(str(i), defective=defective, fails=a), part(str(i), defective=defective, fails=b))
        for i, (a, b) in enumerate(zip(before, after, strict=True))
    ]


def test_verdicts_are_counted_part_by_part():
    missed = verdicts(True, [True] * 8 + [False] * 2, [True] * 3 + [False] * 6 + [True])
    change = verdict_change(missed, defective=True)
    assert (change.newly_wrong, change.newly_right) == (5, 1)
    assert change.value == pytest.approx(0.4)
    assert change.p == pytest.approx(2 * (1 + 6) / 2**6)  # 0 or 1 of 6 tosses, both sides
    assert change.low < 0.4 < change.high
    rejected = verdicts(False, [False] * 4, [True] + [False] * 3)
    change = verdict_change(missed + rejected, defective=False)
    assert (change.newly_wrong, change.newly_right, change.value) == (1, 0, 0.25)
    assert verdict_change(missed, defective=False) is None


def by_ranks(truth, scores):
    """The area from Mann and Whitney's U."""
    bad, good = truth.sum(), (~truth).sum()
    return (rankdata(scores)[truth].sum() - bad * (bad + 1) / 2) / (bad * good)


def test_area_change_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.random(60) < 0.4
    before = np.round(rng.random(60) + 0.6 * truth, 1)  # with ties
    after = np.round(rng.random(60) + 0.1 * truth, 1)
    pairs = [
        (part(str(i), defective=bool(t), score=a), part(str(i), defective=bool(t), score=b))
        for i, (t, a, b) in enumerate(zip(truth, before / 2, after / 2, strict=True))
    ]
    change = auroc_change(pairs)
    expected = roc_auc_score(truth, after) - roc_auc_score(truth, before)
    assert change.value == pytest.approx(expected)
    assert change.low < expected < change.high
    drawn = []
    for _ in range(600):
        chosen = rng.integers(0, 60, 60)
        if 0 < truth[chosen].sum() < 60:
            drawn.append(
                by_ranks(truth[chosen], after[chosen]) - by_ranks(truth[chosen], before[chosen])
            )
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (change.low, change.high) == (
        pytest.approx(low, abs=0.04),
        pytest.approx(high, abs=0.04),
    )
    assert auroc_change([p for p in pairs if p[0].defective]) is None
