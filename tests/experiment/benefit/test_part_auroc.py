"""The area under the ROC curve of parts in both arms, from lines of the ledger."""

import numpy as np
import pytest
from scipy import stats

from flawsmith.experiment.benefit.facts import PartAuroc
from flawsmith.experiment.benefit.plan import Step
from flawsmith.experiment.benefit.statistics import compare_arms


def compared(areas: dict[tuple[int, int], tuple[float | None, float | None]]) -> PartAuroc | None:
    """Return what lines of real and an arm say, by fold and seed."""
    results = []
    for (fold, seed), values in areas.items():
        for arm, value in zip(("real", "made"), values, strict=True):
            line = {
                "model": "net", "part_auroc": value, "training_images": {"real": {"pit": 9}},
                "parts": {
                    f"bad{fold}": [["pit"], "F", {"pit": [8, 2, 1]}],
                    f"good{fold}": [[], "P", {}],
                },
                "mix": None if arm == "real" else {"amount": 0.5, "schedule": "mixed"},
            }  # fmt: skip
            results.append((Step("model", arm, fold, "net", seed=seed), line))
    (found,) = compare_arms(results, ["pit"], "net")
    return found.auroc


def test_seeds_of_a_fold_are_averaged_before_folds_are_compared():
    areas = {
        (fold, seed): (0.8 + 0.01 * fold, 0.8 + 0.02 * fold + 0.03 * seed)
        for fold in range(4)
        for seed in range(2)
    }
    found = compared(areas)
    real = np.array([0.8 + 0.01 * fold for fold in range(4)])
    arm = np.array([0.8 + 0.02 * fold + 0.015 for fold in range(4)])
    interval = stats.ttest_rel(arm, real).confidence_interval(0.95)
    assert (found.real, found.arm) == pytest.approx((real.mean(), arm.mean()), abs=1e-6)
    assert found.change.value == pytest.approx((arm - real).mean(), abs=1e-6)
    assert (found.change.low, found.change.high) == pytest.approx(tuple(interval), abs=1e-6)


def test_trainings_on_one_fold_give_no_interval_however_many():
    found = compared({(0, seed): (0.7, 0.7 + 0.1 * seed) for seed in range(3)})
    assert found.change.value == pytest.approx(0.1, abs=1e-6)
    assert found.change.low is None  # all tested the same parts


def test_two_folds_give_a_figure_and_no_interval():
    found = compared({(0, 0): (0.7, 0.8), (1, 0): (0.9, 0.8)})
    assert (found.change.value, found.change.low, found.change.high) == (0.0, None, None)


def test_folds_without_good_parts_have_none():
    assert compared({(0, 0): (None, None), (1, 0): (None, None)}) is None
    found = compared({(0, 0): (None, None), (1, 0): (0.5, 0.75)})
    assert (found.real, found.arm) == (0.5, 0.75)
