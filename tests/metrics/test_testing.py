import math

import cv2
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, jaccard_score, roc_auc_score

from flawsmith.data.dataset import DatasetWriter, DefectDataset, LabelMap
from flawsmith.data.schema import Schema, make_backgrounds, make_defects
from flawsmith.errors import FlawsmithError
from flawsmith.inspection.thresholds import Thresholds, classify
from flawsmith.metrics.evaluation import Evaluation
from flawsmith.metrics.intervals import clopper_pearson
from flawsmith.metrics.testing import choose_thresholds, evaluate

SCHEMA = Schema(
    name="squares",
    simulated=True,
    backgrounds=make_backgrounds(["surface"]),
    defects=make_defects(["square", "bar", "never"]),
)
HALF = Thresholds(pixel=[0.5, 0.5, 0.5], region=0.5)

# Image value v stands for the score of a class: 100 + s of square, 200 + s of bar (s in percent
# of half), and 255 marks pixels to ignore in the mask. The predictor only reads the pixels.
SQUARE, BAR = 100, 200


def read_scores(image):
    """A predictor whose scores stand in the image: SQUARE + 50 is a square with score 1."""
    scores = np.zeros((4, *image.shape), np.float32)
    for index, base in ((1, SQUARE), (2, BAR)):
        there = (image >= base) & (image <= base + 50)
        scores[index][there] = (image[there].astype(np.float32) - base) / 50
    scores[0] = 1 - scores[1:].max(axis=0)
    return scores


def _blank():
    return np.zeros((20, 24), np.uint8), np.zeros((20, 24), np.uint8)


def _write(root, views):
    """Write {name: (part, image, mask, fields)} as a data set."""
    with DatasetWriter(root, SCHEMA) as writer:
        for name, (part, image, mask, fields) in views.items():
            writer.add(name, image, LabelMap(mask, mask * 0), part=part, **fields)
    return DefectDataset.open(root)


@pytest.fixture
def dataset(tmp_path):
    """Three defective parts, four good ones; every figure of them is worked out by hand below."""
    views = {}

    image, mask = _blank()  # p1: a 4 x 4 square, found but for one column: tp 12, fn 4, fp 0
    mask[2:6, 2:6] = 1
    image[2:6, 2:5] = SQUARE + 45
    views["p1_a"] = ("p1", image, mask, {})
    image, mask = _blank()  # ... and a second, good view of it with a false bar of 5: fp 5
    image[10, 10:15] = BAR + 30
    views["p1_b"] = ("p1", image, mask, {})

    image, mask = _blank()  # p2: a bar of 10, scored 0.4: missed; ignored pixels are guessed
    mask[8, 3:13] = 2
    mask[15:18, 15:18] = 255
    image[8, 3:13] = BAR + 20
    image[15:17, 15:17] = SQUARE + 50
    views["p2"] = ("p2", image, mask, {})

    image, mask = _blank()  # p3: labelled as a bar without a mask; a region is found
    image[5, 5:9] = BAR + 40
    views["p3"] = ("p3", image, mask, {"labels": ["bar"]})

    for name, score in (("g1", 0), ("g2", 10), ("g3", 20)):
        image, mask = _blank()
        image[4:6, 4:6] = SQUARE + score
        views[name] = (name, image, mask, {})
    image, mask = _blank()  # g4: a good part that fails: two false regions, 4 and 1 pixels
    image[4:6, 4:6] = SQUARE + 35
    image[12, 12] = BAR + 50
    views["g4"] = ("g4", image, mask, {})

    image, mask = _blank()  # excluded: would be a wrong FAIL
    image[:] = SQUARE + 50
    views["x"] = ("g1", image, mask, {"excluded": "blurred"})
    return _write(tmp_path / "set", views)


def _evaluate(dataset, thresholds=HALF, predict=read_scores, records=None, **fields):
    saved = {}

    def save(record, index_map):
        saved[record.file_name] = index_map
        return f"predictions/{len(saved)}.png"

    evaluation = evaluate(
        dataset,
        dataset.records if records is None else records,
        predict,
        thresholds,
        arm="real",
        model="reader",
        fold=0,
        composition={"real": {"square": 1}, "synthetic": {}},
        save_prediction=save,
        **fields,
    )
    return evaluation, saved


