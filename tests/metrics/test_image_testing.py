"""Thresholds and figures of a test on labels of whole images, worked out by hand."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.thresholds import Thresholds
from flawsmith.metrics.evaluation import Evaluation
from flawsmith.metrics.image_testing import choose_image_thresholds, evaluate_images, score_images

SCHEMA = Schema(
    name="welds",
    backgrounds=make_backgrounds(["surface"]),
    defects=make_defects(["pore", "crack", "never"]),
)
THRESHOLDS = Thresholds(pixel=[0.5, 0.8, 0.5])
# name: (part, labels, scores in percent)
IMAGES = {
    "a1": ("a", ["pore"], (90, 10, 0)),  # found
    "a2": ("a", [], (20, 10, 0)),  # the good view of a defective part
    "b": ("b", ["pore", "crack"], (70, 60, 0)),  # the pore is found, the crack is missed
    "c": ("c", ["crack"], (60, 90, 0)),  # found, and a false pore
    "d": ("d", ["pore"], (40, 20, 0)),  # missed: the part escapes
    "g": ("g", [], (10, 70, 0)),
    "h": ("h", [], (0, 85, 0)),  # a good part that fails
    "x": ("g", ["pore"], (99, 99, 99)),  # excluded
}


def read_scores(image):
    """A predictor whose scores stand in the image's first pixels."""
    return image[0, :3].astype(np.float32) / 100


@pytest.fixture
def dataset(tmp_path):
    with DatasetWriter(tmp_path / "set", SCHEMA) as writer:
        for name, (part, labels, scores) in IMAGES.items():
            image = np.zeros((6, 8), np.uint8)
            image[0, :3] = scores
            fields = {"part": part, "labels": labels, "weak_labels": labels}
            if name == "x":
                fields["excluded"] = "blurred"
            writer.add(name, image, LabelMap(image * 0, image * 0), **fields)
    return DefectDataset.open(tmp_path / "set")


def evaluate(dataset, thresholds=THRESHOLDS, records=None):
    scored = score_images(dataset, dataset.records if records is None else records, read_scores)
    composition = {"real": {"pore": 3}}
    return evaluate_images(
        dataset, scored, thresholds, arm="real", model="reader", fold=0, composition=composition
    )


def test_figures_of_a_hand_made_test(dataset):
    found = evaluate(dataset)
    pore, crack, never = found.classes
    assert (pore.true_positive, pore.false_positive, pore.false_negative) == (2, 1, 1)
    assert (crack.true_positive, crack.false_positive, crack.false_negative) == (1, 1, 1)
    assert (pore.parts, pore.images, crack.parts, never.images) == (3, 3, 2, 0)
    assert (pore.recall, pore.precision, pore.f1) == pytest.approx((2 / 3,) * 3)
    assert pore.balanced_accuracy == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert crack.balanced_accuracy == pytest.approx((1 / 2 + 4 / 5) / 2)
    assert pore.auroc == roc_auc_score([1, 0, 1, 0, 1, 0, 0], [90, 20, 70, 60, 40, 10, 0])
    assert never.recall is never.f1 is never.auroc is never.f1_interval is None
    assert found.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.macro_balanced_accuracy == pytest.approx((17 / 24 + 13 / 20) / 2)
    assert pore.iou is pore.defect_recall is found.macro_iou is found.pixel_accuracy is None
    assert (found.level, found.images, found.predictions) == ("image", 7, {})
    assert pore.recall_interval.low <= pore.recall <= pore.recall_interval.high
    interval = found.macro_f1_interval
    assert interval.low < found.macro_f1 < interval.high


