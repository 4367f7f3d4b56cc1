"""Figures by which arms are compared, and their paired differences where images are counted."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score

from flawsmith.experiment.benefit.plan import Step
from flawsmith.experiment.benefit.statistics import compare_arms, figure_of, part_table
from flawsmith.metrics.paired import compare, swap_test
from flawsmith.metrics.pooled import BALANCED_ACCURACY, F1, IOU, RECALL


def judged(seed, parts=8, images=6, classes=2, miss=0.3):
    """Return truth and prediction of P x N images and K classes."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((parts, images, classes), bool)
    truth[np.arange(parts), :, np.arange(parts) % (classes + 1) % classes] = True
    truth[:: classes + 1] = False
    return truth, truth ^ (rng.random(truth.shape) < miss)


def counts_of(truth, found):
    """The definition, in plain NumPy: P x K x 4."""
    columns = (truth & found, ~truth & found, truth & ~found, ~truth & ~found)
    return np.stack([c.sum(axis=1) for c in columns], axis=-1).astype(float)


@pytest.mark.parametrize(
    ("figure", "reference"),
    [(F1, f1_score), (RECALL, recall_score), (BALANCED_ACCURACY, balanced_accuracy_score)],
)
def test_figures_of_images_are_those_of_scikit_learn(figure, reference):
    truth, found = judged(0)
    pooled = counts_of(truth, found).sum(axis=0)
    expected = [reference(truth[..., k].ravel(), found[..., k].ravel()) for k in range(2)]
    assert figure.of_classes(pooled) == pytest.approx(expected)
    assert float(figure.macro(pooled)) == pytest.approx(np.mean(expected))


def test_f1_by_hand_with_fractions_of_several_seeds():
    # Two classes: 2 * 3 / (6 + 1 + 1) and 2 * 0.5 / (1 + 0 + 1.5).
    pooled = np.array([[3, 1, 1, 5], [0.5, 0, 1.5, 8]])
    assert F1.of_classes(pooled).tolist() == [0.75, 0.4]
    assert float(F1.macro(pooled)) == pytest.approx(0.575)
    assert IOU.of_classes(pooled).tolist() == [0.6, 0.25]  # F1 / (2 - F1)


def test_a_figure_that_no_image_can_give_has_no_interval():
    # All images show the only class, so nobody knows how many others would be left alone.
    hits = np.array([1, 0, 1, 1, 0, 1], float)
    reference, arm = (
        np.stack([h, 0 * h, 1 - h, 0 * h], axis=-1)[:, None] for h in (hits, hits[::-1])
    )
    folds = np.zeros(6, np.int64)
    found = compare(reference, arm, folds, figure=BALANCED_ACCURACY)
    assert np.isnan(found.macro.value)
    assert (found.macro.low, found.macro.high, found.classes) == (None, None, [None])
    assert compare(reference, arm, folds, figure=RECALL).macro.low is not None


def test_paired_f1_and_its_swap_test_are_those_of_the_definition():
    truth, real = judged(1, parts=7)
    arm = judged(1, parts=7, miss=0.1)[1]
    tables = counts_of(truth, real), counts_of(truth, arm)

    def macro(found):
        return np.mean([f1_score(truth[..., k].ravel(), found[..., k].ravel()) for k in range(2)])

    found = compare(*tables, np.zeros(7, np.int64), figure=F1, resamples=200)
    assert found.macro.value == pytest.approx(macro(arm) - macro(real))
    assert found.macro.low < found.macro.value < found.macro.high
    observed, extreme = abs(macro(arm) - macro(real)), 0
    for swaps in itertools.product([False, True], repeat=7):
        mask = np.array(swaps)[:, None, None]
        difference = macro(np.where(mask, real, arm)) - macro(np.where(mask, arm, real))
        extreme += abs(difference) >= observed - 1e-12
    assert swap_test(*tables, figure=F1) == pytest.approx(extreme / 2**7)


def lines(truth, predictions):
    """Ledger lines of real and one arm, as a test at the level of images writes them."""
    names, results = ["crack", "pore"], []
    for arm, found in predictions.items():
        parts = {}
        for p, table in enumerate(counts_of(truth, found)):
            labels = [n for k, n in enumerate(names) if truth[p, :, k].any()]
            own = {n: table[k, :3].tolist() for k, n in enumerate(names) if table[k, :3].any()}
            parts[f"p{p}"] = [labels, "F" if own else "P", own, truth.shape[1]]
        line = {
            "level": "image", "model": "cnn", "parts": parts,
            "mix": None if arm == "real" else {"amount": 0.5, "schedule": "mixed"},
            "training_images": {"real": {"crack": 90, "pore": 8}},
        }  # fmt: skip
        results.append((Step("model", arm, 0, "cnn"), line))
    return results


def test_lines_of_images_are_compared_by_f1_with_recall_beside_it():
    truth, real = judged(2)
    arm = judged(2, miss=0.05)[1]
    results = lines(truth, {"real": real, "bagan_gp": arm})
    assert figure_of(results) is F1
    table, _ = part_table([results[0][1]], [0], ["crack", "pore"])
    assert table.tolist() == counts_of(truth, real).tolist(), "true negatives are what is left"
    (found,) = compare_arms(results, ["crack", "pore"], "cnn")
    assert found.figure == "F1"
    expected = [f1_score(truth[..., k].ravel(), arm[..., k].ravel()) for k in range(2)]
    assert found.macro == pytest.approx(np.mean(expected), abs=1e-6)
    assert found.rarest == "pore"
    recall, balanced = found.further
    assert (recall.name, balanced.name) == ("recall", "balanced accuracy")
    pore = recall_score(truth[..., 1].ravel(), arm[..., 1].ravel())
    assert recall.classes[1].arm == pytest.approx(pore, abs=1e-6)
    assert recall.classes[1].change.value == pytest.approx(
        recall.classes[1].arm - recall.classes[1].real, abs=2e-6
    )