def test_figures_of_a_hand_made_test(dataset):
    evaluation, saved = _evaluate(dataset)
    square, bar, never = evaluation.classes
    # Squares: 12 + 4 of p1, false 4 of g4. Bars: 10 missed of p2, false 5 of p1 and 1 of g4.
    assert (square.true_positive, square.false_positive, square.false_negative) == (12, 4, 4)
    assert (bar.true_positive, bar.false_positive, bar.false_negative) == (0, 6, 10)
    assert square.iou == pytest.approx(12 / 20)
    assert bar.iou == 0.0
    assert never.iou is never.average_precision is never.defect_recall is None
    assert (square.parts, bar.parts, never.parts) == (1, 2, 0)
    assert (square.images, bar.images) == (1, 2)
    assert (square.regions, bar.regions) == (1, 1)
    assert (square.defect_recall.count, bar.defect_recall.count) == (1, 0)
    assert evaluation.macro_iou == pytest.approx(0.3)
    # p3 has no mask: 7 images of 480 pixels, 9 of them ignored; 4 + 4 + 10 + 6 are wrong.
    assert evaluation.pixel_accuracy == pytest.approx(1 - 24 / (7 * 480 - 9))
    assert evaluation.false_regions_per_good_part == pytest.approx(2 / 4)
    assert evaluation.images == len(saved) == len(evaluation.predictions) == 8
    assert "images/x.png" not in saved
    assert saved["images/p1_a.png"].sum() == 12
    assert evaluation.predictions["images/p1_a.png"] == "predictions/1.png"
    assert evaluation.simulated
    assert evaluation.data_fingerprint == dataset.fingerprint()


def test_verdicts_of_a_hand_made_test(dataset):
    evaluation, _ = _evaluate(dataset)
    parts = {part.part: part for part in evaluation.parts}
    assert {name: part.verdict for name, part in parts.items()} == {
        "p1": "FAIL", "p2": "PASS", "p3": "FAIL", "g1": "PASS", "g2": "PASS", "g3": "PASS",
        "g4": "FAIL",
    }  # fmt: skip
    assert (evaluation.escape.count, evaluation.escape.total) == (1, 3)
    assert (evaluation.overkill.count, evaluation.overkill.total) == (1, 4)
    assert (evaluation.escape.low, evaluation.escape.high) == clopper_pearson(1, 3)
    assert parts["p1"].reason == "square in images/p1_a.png, score 0.90"
    assert parts["p1"].views == ["images/p1_a.png", "images/p1_b.png"]
    assert parts["p1"].worst_view == "images/p1_a.png"
    assert parts["p1"].counts["square"] == [12, 0, 4]
    assert parts["p1"].counts["bar"] == [0, 5, 0]
    assert parts["p1"].false_regions == 1
    assert parts["p2"].reason == ""
    assert parts["p2"].false_regions == 0  # what it guessed lies in ignored pixels
    assert parts["p3"].labels == ["bar"]
    assert parts["p3"].counts["bar"] == [0, 0, 0]  # no mask, no pixel figure
    # Below a region: ratio to the threshold times that threshold, here the score itself.
    scores = [parts[name].score for name in ("p1", "p2", "p3", "g1", "g2", "g3", "g4")]
    assert scores == pytest.approx([0.9, 0.4, 0.8, 0.0, 0.2, 0.4, 1.0], abs=1e-5)
    truth = [1, 1, 1, 0, 0, 0, 0]
    assert evaluation.part_auroc == pytest.approx(roc_auc_score(truth, np.round(scores, 4)))
    expected = average_precision_score(truth, np.round(scores, 4))
    assert evaluation.part_average_precision == pytest.approx(expected)


def test_average_precision_of_the_pixels_agrees_with_scikit_learn(dataset):
    evaluation, _ = _evaluate(dataset)
    truths, scores = [], []
    for record in dataset.usable():
        if record.file_name == "images/p3.png":
            continue
        truth = dataset.label_map(record).defects
        truths.append(truth[truth != 255])
        scores.append(read_scores(dataset.image(record))[:, truth != 255])
    truth, score = np.concatenate(truths), np.concatenate(scores, axis=1)
    for index in (0, 1):
        expected = average_precision_score(truth == index + 1, score[index + 1])
        found = evaluation.classes[index]
        assert found.average_precision == pytest.approx(expected)
        assert found.recall_curve == sorted(found.recall_curve)
        assert len(found.recall_curve) == len(found.precision_curve) <= 100


def test_a_region_below_the_region_threshold_does_not_fail_a_part(dataset):
    evaluation, _ = _evaluate(dataset, Thresholds(pixel=[0.5] * 3, region=0.95))
    verdicts = {part.part: part.verdict for part in evaluation.parts}
    assert [name for name, verdict in verdicts.items() if verdict == "FAIL"] == ["g4"]
    assert all((p.verdict == "FAIL") == (p.score >= 0.95) for p in evaluation.parts)