def test_verdicts_of_parts_name_class_image_and_score(dataset):
    found = evaluate(dataset)
    parts = {part.part: part for part in found.parts}
    verdicts = {name: part.verdict for name, part in parts.items()}
    assert verdicts == dict(zip("abcdgh", ["FAIL"] * 3 + ["PASS"] * 2 + ["FAIL"], strict=True))
    assert (found.escape.count, found.escape.total) == (1, 4)
    assert (found.overkill.count, found.overkill.total) == (1, 2)
    assert parts["a"].reason == "pore in images/a1.png, score 0.90"
    assert parts["h"].reason == "crack in images/h.png, score 0.85"
    assert (parts["a"].worst_view, parts["a"].labels) == ("images/a1.png", ["pore"])
    assert parts["b"].labels == ["pore", "crack"]
    # 0.9 of a threshold 0.5 is 0.5 + 0.5 * 0.4 / 0.5; 0.7 of 0.8 is 0.5 * 7 / 8.
    assert parts["a"].score == pytest.approx(0.9)
    assert parts["g"].score == pytest.approx(0.4375)
    assert parts["d"].score == pytest.approx(0.4)
    assert all((part.score >= 0.5) == (part.verdict == "FAIL") for part in found.parts)
    assert parts["a"].counts == {"pore": [1, 0, 0], "crack": [0, 0, 0], "never": [0, 0, 0]}
    assert parts["b"].counts["crack"] == [0, 0, 1]
    truth = [1, 1, 1, 1, 0, 0]
    assert found.part_auroc == roc_auc_score(truth, [parts[p].score for p in "abcdgh"])


def test_thresholds_are_chosen_per_class(dataset):
    chosen = choose_image_thresholds(score_images(dataset, dataset.records, read_scores))
    # Pores: 0.9, 0.7, 0.4 against 0.6 and lower: all three above 0.3 give F1 6 / 7.
    assert chosen.pixel[0] == pytest.approx(0.3)
    # Cracks: 0.9, 0.6 against 0.85, 0.7: the upper one alone gives 2 / 3, as do all four.
    assert chosen.pixel[1] == pytest.approx(0.4)
    assert chosen.pixel[2] == pytest.approx(0.35)  # never seen: the median of the others
    # Parts on the scale of these: c 0.5 + 0.5 * 0.5 / 0.6 = 0.917 and a above, h 0.875, b 0.786.
    assert chosen.region == pytest.approx((0.5 + 0.5 * 0.5 / 0.6 + 0.875) / 2)
    good = [record for record in dataset if record.part in "gh"]
    fallback = choose_image_thresholds(score_images(dataset, good, read_scores))
    assert fallback == Thresholds(pixel=[0.5] * 3, region=0.5)


def test_the_region_threshold_decides_over_parts_not_over_images(dataset):
    strict = evaluate(dataset, Thresholds(pixel=THRESHOLDS.pixel, region=0.72))
    assert [part.part for part in strict.parts if part.verdict == "FAIL"] == ["a", "c"]
    assert strict.classes == evaluate(dataset).classes


def test_result_survives_its_file_and_old_files_load(dataset, tmp_path):
    found = evaluate(dataset)
    found.save(tmp_path)
    assert Evaluation.load(tmp_path) == found
    values = json.loads((tmp_path / "evaluation.json").read_text())
    for name in ("level", "activations", *(key for key in values if key.startswith("macro_f1"))):
        del values[name]
    for name in ("recall", "f1", "auroc", "balanced_accuracy_interval"):
        del values["classes"][0][name]
    (tmp_path / "evaluation.json").write_text(json.dumps(values))
    old = Evaluation.load(tmp_path)
    assert (old.level, old.macro_f1, old.activations) == ("pixel", None, [])
    assert old.classes[0].recall is None


def test_one_part_has_no_interval_and_one_kind_no_area(dataset):
    bad = evaluate(dataset, records=[r for r in dataset if r.part in "ac"])
    assert bad.classes[0].f1_interval is None
    assert bad.overkill is bad.part_auroc is None
    good = evaluate(dataset, records=[r for r in dataset if r.part in "gh"])
    assert good.escape is good.macro_f1 is good.macro_f1_interval is None
    assert good.macro_balanced_accuracy is None


def test_what_cannot_be_tested_is_refused(dataset):
    fake = dataset.records[0].model_copy(update={"source": "synthetic"})
    with pytest.raises(FlawsmithError, match="1 of 1 test images are synthetic"):
        score_images(dataset, [fake], read_scores)
    with pytest.raises(FlawsmithError, match="made for another data set"):
        score_images(dataset, dataset.records, lambda image: read_scores(image)[:2])
    with pytest.raises(FlawsmithError, match="not finite"):
        score_images(dataset, dataset.records, lambda image: read_scores(image) * np.float32("nan"))
    with pytest.raises(FlawsmithError, match="2 thresholds for the 3 defect classes"):
        evaluate(dataset, Thresholds(pixel=[0.5, 0.5]))


def test_progress_counts_images(dataset):
    steps = []
    score_images(dataset, dataset.records, read_scores, steps.append)
    assert sum(steps) == 7