@pytest.mark.parametrize(("pixel", "region"), [(0.7, 0.2), (0.1, 0.9), (0.5, 0.5), (0.4, 0.0)])
def test_part_scores_put_every_region_above_no_region(dataset, pixel, region):
    evaluation, saved = _evaluate(dataset, Thresholds(pixel=[pixel, pixel, 0.5], region=region))
    ignored = {"images/p2.png"}
    with_region = [
        part.score
        for part in evaluation.parts
        if any(saved[v].any() for v in part.views if v not in ignored)
    ]
    bare = [part.score for part in evaluation.parts if part.part in ("g1",)]
    assert min(with_region) > max(bare)
    for part in evaluation.parts:
        if region > 0:
            assert (part.verdict == "FAIL") == (part.score >= region)


def test_result_survives_its_file(dataset, tmp_path):
    evaluation, _ = _evaluate(dataset)
    evaluation.save(tmp_path)
    assert Evaluation.load(tmp_path) == evaluation


def test_a_perfect_model_is_perfect_and_has_intervals_over_parts(tmp_path):
    views = {}
    for i in range(6):
        image, mask = _blank()
        mask[3:8, 3 + i : 8 + i] = 1 if i % 2 else 2
        image[mask == 1], image[mask == 2] = SQUARE + 50, BAR + 50
        views[f"d{i}"] = (f"d{i}", image, mask, {})
        views[f"g{i}"] = (f"g{i}", *_blank(), {})
    evaluation, _ = _evaluate(_write(tmp_path / "set", views))
    assert (evaluation.macro_iou, evaluation.pixel_accuracy, evaluation.part_auroc) == (1, 1, 1)
    assert (evaluation.escape.count, evaluation.overkill.count) == (0, 0)
    assert (evaluation.macro_iou_interval.low, evaluation.macro_iou_interval.high) == (1, 1)
    assert evaluation.classes[0].iou_interval.low == 1
    assert evaluation.classes[2].iou_interval is None
    assert evaluation.classes[0].average_precision == 1


def test_one_defective_part_has_no_interval(dataset):
    evaluation, _ = _evaluate(dataset)
    assert evaluation.classes[0].iou_interval is None
    assert evaluation.macro_iou_interval is not None


def test_only_good_or_only_defective_parts_leave_figures_out(dataset):
    good, _ = _evaluate(dataset, records=[r for r in dataset if r.part in ("g2", "g3")])
    assert good.escape is good.macro_iou is good.part_auroc is good.macro_iou_interval is None
    assert (good.overkill.count, good.overkill.total) == (0, 2)
    bad, _ = _evaluate(dataset, records=[r for r in dataset if r.part == "p2"])
    assert bad.overkill is bad.part_auroc is bad.false_regions_per_good_part is None
    labels_only, _ = _evaluate(dataset, records=[r for r in dataset if r.part == "p3"])
    assert labels_only.pixel_accuracy is labels_only.macro_iou is None
    assert (labels_only.escape.count, labels_only.escape.total) == (0, 1)


def test_synthetic_and_missing_records_are_errors(dataset):
    fake = dataset.records[0].model_copy(update={"source": "synthetic"})
    for call in (
        lambda records: choose_thresholds(dataset, records, read_scores),
        lambda records: _evaluate(dataset, records=records),
    ):
        with pytest.raises(FlawsmithError, match="1 of 2 test images are synthetic"):
            call([fake, dataset.records[1]])
        with pytest.raises(FlawsmithError, match="nothing to test"):
            call([r for r in dataset if r.excluded])


def test_wrong_scores_and_thresholds_are_errors(dataset):
    with pytest.raises(FlawsmithError, match="another data set"):
        _evaluate(dataset, predict=lambda image: read_scores(image)[:3])
    with pytest.raises(FlawsmithError, match="not finite"):
        _evaluate(dataset, predict=lambda image: read_scores(image) * np.float32(math.nan))
    with pytest.raises(FlawsmithError, match="2 pixel thresholds for the 3 defect"):
        _evaluate(dataset, Thresholds(pixel=[0.5, 0.5]))


def test_progress_counts_images(dataset):
    steps = []
    _evaluate(dataset, progress=steps.append)
    assert sum(steps) == 8
    choose_thresholds(dataset, dataset.records, read_scores, steps.append)
    assert sum(steps) == 8 + 8


def _noisy_set(root, parts=14):
    """Squares and bars with blurred, noisy scores; several parts of each."""
    generator = np.random.default_rng(4)
    views = {}
    for i in range(parts):
        image, mask = _blank()
        kind = i % 3
        y, x = generator.integers(2, 12, size=2)
        if kind:
            mask[y : y + 5, x : x + 6] = kind
        level = generator.uniform(15, 45) if kind else generator.uniform(0, 25)
        spot = np.zeros(mask.shape, np.float32)
        spot[y : y + 5, x : x + 6] = level
        spot = cv2.GaussianBlur(spot, (5, 5), 1.2) + generator.uniform(0, 6, mask.shape)
        image[:] = np.clip(spot, 0, 50).astype(np.uint8) + (BAR if kind == 2 else SQUARE)
        views[f"p{i}"] = (f"p{i}", image, mask, {})
    return _write(root, views)


def _torn(image):
    """Scores of a model in two minds: a square is a bar too, nearly; a bar is only a bar."""
    scores = read_scores(image)
    scores[2] = np.maximum(scores[2], 0.95 * scores[1])
    return scores


def test_chosen_pixel_threshold_has_the_best_macro_iou(tmp_path):
    dataset = _noisy_set(tmp_path / "set")
    chosen = choose_thresholds(dataset, dataset.records, _torn)
    assert len(set(chosen.pixel)) == 1  # one for all, the absent class among them
    truth = np.concatenate([dataset.label_map(r).defects.ravel() for r in dataset])
    scores = [_torn(dataset.image(r)) for r in dataset]

    def macro(limit):
        thresholds = Thresholds(pixel=[limit] * 3)
        guess = np.concatenate([classify(s, thresholds).ravel() for s in scores])
        return jaccard_score(truth, guess, labels=[1, 2], average="macro", zero_division=0.0)

    best = macro(chosen.pixel[0])
    assert best > 0.3
    assert best == max(best, *(macro(t) for t in np.arange(0.01, 1, 0.01)))


def test_chosen_region_threshold_has_the_best_balanced_accuracy(tmp_path):
    dataset = _noisy_set(tmp_path / "set", parts=24)
    chosen = choose_thresholds(dataset, dataset.records, read_scores)

    def balanced(region):
        thresholds = Thresholds(pixel=chosen.pixel, region=region)
        evaluation, _ = _evaluate(dataset, thresholds)
        escape, overkill = evaluation.escape, evaluation.overkill
        return 1 - (escape.count / escape.total + overkill.count / overkill.total) / 2

    assert balanced(chosen.region) == max(balanced(r) for r in np.arange(0.0, 1.01, 0.02))


def _one_pixel_parts(root, scores):
    """Parts with one square pixel (defective) or none, and its score: [(defective, score)]."""
    views = {}
    for i, (defective, score) in enumerate(scores):
        image, mask = _blank()
        image[5, 5] = SQUARE + score
        mask[5, 5] = int(defective)
        views[f"p{i}"] = (f"p{i}", image, mask, {})
    return _write(root, views)


def test_equal_region_thresholds_take_the_one_that_misses_fewer(tmp_path):
    # Region scores: good 0.8 between defective 0.7 and 0.9. Catching both and failing one good
    # part of one (1 - 1 = 0), or catching one and failing none (1/2 - 0): the latter is better ...
    one = _one_pixel_parts(tmp_path / "one", [(1, 35), (0, 40), (1, 45)])
    assert choose_thresholds(one, one.records, read_scores).region == pytest.approx(0.85)
    # ... with a second good part of score 0 both have 1/2: the lower threshold misses none.
    two = _one_pixel_parts(tmp_path / "two", [(1, 35), (0, 40), (1, 45), (0, 0)])
    chosen = choose_thresholds(two, two.records, read_scores)
    assert chosen.region <= 0.7
    evaluation, _ = _evaluate(two, chosen)
    assert (evaluation.escape.count, evaluation.overkill.count) == (0, 1)


def test_fallbacks_without_good_or_without_labelled_parts(tmp_path):
    defective = _one_pixel_parts(tmp_path / "a", [(1, 35), (1, 45)])
    chosen = choose_thresholds(defective, defective.records, read_scores)
    assert chosen.region == 0.5
    good = _one_pixel_parts(tmp_path / "b", [(0, 5), (0, 0)])
    assert choose_thresholds(good, good.records, read_scores) == Thresholds(
        pixel=[0.5, 0.5, 0.5], region=0.5
    )
